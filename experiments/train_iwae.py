"""Train an importance-weighted autoencoder and measure its log-likelihood.

Claim: more samples in the bound give a better density model (Burda et al. 2016, table 1). Any
estimator of the library is an objective, on Gaussian or on Bernoulli latents.

    python -m experiments.train_iwae                      (digits: 22.2 nats in 1 minute)
    python -m experiments.train_iwae --dataset mnist --num-samples 5
                                     (88.96 nats in 12 minutes; K = 1: 90.30 in 9 minutes)
"""

import dataclasses
import pathlib
import time
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments import image_evaluation, iwae_model, iwae_pictures, objectives, run
from experiments.objectives import OBJECTIVES
from experiments.published import IWAE_NLL
from iwae_jax import (
    LatentVariableModel,
    Params,
    data,
    densities,
    evaluation,
    keys,
    training,
)


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the training."""

    dataset: Literal[
        "digits", "mnist", "fashion_mnist", "kmnist", "omniglot", "binarized_mnist"
    ] = "digits"
    """data set; digits needs no network"""
    objective: Literal[tuple(OBJECTIVES)] = "pathwise"  # type: ignore[valid-type]
    """gradient estimator; one that does not fit the model is refused with the reason"""
    settings: dict[str, float] = dataclasses.field(default_factory=dict)
    """the estimator's own settings, as in: --settings alpha 0.3"""
    latents: Literal["gaussian", "bernoulli"] = "gaussian"
    """Gaussian latents behind tanh layers, or the Bernoulli ones of a sigmoid belief network"""
    num_samples: int = 5
    """K, samples of the bound that is trained"""
    layers: Literal[1, 2] = 1
    """stochastic layers: the paper's one-layer or two-layer network"""
    schedule: Literal["short", "paper"] = "short"
    """short: Adam along a cosine, batch 100; paper: 3280 passes in eight stages, batch 20"""
    epochs: int | None = None
    """passes over the data; by default 60 (300 for digits), or 3280 of the paper's schedule"""
    batch_size: int | None = None
    """by default 100, or 20 for the paper's schedule"""
    learning_rate: float = 3e-3
    """highest learning rate of the short schedule, reached after 1/60 of the updates"""
    hidden_size: int = 200
    """width of the tanh layers (half of it between the two stochastic layers)"""
    latent_size: int = 50
    """dimension of the top latent (the lower one of two has twice as many)"""
    validation_images: int = 100
    """images taken off the end of the training set, whose bound is logged after every epoch"""
    max_pairs: int | None = None
    """most (image, sample) pairs in one pass; by default 2000 on a CPU, no limit elsewhere"""
    evaluation_samples: int = 5000
    """samples of the bound that is reported as log-likelihood"""
    evaluation_images: int | None = None
    """test images that are evaluated, evenly spaced; by default all"""
    data_dir: pathlib.Path | None = None
    """tensorflow-datasets' folder; by default its own default"""


def trained(folder: pathlib.Path) -> tuple[Options, LatentVariableModel, Params]:
    """The options, the model and the newest parameters of a run."""
    config = folder / "config.json"
    if not config.exists():
        raise run.BadInput(f"{folder} holds no run of train_iwae: it has no config.json.")
    options = Options(**run.recorded(config))
    images = data.load(options.dataset, "train", data_dir=options.data_dir).images
    model, params = iwae_model.build(options, images)
    optimizer = iwae_model.optimizer(options, len(images))
    found = training.restore(params, folder / "checkpoints", optimizer=optimizer)
    if found is None:
        raise run.BadInput(f"{folder} holds no checkpoint yet.")
    return options, model, found.params


def train(
    options: Options, model: LatentVariableModel, params: Params, images: np.ndarray, this_run
) -> tuple[training.FitResult, dict[str, float | None]]:
    """Runs `training.fit` with a progress bar; returns its result and the time it took."""
    held_out = options.validation_images
    split = len(images) - held_out
    epochs, batch_size, max_pairs = iwae_model.plan(options, len(images))
    steps_per_epoch = split // batch_size
    start = time.monotonic()
    earlier = max((line["seconds"] for line in this_run.logged()), default=0.0)
    marks: list[tuple[int, float]] = []

    with run.progress("training", epochs * steps_per_epoch) as show:

        def on_progress(state: training.FitProgress) -> None:
            marks.append((state.step, time.monotonic()))
            show(state.step, f"bound {state.bound:.2f}")
            if state.epoch is not None:
                this_run.log({**state.epoch, "seconds": earlier + time.monotonic() - start})

        result = training.fit(
            jax.random.key(options.seed), params, images[:split], model=model,
            estimator=objectives.estimator(options.objective, options.settings),
            num_samples=options.num_samples,
            optimizer=iwae_model.optimizer(options, len(images)), batch_size=batch_size,
            num_epochs=epochs, max_pairs=max_pairs,
            validation_images=images[split:] if held_out else None,
            checkpoint_dir=this_run.folder / "checkpoints", on_progress=on_progress,
        )  # fmt: skip
    rate = None
    if len(marks) > 1:
        # The first scan has the compilation in it.
        (first, began), (last, ended) = marks[0], marks[-1]
        rate = (last - first) / (ended - began)
    seconds = max((line["seconds"] for line in this_run.logged()), default=0.0)
    return result, {"train_seconds": seconds, "steps_per_second": rate}


def main(options: Options) -> run.Summary:
    """Trains an importance-weighted autoencoder and measures its log-likelihood."""
    images = data.load(options.dataset, "train", data_dir=options.data_dir).images
    test = data.load(options.dataset, "test", data_dir=options.data_dir).images
    iwae_model.plan(options, len(images))
    test = run.evenly_spaced(test, options.evaluation_images)
    model, params = iwae_model.build(options, images)
    return run.carry_out(
        options, name="train_iwae", case=options.dataset,
        work=partial(work, options, model, params, images, test), report=partial(report, options),
    )  # fmt: skip


def published_nll(options: Options) -> float | None:
    """The paper's number for this network, data set and K; None where it has none."""
    size = lambda options: (options.latents, options.hidden_size, options.latent_size)
    if size(options) != size(Options):
        return None
    return IWAE_NLL.get((options.dataset, options.layers, options.num_samples))


def work(options: Options, model, params, images, test, this_run: run.Run) -> run.Summary:
    """Trains, evaluates and draws."""
    result, times = train(options, model, params, images, this_run)
    xs = image_evaluation.binarised(test, seed=options.seed)
    start = time.monotonic()
    with run.progress("evaluation", len(xs)) as show:
        measured = image_evaluation.log_likelihood(
            result.params, xs, seed=options.seed, model=model,
            num_samples=options.evaluation_samples, show=show,
        )  # fmt: skip
    eval_seconds = time.monotonic() - start
    key = image_evaluation.evaluation_key(options.seed)
    units = evaluation.active_units(key, result.params, xs[:1000], model=model)
    active = [int(layer.sum()) for layer in jax.tree.leaves(units)]
    pixel_mean = jnp.clip(images.mean(0) / 255.0, 0.001, 0.999)
    independent = jax.vmap(densities.bernoulli_log_prob, (None, 0))(
        jax.scipy.special.logit(pixel_mean), xs
    )
    title = (
        f"{options.dataset}, {options.objective}, K = {options.num_samples}, L = {options.layers}"
    )
    key = keys.tagged(jax.random.key(options.seed), keys.ILLUSTRATION)
    iwae_pictures.draw_all(key, model, result, test, xs, title, this_run.folder)

    nll, nll_se = run.mean_and_error(-measured.bound)
    elbo, elbo_se = run.mean_and_error(measured.elbo)
    ess, ess_se = run.mean_and_error(measured.effective_sample_size)
    baseline, baseline_se = run.mean_and_error(-independent)
    return {
        "dataset": options.dataset,
        "objective": options.objective,
        "latents": options.latents,
        "num_samples": options.num_samples,
        "layers": options.layers,
        "epochs": iwae_model.plan(options, len(images)).epochs,
        "test_nll": nll,
        "test_nll_se": nll_se,
        "test_elbo": elbo,
        "test_elbo_se": elbo_se,
        "test_ess": ess,
        "test_ess_se": ess_se,
        "test_images": len(test),
        "evaluation_samples": options.evaluation_samples,
        "independent_pixels_nll": baseline,
        "independent_pixels_nll_se": baseline_se,
        "published_nll": published_nll(options),
        "active_units": active[0] if options.layers == 1 else active,
        "train_seconds": times["train_seconds"],
        "eval_seconds": eval_seconds,
        "steps_per_second": times["steps_per_second"],
    }


def report(options: Options, summary: run.Summary) -> None:
    """Prints the closing table, the published number beside ours."""
    number = lambda name: "" if summary[name] is None else f"{summary[name]:.2f}"
    budget = f"{summary['epochs']} passes"
    source = "" if summary["published_nll"] is None else "3280 passes, Burda et al. (2016)"
    rows = [
        ["test NLL (nats)", number("test_nll"), number("test_nll_se"), budget],
        ["  published", number("published_nll") or "none", "", source],
        ["  independent pixels", number("independent_pixels_nll"),
         number("independent_pixels_nll_se"), "what a model of the mean image has"],
        ["test ELBO (nats)", number("test_elbo"), number("test_elbo_se"), ""],
        ["effective samples", number("test_ess"), number("test_ess_se"),
         f"of {summary['evaluation_samples']}"],
        ["active units", str(summary["active_units"]), "", ""],
        ["training (s)", number("train_seconds"), "", f"{number('steps_per_second')} steps/s"],
        ["evaluation (s)", number("eval_seconds"), "", f"{summary['test_images']} images"],
    ]  # fmt: skip
    title = f"{options.dataset}, {options.objective}, K = {options.num_samples}"
    run.print_table(title, ["", "measured", "std. error", ""], rows)


if __name__ == "__main__":
    run.command_line(main, Options)
