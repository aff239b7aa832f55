"""Learn the prior of a VAE: exactly, and on images, for every pair of a prior and a posterior.

Claim: with theta known, the prior's moments are found from data, and with them log p(x); the
divergence in closed form takes all variance out of lambda's gradient. On images a learnt prior
beats N(0, I) at equal budget.

    python -m experiments.trainable_prior                     (the exact case: 1 minute)
    python -m experiments.trainable_prior --dataset digits --epochs 40                (14 minutes)
    python -m experiments.trainable_prior --dataset mnist --priors standard mixture vamp flow
                                          --posteriors diagonal --seeds 3 --epochs 15
                                          (RealNVP prior: 3.8 nats better than N(0, I))
"""

import dataclasses
import itertools
import pathlib
import time
from functools import partial
from typing import Literal, NamedTuple

import jax
import numpy as np

from experiments import (
    image_evaluation,
    prior_exact,
    prior_models,
    prior_pictures,
    prior_tables,
    run,
)
from experiments.prior_models import POSTERIORS, PRIORS
from iwae_jax import data, estimators, evaluation, keys, training
from iwae_jax.types import Array

NUM_GRADIENTS = 4000


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the study."""

    dataset: Literal["gaussian", "digits", "mnist", "fashion_mnist", "omniglot"] = "gaussian"
    """the exact linear-Gaussian case, or images"""
    priors: tuple[str, ...] = PRIORS
    """priors of the images' models"""
    posteriors: tuple[str, ...] = POSTERIORS
    """posteriors of the images' models; each goes with each prior, layers with layers"""
    seeds: int = 1
    """trainings of each pair, from --seed on"""
    num_samples: int = 1
    """K of the bound that is trained, by its pathwise gradient"""
    epochs: int = 100
    """passes over the data"""
    batch_size: int = 100
    """data in a batch"""
    learning_rate: float = 3e-3
    """highest learning rate, reached after 1/60 of the updates; then half a cosine"""
    latent_size: int = 20
    """dimension of z (its lower layer, where there are two)"""
    hidden_size: int = 200
    """width of the tanh layers"""
    num_components: int = 20
    """components of the mixture and of the VampPrior"""
    flow_size: int = 64
    """width of the networks of flows"""
    num_data: int = 5000
    """data drawn for the exact case, and as many for its test"""
    evaluation_samples: int = 500
    """samples of the bound that is reported as log-likelihood"""
    evaluation_images: int | None = None
    """test images that are evaluated, evenly spaced; by default all"""
    data_dir: pathlib.Path | None = None
    """tensorflow-datasets' folder; by default its own default"""


class Trained(NamedTuple):
    """What is kept of one training.

    Attributes:
      log_likelihoods: ``[N]``, the bound of each test image.
      active_units: their number, in all layers.
      samples: ``[n, H, W]``, mean images of draws of the prior.
      seconds: the time of the training.
    """

    log_likelihoods: np.ndarray
    active_units: int
    samples: np.ndarray
    seconds: float


def checked(options: Options) -> list[tuple[str, str]]:
    """The pairs; refuses what cannot be run before anything is written."""
    for option, known in (("priors", PRIORS), ("posteriors", POSTERIORS)):
        for name in getattr(options, option):
            if name not in known:
                raise run.BadInput(f"--{option} has {name!r}; known: {', '.join(known)}.")
    # A flow has two halves of the latents, and a quarter of the hidden units for its context.
    run.at_least(
        options, seeds=1, num_samples=1, epochs=1, batch_size=1, latent_size=2, hidden_size=4,
        num_components=1, flow_size=1, num_data=500, evaluation_samples=2, evaluation_images=2,
    )  # fmt: skip
    if options.learning_rate <= 0.0:
        raise run.BadInput("--learning-rate must be positive.")
    pairs = itertools.product(dict.fromkeys(options.priors), dict.fromkeys(options.posteriors))
    fitting = [pair for pair in pairs if prior_models.fits(*pair)]
    if not fitting:
        raise run.BadInput("no prior fits a posterior: autoregressive goes with hierarchical.")
    return fitting


def main(options: Options) -> run.Summary:
    """Learns the prior of a VAE, exactly or on images."""
    pairs = checked(options)
    if options.dataset == "gaussian":
        return run.carry_out(
            options, name="trainable_prior", case="gaussian",
            work=partial(exact_case, options), report=prior_tables.report_exact,
        )  # fmt: skip
    load = partial(data.load, options.dataset, data_dir=options.data_dir)
    images, test = load("train").images, load("test").images
    if options.batch_size > len(images):
        raise run.BadInput(f"--batch-size must be at most {len(images)}, the images.")
    if options.num_components > len(images):
        raise run.BadInput(f"--num-components must be at most {len(images)}, the images.")
    test = run.evenly_spaced(test, options.evaluation_images)
    return run.carry_out(
        options, name="trainable_prior", case=options.dataset,
        work=partial(image_cases, options, pairs, images, test),
        report=partial(prior_tables.report_images, options),
    )  # fmt: skip


def exact_case(options: Options, this_run: run.Run) -> run.Summary:
    """Recovers a known prior, and compares the gradients."""
    start = time.monotonic()
    with run.progress("training", options.epochs * (options.num_data // 100)) as show:

        def on_progress(state: training.FitProgress) -> None:
            show(state.step, f"bound {state.bound:.3f}")
            if state.epoch is not None:
                this_run.log(state.epoch)

        fit = prior_exact.fit(options.seed, options.num_data, options.epochs, on_progress)
    rows = prior_exact.compare_gradients(options.seed, NUM_GRADIENTS)
    prior_pictures.draw_exact(fit, rows, this_run.folder)
    case = {"prior": "diagonal", "posterior": "full"}
    case |= {name: fit.numbers[name] for name in ("test_nll", "test_nll_se", "active_units")}
    return {
        "dataset": "gaussian", "cases": [case], "num_data": options.num_data,
        **fit.numbers, "gradients": rows, "num_gradients": NUM_GRADIENTS,
        "seconds": time.monotonic() - start,
    }  # fmt: skip


def trained(
    options: Options, pair: tuple[str, str], seed: int, images, xs: Array, this_run, show
) -> Trained:
    """One training and what is measured of it, or what is kept of it from before a stop."""
    folder = this_run.folder / "cases" / f"{pair[0]}-{pair[1]}-{seed}"
    if (folder / "measured.npz").exists():
        with np.load(folder / "measured.npz") as kept:
            return Trained(*(kept[name] for name in Trained._fields))
    root = jax.random.key(seed)
    sizes = prior_models.Sizes(
        options.latent_size, options.hidden_size, options.num_components, options.flow_size
    )
    case = prior_models.build(
        keys.tagged(root, keys.INITIALISATION), *pair, images=images, sizes=sizes
    )
    num_steps = options.epochs * (len(images) // options.batch_size)
    start = time.monotonic()
    result = training.fit(
        root, case.params, images, model=case.model,
        estimator=case.wrapped(estimators.pathwise), num_samples=options.num_samples,
        optimizer=training.short_optimizer(
            num_steps=num_steps, learning_rate=options.learning_rate, warmup_steps=num_steps // 60
        ),
        batch_size=options.batch_size, num_epochs=options.epochs,
        checkpoint_dir=folder / "checkpoints",
        on_progress=lambda state: show(state.step, f"bound {state.bound:.2f}"),
    )  # fmt: skip
    seconds = time.monotonic() - start
    params, key = case.read(result.params), image_evaluation.evaluation_key(seed)
    measured = image_evaluation.log_likelihood(
        params, xs, seed=seed, model=case.model, num_samples=options.evaluation_samples,
        chunk_size=100,
    )  # fmt: skip
    units = evaluation.active_units(key, params, xs[:500], model=case.model)
    draws = jax.random.split(keys.tagged(root, keys.ILLUSTRATION), 10)
    found = Trained(
        np.asarray(measured.bound),
        sum(int(layer.sum()) for layer in jax.tree.leaves(units)),
        np.asarray(prior_pictures.dreams(draws, params.generative, model=case.model)),
        seconds,
    )
    part = folder / "measured.part"
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **found._asdict())
    part.replace(folder / "measured.npz")
    return found


def image_cases(options: Options, pairs, images, test, this_run: run.Run) -> run.Summary:
    """Trains every pair from every seed, and compares them on the same test images."""
    start = time.monotonic()
    xs = image_evaluation.binarised(test, seed=options.seed)
    steps = options.epochs * (len(images) // options.batch_size)
    trainings = list(itertools.product(pairs, range(options.seeds)))
    found: dict[tuple[str, str], list[Trained]] = {pair: [] for pair in pairs}
    with run.progress("training", steps * len(trainings)) as show:
        for index, (pair, number) in enumerate(trainings):
            note = lambda step, text, i=index, p=pair: show(
                i * steps + step, f"{p[0]} prior, {p[1]} q: {text}"
            )
            one = trained(options, pair, options.seed + number, images, xs, this_run, note)
            found[pair].append(one)
            this_run.log(
                {"step": index, "prior": pair[0], "posterior": pair[1],
                 "seed": options.seed + number, "test_nll": float(-one.log_likelihoods.mean()),
                 "active_units": int(one.active_units), "train_seconds": float(one.seconds)}
            )  # fmt: skip
    cases = [prior_tables.line(pair, found) for pair in pairs]
    prior_pictures.draw_images(cases, found, options.dataset, this_run.folder)
    return {
        "dataset": options.dataset, "cases": cases, "seeds": options.seeds,
        "epochs": options.epochs, "num_samples": options.num_samples,
        "evaluation_samples": options.evaluation_samples, "test_images": len(test),
        "seconds": time.monotonic() - start,
    }  # fmt: skip


if __name__ == "__main__":
    run.command_line(main, Options)
