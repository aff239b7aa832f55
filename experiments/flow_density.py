"""Bits per pixel and detection, as the margin alpha of the logit varies.

Claim: a smaller alpha compresses better and detects worse, so that one of benchmarks of density
(1e-6) is no choice for a detector. Densities in closed form (Gaussian, a Gaussian for each class),
fitted to training images; the anomalies that alpha may be chosen by are made of held-out training
images (spliced of two classes, shifted), and other data sets are only looked at.

    python -m experiments.flow_density                     (digits, no network: 1 minute)
    python -m experiments.flow_density --dataset mnist     (the Gaussian at 1e-6: 2.01 bits)
"""

import dataclasses
import pathlib
from functools import partial
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np

from experiments import figures, flow_materials, flow_models, run
from iwae_jax import anomaly, data

# Bits per pixel at alpha = 1e-6: Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057.
PUBLISHED = {"Gaussian": 2.01}


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the study."""

    dataset: Literal["digits", "mnist"] = "digits"
    """normal data"""
    alphas: tuple[float, ...] = (1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.0)
    """margins of the logit; 0 leaves the pixels on [0, 1]"""
    held_out: int = 5000
    """training images that nothing is fitted to; at most a fifth"""
    data_dir: pathlib.Path | None = None
    """tensorflow-datasets' folder; by default its own default"""


def measure(
    density: flow_models.Density, normal: np.ndarray, others: dict[str, np.ndarray]
) -> dict[str, float]:
    """AUROC of each kind of anomaly, and the share missed where 1 % of normal data is flagged."""
    scores = flow_models.log_probs(density, normal)
    threshold = anomaly.mean_minus_std(scores)
    result = {"type_1_rate": float(np.mean(scores < threshold))}
    for name, images in others.items():
        own = flow_models.log_probs(density, images)
        result |= {
            f"{name}_auroc": anomaly.auroc(scores, own),
            f"{name}_type_2_rate": anomaly.error_counts(scores, own, threshold=threshold)[1]
            / len(own),
            f"{name}_missed_at_1_percent": anomaly.missed_at(scores, own, kept=0.99),
        }
    return result


def main(options: Options) -> run.Summary:
    """Measures bits per pixel and detection at each alpha."""
    if not options.alphas or not all(0.0 <= alpha < 0.5 for alpha in options.alphas):
        raise run.BadInput("--alphas must each be from 0 to below 0.5.")
    run.at_least(options, held_out=1)
    images, labels = flow_materials.labelled(options.dataset, "train", options.data_dir)
    test = data.load(options.dataset, "test", data_dir=options.data_dir).images
    fitted, rest = flow_materials.held_out(len(images), options.held_out)
    others = {
        "spliced": flow_materials.spliced(images[rest], labels[rest]),
        "shifted": flow_materials.shifted(images[rest]),
    }
    if options.dataset == "mnist":
        others["kmnist"] = data.load("kmnist", "test", data_dir=options.data_dir).images
    return run.carry_out(
        options, name="flow_density", case=options.dataset,
        work=partial(work, options, images[fitted], labels[fitted], images[rest], test, others),
        report=partial(report, options),
    )  # fmt: skip


def work(options: Options, images, labels, normal, test, others, this_run: run.Run) -> run.Summary:
    """Fits and measures both densities at each alpha, and draws them."""
    rows: list[dict[str, Any]] = []
    with run.progress("alpha", len(options.alphas)) as show:
        for step, alpha in enumerate(options.alphas):
            densities = {
                "Gaussian": flow_models.gaussian(images, alpha=alpha),
                "class mixture": flow_models.class_mixture(images, labels, alpha=alpha),
            }
            for name, density in densities.items():
                bits, error = flow_models.test_bits(density, test, seed=options.seed)
                line = {"model": name, "alpha": alpha, "bits_per_dim": bits,
                        "bits_per_dim_se": error}  # fmt: skip
                rows.append(line | measure(density, normal, others))
                this_run.log({"step": len(rows), **rows[-1]})
            show(step + 1, f"alpha {alpha:g}: {rows[-1]['bits_per_dim']:.3f} bits/dim")
    figures.save(picture(rows, list(others)), this_run.folder / "alpha.png")
    best = max(
        (row for row in rows if row["model"] == "class mixture"),
        key=lambda row: row["spliced_auroc"] + row["shifted_auroc"],
    )
    return {"dataset": options.dataset, "best_alpha_on_made_anomalies": best["alpha"],
            "models": rows}  # fmt: skip


def picture(rows: list[dict[str, Any]], others: list[str]):
    """Bits per pixel and AUROC against alpha, for the class mixture."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2))
    chosen = [row for row in rows if row["model"] == "class mixture"]
    # Pixels without a logit are the limit of a large alpha.
    names = ["pixels" if row["alpha"] == 0.0 else f"{row['alpha']:g}" for row in chosen]
    left.plot(names, [row["bits_per_dim"] for row in chosen], "o-")
    left.set(xlabel="alpha", ylabel="bits per pixel")
    for name in others:
        missed = [100 * row[f"{name}_missed_at_1_percent"] for row in chosen]
        right.plot(names, missed, "o-", label=name)
    right.set(xlabel="alpha", ylabel="missed (%) at 1 % type I", yscale="symlog")
    right.legend(loc="upper left")
    for axis in (left, right):
        axis.tick_params(axis="x", rotation=45)
    return figure


def report(options: Options, summary: run.Summary) -> None:
    """Prints a line for each model and alpha."""
    others = [key.removesuffix("_auroc") for key in summary["models"][0] if key.endswith("_auroc")]
    rows = []
    for line in summary["models"]:
        published = PUBLISHED.get(line["model"]) if line["alpha"] == 1e-6 else None
        measured = [f"{line['bits_per_dim']:.3f}", str(published or "")]
        measured += [f"{100 * line['type_1_rate']:.2f}"]
        for name in others:
            measured += [f"{line[f'{name}_auroc']:.4f}"]
            measured += [f"{100 * line[f'{name}_missed_at_1_percent']:.2f}"]
        name = f"{line['alpha']:g}" if line["alpha"] else "pixels"
        rows.append([line["model"], name, *measured])
    columns = ["model", "alpha", "bits/dim", "published", "type I %"]
    columns += [text for name in others for text in (f"{name} AUROC", "missed % at 1 %")]
    run.print_table(f"{options.dataset}, densities in closed form", columns, rows)


if __name__ == "__main__":
    run.command_line(main, Options)
