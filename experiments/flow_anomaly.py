r"""Tell digits from other images by the likelihood of a flow, and count the errors.

Claim: a threshold on the log-likelihood of a flow trained on MNIST alone separates KMNIST. The
homework's printed run has 66 type I errors of 5000 and 20 type II errors of 10000.

    python -m experiments.flow_anomaly                     (digits, no network: 1 minute)
    python -m experiments.flow_anomaly --dataset mnist     (5 CPU-minutes a training)
    python -m experiments.flow_anomaly --dataset mnist --flow DIR/detector    (no training)
    python -m experiments.flow_anomaly --dataset mnist --architecture multi_scale --alpha 1e-6 \
        --seeds 1 --baselines Gaussian                     (bits per pixel: 45 minutes)
"""

import dataclasses
import pathlib
import time
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from experiments import (
    flow_baselines,
    flow_judging,
    flow_materials,
    flow_models,
    flow_pictures,
    published,
    run,
)
from experiments.flow_baselines import BASELINES
from experiments.flow_materials import Material
from iwae_jax import anomaly, data, flows, keys

NORMALISED_BY = 500
"""Images whose activations set the normalisations of convolutional couplings."""


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the detection."""

    dataset: Literal["digits", "mnist"] = "digits"
    """normal data; mnist is tested against KMNIST, digits against digits spliced in two"""
    flow: pathlib.Path | None = None
    """folder of a detector that an earlier run has saved; by default flows are trained"""
    architecture: Literal["whitened", "multi_scale"] = "whitened"
    """couplings of whitened pixels, or convolutional ones at several scales"""
    alpha: float = 0.05
    """margin of the logit, between 0 and 0.5; 0 leaves the pixels on [0, 1]"""
    epochs: int | None = None
    """passes over the data; by default 5 (100 for digits)"""
    learning_rate: float | None = None
    """highest learning rate; by default 1e-3 (2e-3 for multi_scale)"""
    batch_size: int | None = None
    """images of one update; by default 256 (32 for multi_scale)"""
    num_blocks: int = 3
    """whitened: pairs of couplings"""
    hidden_size: int = 256
    """whitened: width of each coupling's two hidden layers"""
    num_leading: int = 200
    """whitened: leading components whose base is a mixture of the classes; 0 for none"""
    num_scales: int = 2
    """multi_scale: scales, each of half the height and width of the last"""
    width: int = 32
    """multi_scale: channels of the networks"""
    num_bins: int = 16
    """multi_scale: bins of the couplings' splines; 0 for affine couplings"""
    seeds: int = 3
    """trainings, of seed, seed + 1, ..."""
    splits: int = 20
    """splits of the test images into validation and test"""
    num_std: float = 3.0
    """standard deviations between the mean and the threshold"""
    held_out: int = 5000
    """training images that no flow is fitted to, for the other protocol; at most a fifth"""
    baselines: tuple[str, ...] = ("Gaussian", "class mixture", "IWAE bound")
    """what stands beside the flow; NICE, of the course, is known too and takes longest"""
    baseline_epochs: int | None = None
    """passes over the data of the baselines that are trained; by default 10 (100 for digits)"""
    nice_hidden_size: int = 1000
    """width of the five hidden layers of NICE's couplings"""
    data_dir: pathlib.Path | None = None
    """tensorflow-datasets' folder; by default its own default"""


def check(options: Options) -> None:
    """Refuses what cannot be run."""
    run.at_least(
        options, epochs=1, num_blocks=1, hidden_size=1, num_leading=0, num_scales=1, width=1,
        num_bins=0, batch_size=1, seeds=1, splits=1, held_out=1, baseline_epochs=1,
        nice_hidden_size=1,
    )  # fmt: skip
    if not 0.0 <= options.alpha < 0.5:
        raise run.BadInput(f"--alpha must be from 0 to below 0.5; got {options.alpha}.")
    for name in options.baselines:
        if name not in BASELINES:
            raise run.BadInput(f"--baselines has {name!r}; known: {', '.join(BASELINES)}.")
    if options.learning_rate is not None and options.learning_rate <= 0.0:
        raise run.BadInput("--learning-rate must be positive.")


def as_saved(options: Options) -> Options:
    """The options with those of the flow that is loaded, if one is."""
    if options.flow is None:
        return options
    return dataclasses.replace(options, **anomaly.load_config(options.flow))


def load(options: Options) -> Material:
    """Step 1 of the homework: the data sets, with the training set shuffled and split."""
    images, labels = flow_materials.labelled(options.dataset, "train", options.data_dir)
    test, test_labels = flow_materials.labelled(options.dataset, "test", options.data_dir)
    fitted, rest = flow_materials.held_out(len(images), options.held_out)
    if options.dataset == "mnist":
        anomalous = data.load("kmnist", "test", data_dir=options.data_dir).images
    else:
        anomalous = flow_materials.spliced(test, test_labels)
    return Material(images[fitted], labels[fitted], images[rest], test, anomalous)


def build(options: Options, event_shape: tuple[int, ...], seed: int) -> flow_models.Density:
    """Step 2: the flow."""
    key = keys.tagged(jax.random.key(seed), keys.INITIALISATION)
    if options.architecture == "multi_scale":
        return flow_models.multi_scale(
            key, event_shape, alpha=options.alpha, num_scales=options.num_scales,
            width=options.width, num_bins=options.num_bins,
        )  # fmt: skip
    return flow_models.realnvp(
        key, event_shape, alpha=options.alpha, num_blocks=options.num_blocks,
        hidden_size=options.hidden_size,
        num_leading=min(options.num_leading, int(np.prod(event_shape)) - 1),
    )  # fmt: skip


def train(
    options: Options, material: Material, start: flow_models.Density, seed: int, this_run: run.Run
) -> flow_models.Density:
    """Step 3, where no trained flow is loaded."""
    epochs = options.epochs or (5 if options.dataset == "mnist" else 100)
    recipe = flow_models.RECIPES[options.architecture]
    size, images = material.train[0].size, len(material.train)
    batch_size = min(options.batch_size or recipe.batch_size, images)
    with run.progress(f"training, seed {seed}", epochs * (images // batch_size)) as show:

        def on_progress(state) -> None:
            if state.epoch is not None:
                this_run.log({"seed": seed, **state.epoch})
            show(state.step, f"{flows.bits_per_dim(state.bound, size=size):.3f} bits/dim")

        return flow_models.train(
            jax.random.key(seed), start, material.train, epochs=epochs,
            learning_rate=options.learning_rate or recipe.learning_rate,
            batch_size=batch_size, steps_per_scan=recipe.steps_per_scan,
            validation_images=material.held_out[:1000],
            checkpoint_dir=this_run.folder / f"checkpoints-{seed}", on_progress=on_progress,
        )  # fmt: skip


def main(options: Options) -> run.Summary:
    """Tells digits from other images by the likelihood of a flow, and counts the errors."""
    check(options)
    options = as_saved(options)
    material = load(options)
    return run.carry_out(
        options, name="flow_anomaly", case=options.dataset,
        work=partial(work, options, material), report=partial(report, options),
    )  # fmt: skip


def flows_of(options: Options, material: Material, this_run: run.Run):
    """Yields (flow, seconds) for each training, or the one that is loaded."""
    shape = material.train.shape[1:]
    if options.flow is not None:
        flow, like = build(options, shape, 0)
        yield flow_models.Density(flow, anomaly.load(options.flow, like=like).params), 0.0
        return
    # The closed forms depend on no seed, and their computation takes as long as an epoch.
    start = time.monotonic()
    fitted = build(options, shape, options.seed)
    whitened = options.architecture == "whitened"
    if whitened:
        fitted = flow_models.initialised(fitted, material.train, material.labels)
    once = time.monotonic() - start
    for seed in range(options.seed, options.seed + options.seeds):
        start = time.monotonic()
        params = build(options, shape, seed).params
        if whitened:
            params = flow_models.with_networks(fitted.params, params)
        else:
            some = flow_models.noisy(material.train[:NORMALISED_BY])
            params = fitted.flow.initialise(params, some)
        density = flow_models.Density(fitted.flow, params)
        density = train(options, material, density, seed, this_run)
        yield density, once + time.monotonic() - start


def work(options: Options, material: Material, this_run: run.Run) -> run.Summary:
    """Fits every model, judges it, saves the detector, and draws."""
    densities, seconds = zip(*flows_of(options, material, this_run), strict=True)
    runs = [flow_baselines.scores_of(density, material) for density in densities]
    bits, bits_se = flow_models.test_bits(densities[0], material.test, seed=options.seed)
    judge = partial(flow_judging.row, splits=options.splits, num_std=options.num_std)
    own_name = flow_models.RECIPES[options.architecture].name
    rows = [
        judge(own_name, runs, bits_per_dim=bits, bits_per_dim_se=bits_se,
            num_parameters=flow_models.num_parameters(densities[0].params),
            train_seconds=float(np.mean(seconds)))
    ]  # fmt: skip
    if len(runs) > 1:
        name = f"mixture of the {len(runs)} {own_name}s"
        rows.append(
            judge(name, [flow_judging.mixture(runs)], **mixture_numbers(densities, seconds))
        )
    for name in options.baselines:
        epochs = flow_baselines.epochs(options)
        with run.progress(name, epochs) as show:

            def told(state, show=show, epochs=epochs) -> None:
                if state.epoch is not None and state.epoch["epoch"] < epochs:
                    show(state.epoch["epoch"], f"bound {state.bound:.1f}")

            folder = this_run.folder / f"checkpoints-{name.replace(' ', '-')}"
            found = BASELINES[name](options, material, folder, told)
            show(epochs, "fitted")
        rows.append(judge(name, [found.scores], **found.numbers))
    config = {
        name: getattr(options, name)
        for name in (
            "architecture",
            "alpha",
            "num_blocks",
            "hidden_size",
            "num_leading",
            "num_scales",
            "width",
            "num_bins",
        )
    }
    detector = anomaly.Detector(densities[0].params, rows[0]["threshold"], config)
    anomaly.save(this_run.folder / "detector", detector)
    flow_pictures.draw_all(
        densities[0], runs[0], rows[0]["threshold"], material, this_run.folder, options.seed
    )
    names = {"mnist": "KMNIST test images", "digits": "digits spliced of two classes"}
    main_row = {key: value for key, value in rows[0].items() if key != "model"}
    summary = {"dataset": options.dataset, "anomalies": names[options.dataset]}
    summary |= {"alpha": options.alpha} | main_row | flow_judging.conformal(runs[0])
    by_num_std = flow_judging.by_num_std(runs, splits=options.splits)
    return summary | {"models": rows, "by_num_std": by_num_std}


def mixture_numbers(densities, seconds) -> dict[str, Any]:
    """What a mixture of trainings takes; its bits are not measured."""
    sizes = [flow_models.num_parameters(density.params) for density in densities]
    return {
        "bits_per_dim": None,
        "num_parameters": sum(sizes),
        "train_seconds": float(sum(seconds)),
    }


def report(options: Options, summary: run.Summary) -> None:
    """Prints a line for each model, and the homework's."""
    percent = lambda value: f"{100 * value:.3f}"
    bits = lambda value: "" if value is None else f"{value:.3f}"
    rows = [
        [line["model"], percent(line["type_1_rate"]), percent(line["type_2_rate"]),
         percent(line["type_2_rate_at_reference_type_1"]), f"{line['auroc']:.5f}",
         percent(line["fpr95"]), bits(line["bits_per_dim"]), str(line["num_parameters"]),
         f"{line['train_seconds']:.0f}"]
        for line in summary["models"]
    ]  # fmt: skip
    if options.dataset == "mnist":
        rows.append(
            ["NICE, the homework's run", "1.320", "0.200", "0.200", "", "", "", "19158352", ""]
        )
        real_nvp = "Real NVP, Grathwohl et al. (2019)"
        rows.append([real_nvp, "", "", "", "", "", str(published.REAL_NVP_BITS), "", ""])
    columns = ["model", "type I %", "type II %", "at type I 1.32 %", "AUROC", "FPR95 %",
               "bits/dim", "parameters", "seconds"]  # fmt: skip
    title = f"{options.dataset} against {summary['anomalies']}, mean - {options.num_std:g} std"
    run.print_table(title, columns, rows)
    rows = [
        [f"{line['num_std']:g}", percent(line["type_1_rate"]), percent(line["type_2_rate"])]
        for line in summary["by_num_std"]
    ]
    columns = ["mean - n std, n", "type I %", "type II %"]
    run.print_table(flow_models.RECIPES[options.architecture].name, columns, rows)


if __name__ == "__main__":
    run.command_line(main, Options)
