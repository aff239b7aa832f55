"""Pictures of a trained autoencoder: learning curves, samples, reconstructions, bound against K."""

import pathlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments import figures
from iwae_jax import LatentVariableModel, Params, bounds, training, weights
from iwae_jax.types import Array, Key, PyTree

CURVE_NUM_SAMPLES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
CURVE_REPEATS = 10


def draw_all(
    key: Key,
    model: LatentVariableModel,
    result: training.FitResult,
    grey: np.ndarray,
    xs: Array,
    title: str,
    folder: pathlib.Path,
) -> None:
    """Draws the learning curves, samples, reconstructions, and the bound against K."""
    theta, phi = result.params.generative, result.params.inference

    def mean_image(key: Key, z: PyTree) -> Array:
        draws = jax.random.split(key, 200)
        return jax.vmap(model.generative.sample_likelihood, (0, None, None))(draws, theta, z).mean(
            0
        )

    @jax.jit
    def dream(key: Key) -> Array:
        prior_key, likelihood_key = jax.random.split(key)
        return mean_image(likelihood_key, model.generative.sample_prior(prior_key, theta))

    @jax.jit
    def reconstruct(key: Key, x: Array) -> Array:
        posterior_key, likelihood_key = jax.random.split(key)
        q = model.inference.encode(phi, x)
        z, _ = model.inference.sample_and_log_prob(posterior_key, phi, q)
        return mean_image(likelihood_key, z)

    dreams = np.asarray(jax.vmap(dream)(jax.random.split(jax.random.fold_in(key, 0), 40)))
    figures.save(
        figures.image_rows(list(dreams.reshape(4, 10, *dreams.shape[1:])), [""] * 4,
                           f"Samples from the prior ({title})"),
        folder / "samples.png",
    )  # fmt: skip
    chosen = np.linspace(0, len(xs) - 1, 10).astype(int)
    rebuilt = jax.vmap(reconstruct)(jax.random.split(jax.random.fold_in(key, 1), 10), xs[chosen])
    figures.save(
        figures.image_rows([grey[chosen] / 255.0, np.asarray(xs[chosen]), np.asarray(rebuilt)],
                           ["test image", "binarised", "rebuilt"], f"Reconstructions ({title})"),
        folder / "reconstructions.png",
    )  # fmt: skip
    figures.save(figures.learning_curves(result.history, title), folder / "learning_curves.png")

    curve = jax.jit(partial(bound_curve, model=model))
    curves = [curve(jax.random.fold_in(key, 100 + i), result.params, xs[i]) for i in chosen[:8]]
    means, errors = (np.stack(part) for part in zip(*curves, strict=True))
    figures.save(
        figures.bound_curves(
            CURVE_NUM_SAMPLES,
            means,
            errors,
            f"The bound on log p(x) against K, with 2 standard errors ({title})",
        ),
        folder / "bound_vs_samples.png",
    )


def bound_curve(
    key: Key, params: Params, x: Array, *, model: LatentVariableModel
) -> tuple[Array, Array]:
    """Bound of one image at each K of the curve, and its standard error, from the same samples."""
    log_weights = weights.log_weights(
        key,
        params,
        x,
        model=model,
        num_samples=CURVE_REPEATS * CURVE_NUM_SAMPLES[-1],
        over_samples=weights.chunked(1000),
    )
    groups = [jax.vmap(bounds.iwae)(log_weights.reshape(-1, k)) for k in CURVE_NUM_SAMPLES]
    means = jnp.stack([group.mean() for group in groups])
    errors = jnp.stack([group.std(ddof=1) / np.sqrt(group.size) for group in groups])
    return means, errors
