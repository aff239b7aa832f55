"""Pictures of trained priors: where they lie, what they dream, and what they gain."""

import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from experiments import figures, prior_exact
from iwae_jax import LatentVariableModel
from iwae_jax.types import Array, Key, PyTree


@partial(jax.jit, static_argnames="model")
def dreams(draws: Key, theta: PyTree, *, model: LatentVariableModel) -> Array:
    """Mean images of draws of the prior."""

    def dream(key: Key) -> Array:
        prior_key, likelihood_key = jax.random.split(key)
        z = model.generative.sample_prior(prior_key, theta)
        pixels = jax.random.split(likelihood_key, 200)
        sample = jax.vmap(model.generative.sample_likelihood, (0, None, None))
        return jnp.mean(sample(pixels, theta, z), axis=0)

    return jax.vmap(dream)(draws)


def _ellipse(axis, mean: np.ndarray, variance: np.ndarray, **style: Any) -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    axis.plot(*(np.array(mean)[:, None] + np.sqrt(variance)[:, None] * circle), **style)


def draw_exact(fit: prior_exact.Fit, rows: list[dict[str, Any]], folder: pathlib.Path) -> None:
    """The prior before and after, and the variance of the gradients."""
    figure, axis = plt.subplots(figsize=(4.6, 4.0))
    numbers = fit.numbers
    _ellipse(axis, np.zeros(2), np.ones(2), ls=":", color="gray", label="start")
    _ellipse(axis, numbers["lambda_mean_true"], numbers["lambda_variance_true"], lw=4, alpha=0.3,
             label="true")  # fmt: skip
    _ellipse(axis, numbers["lambda_mean"], numbers["lambda_variance"], color="C3", label="learnt")
    axis.set(
        xlabel="z_1", ylabel="z_2", aspect="equal", title="One standard deviation of the prior"
    )
    axis.legend()
    figures.save(figure, folder / "prior.png")

    figure, axis = plt.subplots(figsize=(7.0, 3.4))
    parts = ("theta", "lambda", "phi")
    for index, row in enumerate(rows):
        heights = [row[f"variance_{part}"] for part in parts]
        places = np.arange(len(parts)) + 0.2 * (index - 1.5)
        axis.bar(places, heights, 0.2, label=row["estimator"])
        for place, height in zip(places, heights, strict=True):
            if height < 1e-20:
                axis.text(place, 1.3e-2, "0", ha="center")
    axis.set(yscale="log", xticks=range(len(parts)), ylabel="variance per draw of z",
             ylim=(1e-2, None), title="Gradients of the ELBO, of the mean over 8 data")  # fmt: skip
    axis.set_xticklabels(parts)
    axis.legend()
    figures.save(figure, folder / "gradient_variance.png")


def draw_images(
    cases: list[dict[str, Any]], found: dict, dataset: str, folder: pathlib.Path
) -> None:
    """The test NLL of every pair, and samples of every prior."""
    posteriors = list(dict.fromkeys(case["posterior"] for case in cases))
    names = list(dict.fromkeys(case["prior"] for case in cases))
    figure, axis = plt.subplots(figsize=(1.6 + 1.1 * len(names), 3.8))
    for index, posterior in enumerate(posteriors):
        own = [case for case in cases if case["posterior"] == posterior]
        shift = 0.15 * (index - (len(posteriors) - 1) / 2)
        axis.errorbar(
            [names.index(case["prior"]) + shift for case in own],
            [case["test_nll"] for case in own],
            [2.0 * case["test_nll_se"] for case in own],
            fmt="o", capsize=3, label=f"{posterior} q",
        )  # fmt: skip
    axis.set(xticks=range(len(names)), ylabel="test NLL (nats), 2 std. errors", xlabel="prior",
             title=f"{dataset}: every prior with every posterior")  # fmt: skip
    axis.set_xticklabels(names)
    axis.legend()
    figures.save(figure, folder / "test_nll.png")

    pairs = list(found)
    samples = [np.asarray(found[pair][0].samples) for pair in pairs]
    labels = [f"{prior} / {posterior}" for prior, posterior in pairs]
    figures.save(
        figures.image_rows(samples, labels, f"Samples: prior / posterior ({dataset})"),
        folder / "samples.png",
    )
