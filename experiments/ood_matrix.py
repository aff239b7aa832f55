"""Which images a density takes for its own: AUROC of every score against every other data set.

Claim: likelihood alone fails on what is simpler than the data. MNIST under a density of
Fashion-MNIST is the known case (Nalisnick et al. 2019, arXiv:1810.09136), a black image the
extreme one, with an AUROC of 0; the density of log p, of the latent's norm, of the log-det and of
the compressed length together finds it always. The density is the whitening flow, a Gaussian.

    python -m experiments.ood_matrix                              (digits, no network: 1 minute)
    python -m experiments.ood_matrix --dataset mnist --dataset-b fashion_mnist
"""

import dataclasses
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from experiments import figures, flow_materials, flow_models, run
from iwae_jax import anomaly, data, densities, flows

Name = Literal["digits", "mnist", "fashion_mnist"]
OTHERS = ("mnist", "fashion_mnist", "kmnist", "omniglot")
SCORES = ("log p", "typicality", "typicality of 10", "|z|", "complexity", "likelihood ratio",
          "WAIC", "gradient norm", "density of states")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the matrix."""

    dataset: Name = "digits"
    """normal data"""
    dataset_b: Name | None = None
    """a second set of normal data, for the matrix in the other direction"""
    alpha: float = 0.05
    """margin of the logit, between 0 and 0.5; 0 leaves the pixels on [0, 1]"""
    members: int = 3
    """densities of the ensemble, each fitted to a part of the data"""
    mutated: float = 0.2
    """share of pixels that are replaced for the background of the likelihood ratio"""
    evaluation_images: int = 2000
    """images of each kind"""
    data_dir: pathlib.Path | None = None
    """tensorflow-datasets' folder; by default its own default"""


def mutated(images: np.ndarray, share: float) -> np.ndarray:
    """Images with some of their pixels drawn anew, which a background density is fitted to."""
    rng = np.random.default_rng(1)
    fresh = rng.integers(0, 256, images.shape, dtype=np.uint8)
    return np.where(rng.random(images.shape) < share, fresh, images)


def fit(options: Options, images: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Fits the densities, and returns what gives the raw statistics of images."""
    whole = flow_models.gaussian(images, alpha=options.alpha)
    background = flow_models.gaussian(mutated(images, options.mutated), alpha=options.alpha)
    members = [
        flow_models.gaussian(images[member :: options.members], alpha=options.alpha)
        for member in range(options.members)
    ]

    @jax.jit
    @jax.vmap
    def latent(image):
        z, log_det = whole.flow.inverse_and_log_det(whole.params, flows.midpoints(image))
        norm = jnp.sqrt(jnp.sum(z**2))
        return norm, log_det, densities.standard_gaussian_log_prob(z) + log_det

    def statistics(images: np.ndarray) -> dict[str, np.ndarray]:
        norm, log_det, log_prob = (np.asarray(part, np.float64) for part in latent(images))
        ensemble = np.stack([flow_models.log_probs(member, images) for member in members])
        return {
            "log p": log_prob,
            "norm": norm,
            "log det": log_det,
            "complexity": anomaly.complexity(images),
            "background": flow_models.log_probs(background, images).astype(np.float64),
            "ensemble": anomaly.waic(ensemble),
            "gradient norm": flow_models.gradient_norms(whole, images).astype(np.float64),
        }

    return statistics


def scores(own: dict[str, np.ndarray], usual: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every score of images from their statistics, and those of validation images."""
    table = lambda found: np.stack(
        [found["log p"], found["norm"], found["log det"], found["complexity"]], axis=1
    )
    return {
        "log p": own["log p"],
        "typicality": anomaly.typicality(own["log p"], validation=usual["log p"]),
        "typicality of 10": anomaly.batch_typicality(
            own["log p"], validation=usual["log p"], batch_size=10
        ),
        "|z|": -np.abs(own["norm"] - usual["norm"].mean()),
        "complexity": own["log p"] + own["complexity"],
        "likelihood ratio": own["log p"] - own["background"],
        "WAIC": own["ensemble"],
        "gradient norm": own["gradient norm"],
        "density of states": anomaly.density_of_states(table(own), validation=table(usual)),
    }


def matrix(options: Options, name: str) -> list[dict[str, Any]]:
    """A row for each kind of other images: AUROC of each score."""
    images = data.load(name, "train", data_dir=options.data_dir).images
    test, labels = flow_materials.labelled(name, "test", options.data_dir)
    images = images[np.random.default_rng(0).permutation(len(images))]
    number = min(options.evaluation_images, len(images) // 5, len(test))
    statistics = fit(options, images[number:])
    usual = statistics(images[:number])
    test, labels = test[:number], labels[:number]
    normal = scores(statistics(test), usual)
    kinds = flow_materials.made(test, labels)
    if name != "digits":
        for other in OTHERS:
            if other != name:
                split = data.load(other, "test", data_dir=options.data_dir).images
                kinds[other] = run.evenly_spaced(split, number)
    rows = []
    for kind, others in kinds.items():
        anomalous = scores(statistics(others), usual)
        areas = {key: anomaly.auroc(normal[key], anomalous[key]) for key in SCORES}
        rows.append({"normal": name, "anomalous": kind, **areas})
    return rows


def picture(rows: list[dict[str, Any]]):
    """The table as a map: blue where a score separates, red where it is fooled."""
    values = np.array([[row[score] for score in SCORES] for row in rows])
    figure, axis = plt.subplots(figsize=(8.0, 0.33 * len(rows) + 1.6))
    axis.imshow(values, cmap="RdBu", vmin=0.0, vmax=1.0, aspect="auto")
    axis.grid(False)
    axis.set_xticks(range(len(SCORES)), SCORES, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), [f"{r['normal']}: {r['anomalous']}" for r in rows])
    for (line, column), value in np.ndenumerate(values):
        axis.text(column, line, f"{value:.3f}", ha="center", va="center", fontsize=7,
                  color="black" if 0.2 < value < 0.8 else "white")  # fmt: skip
    axis.set_title("AUROC of the Gaussian flow: normal data: anomalies", fontsize=10)
    return figure


def main(options: Options) -> run.Summary:
    """Measures every score of a density against every other kind of images."""
    if not 0.0 <= options.alpha < 0.5:
        raise run.BadInput(f"--alpha must be from 0 to below 0.5; got {options.alpha}.")
    if not 0.0 < options.mutated < 1.0:
        raise run.BadInput(f"--mutated must be between 0 and 1; got {options.mutated}.")
    run.at_least(options, members=2, evaluation_images=20)
    return run.carry_out(
        options, name="ood_matrix", case=options.dataset, work=partial(work, options), report=report
    )


def work(options: Options, this_run: run.Run) -> run.Summary:
    """Measures one data set after the other, and draws the table."""
    names = [options.dataset, *([options.dataset_b] if options.dataset_b else [])]
    rows = [row for name in names for row in matrix(options, name)]
    figures.save(picture(rows), this_run.folder / "auroc.png")
    return {"alpha": options.alpha, "scores": list(SCORES), "rows": rows}


def report(summary: run.Summary) -> None:
    """Prints AUROC of every score against every kind of images."""
    table = [
        [row["normal"], row["anomalous"], *(f"{row[score]:.4f}" for score in SCORES)]
        for row in summary["rows"]
    ]
    run.print_table("AUROC of the Gaussian flow", ["normal", "anomalous", *SCORES], table)


if __name__ == "__main__":
    run.command_line(main, Options)
