"""The densities that the experiments with flows compare, and how each is fitted and run."""

import functools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iwae_jax import LatentVariableModel, Params, anomaly, estimators, flows, training
from iwae_jax.types import Array, Key, PyTree

SCORED_AT_ONCE, GRADIENTS_AT_ONCE = 1000, 128
NUM_CLASSES = 10


class Recipe(NamedTuple):
    """An architecture's name, and how it is trained unless told otherwise."""

    name: str
    batch_size: int
    learning_rate: float
    steps_per_scan: int


RECIPES = {
    "whitened": Recipe("RealNVP", 256, 1e-3, 50),
    # XLA's convolutions are five times slower in a loop than outside, on a CPU: JAX's issue 12868.
    "multi_scale": Recipe("multi-scale flow", 32, 2e-3, 1),
}


class Density(NamedTuple):
    """A flow over images, with its parameters."""

    flow: flows.Flow
    params: PyTree


def pixels(event_shape: tuple[int, ...], alpha: float):
    """The logit with its alpha; an alpha of 0 leaves the pixels on [0, 1]."""
    if alpha == 0.0:
        return flows.unit_pixels(event_shape)
    return flows.logit_pixels(event_shape, alpha=alpha)


def noisy(images: np.ndarray) -> np.ndarray:
    """Grey levels with uniform noise, for what has a closed form."""
    noise = np.random.default_rng(0).random(images.shape, np.float32)
    return np.minimum(images.astype(np.float32) + noise, np.float32(255.999))


def gaussian(images: np.ndarray, *, alpha: float) -> Density:
    """The Gaussian with the mean and covariance of the data, in closed form."""
    shape = images.shape[1:]
    size = int(np.prod(shape))
    layers = [flows.whitening((size,)), flows.flatten(shape), pixels(shape, alpha)]
    flow, params = flows.transformed(flows.standard_normal((size,)), flows.chain(layers))
    return Density(flow, flow.initialise(params, noisy(images)))


def class_mixture(images: np.ndarray, labels: np.ndarray, *, alpha: float) -> Density:
    """A Gaussian for each class, its covariance shrunk towards that of all, in closed form."""
    shape = images.shape[1:]
    size = int(np.prod(shape))
    layer = flows.chain([flows.flatten(shape), pixels(shape, alpha)])
    base = flows.gaussian_mixture(num_components=NUM_CLASSES, size=size)
    flow, params = flows.transformed(base, layer)
    zs = encoded(Density(flow, params), noisy(images), lambda z: z)
    fitted = flows.class_gaussians(zs, labels, num_classes=NUM_CLASSES)
    return Density(flow, params | {"base": fitted})


def realnvp(
    key: Key,
    event_shape: tuple[int, ...],
    *,
    alpha: float,
    num_blocks: int,
    hidden_size: int,
    num_leading: int,
) -> Density:
    """A whitened RealNVP over a mixture of the classes in its leading components.

    The components are sorted by their variance; those after the leading ones, where the classes
    are alike, keep a standard normal. Without leading ones this is `flows.realnvp`.
    """
    size = int(np.prod(event_shape))
    flow, params = flows.realnvp(
        key, event_shape, num_blocks=num_blocks, hidden_sizes=(hidden_size,) * 2,
        preprocessing=pixels(event_shape, alpha),
    )  # fmt: skip
    if not num_leading:
        return Density(flow, params)
    bijection = flows.Bijection(
        lambda own, z: flow.forward_and_log_det({"bijection": own}, z),
        lambda own, x: flow.inverse_and_log_det({"bijection": own}, x),
        lambda own, xs: flow.initialise({"bijection": own}, xs)["bijection"],
    )
    split = flows.factor_out(flows.chain([]), num_channels=num_leading)
    base = flows.product(
        [
            flows.gaussian_mixture(num_components=NUM_CLASSES, size=num_leading),
            flows.standard_normal((size - num_leading,)),
        ]
    )
    layer = flows.chain([split, (bijection, params["bijection"])])
    return Density(*flows.transformed(base, layer))


def multi_scale(
    key: Key,
    event_shape: tuple[int, ...],
    *,
    alpha: float,
    num_scales: int,
    width: int,
    num_bins: int,
) -> Density:
    """A convolutional flow over patches of 2x2 pixels, as channels; no bins: affine couplings."""
    image = (*event_shape, 1)
    patches = (event_shape[0] // 2, event_shape[1] // 2, 4)
    to_vector = flows.invert(flows.flatten(image)[0]), ()
    layers = [flows.squeeze(image), to_vector, flows.flatten(event_shape)]
    layers.append(pixels(event_shape, alpha))
    transformer = flows.rational_quadratic(num_bins=num_bins) if num_bins else flows.affine()
    flow, params = flows.multi_scale_realnvp(
        key, patches, num_scales=num_scales, width=width, num_residual_blocks=1,
        transformer=transformer, preprocessing=flows.chain(layers),
    )  # fmt: skip
    return Density(flow, params)


def initialised(density: Density, images: np.ndarray, labels: np.ndarray) -> Density:
    """What has a closed form, from the data: the components, and the classes' Gaussians."""
    flow, params = density
    params = flow.initialise(params, noisy(images))
    if params["base"]:
        zs = encoded(Density(flow, params), noisy(images), lambda z: z[0])
        mixture = flows.class_gaussians(zs, labels, num_classes=NUM_CLASSES)
        params = params | {"base": [mixture, *params["base"][1:]]}
    return Density(flow, params)


def with_networks(fitted: PyTree, built: PyTree) -> PyTree:
    """Parameters with the networks of one training and the closed forms of the data."""
    if isinstance(fitted, dict) and "hidden" in fitted:
        return built
    if isinstance(fitted, dict):
        return {name: with_networks(fitted[name], built[name]) for name in fitted}
    if isinstance(fitted, list | tuple):
        return type(fitted)(map(with_networks, fitted, built))
    return fitted


def encoded(density: Density, xs: np.ndarray, part: Callable[[PyTree], Array]) -> np.ndarray:
    """A part of the latents of data."""

    def latent(params: PyTree, x: Array) -> Array:
        return part(density.flow.inverse_and_log_det(params, x)[0])

    return in_pieces(jax.jit(jax.vmap(latent, (None, 0))), density.params, xs)


@partial(jax.jit, static_argnames="flow")
def _log_probs(params: PyTree, xs: Array, *, flow: flows.Flow) -> Array:
    return jax.vmap(flow.log_prob, (None, 0))(params, xs)


@partial(jax.jit, static_argnames="flow")
def _midpoint_log_probs(params: PyTree, images: Array, *, flow: flows.Flow) -> Array:
    return _log_probs(params, flows.midpoints(images), flow=flow)


def log_probs(density: Density, images: np.ndarray) -> np.ndarray:
    """Log p of each image at the middles of its grey levels, in nats: no noise, so it repeats."""
    return in_pieces(partial(_midpoint_log_probs, flow=density.flow), density.params, images)


@partial(jax.jit, static_argnames="flow")
def _gradient_norms(params: PyTree, xs: Array, *, flow: flows.Flow) -> Array:
    one = partial(anomaly.gradient_norm, params, log_prob=flow.log_prob)
    return jax.lax.map(one, xs, batch_size=16)


def gradient_norms(density: Density, images: np.ndarray) -> np.ndarray:
    """`anomaly.gradient_norm` of each image, at the middles of its grey levels."""
    score = partial(_gradient_norms, flow=density.flow)
    xs = images.astype(np.float32) + np.float32(0.5)
    return in_pieces(score, density.params, xs, size=GRADIENTS_AT_ONCE)


def attributions(density: Density, images: np.ndarray) -> np.ndarray:
    """How log p would change with each pixel, in nats per grey level."""
    slope = jax.jit(jax.vmap(jax.grad(density.flow.log_prob, argnums=1), (None, 0)))
    return np.asarray(slope(density.params, flows.midpoints(images)))


def in_pieces(
    function, params: PyTree, xs: np.ndarray, *, size: int = SCORED_AT_ONCE
) -> np.ndarray:
    """A function of the parameters and many data, of data in pieces of one size."""
    pieces = []
    for first in range(0, len(xs), size):
        piece = xs[first : first + size]
        # Filled up, so that one program runs all pieces of all data.
        filling = np.repeat(piece[-1:], size - len(piece), axis=0)
        result = function(params, np.concatenate([piece, filling]))
        pieces.append(np.asarray(result)[: len(piece)])
    return np.concatenate(pieces)


# One model and one optimiser for all seeds: a new one would compile the training again.
@functools.cache
def _model(flow: flows.Flow) -> LatentVariableModel:
    return flows.uniform_dequantisation((), flow=flow)[0]


@functools.cache
def _optimizer(num_steps: int, learning_rate: float) -> optax.GradientTransformation:
    schedule = training.short_optimizer(num_steps=num_steps, learning_rate=learning_rate)
    return optax.chain(optax.clip_by_global_norm(500.0), schedule)


def train(
    key: Key,
    density: Density,
    images: np.ndarray,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    steps_per_scan: int,
    validation_images: np.ndarray,
    checkpoint_dir,
    on_progress: Callable[[training.FitProgress], None],
) -> Density:
    """Maximises the dequantised log-likelihood along a cosine, with clipped gradients."""
    params = Params(generative=density.params, inference=())
    num_steps = epochs * (len(images) // batch_size)
    result = training.fit(
        key, params, images, model=_model(density.flow), estimator=estimators.pathwise,
        num_samples=1, optimizer=_optimizer(num_steps, learning_rate), batch_size=batch_size,
        num_epochs=epochs, steps_per_scan=steps_per_scan, observe=flows.grey_levels,
        validation_images=validation_images, checkpoint_dir=checkpoint_dir,
        on_progress=on_progress,
    )  # fmt: skip
    return Density(density.flow, result.best_params.generative)


def test_bits(density: Density, images: np.ndarray, *, seed: int) -> tuple[float, float]:
    """Bits per pixel of test images under uniform dequantisation, with the standard error."""
    noise = np.random.default_rng(seed).random(images.shape, np.float32)
    xs = np.minimum(images.astype(np.float32) + noise, np.float32(255.999))
    values = in_pieces(partial(_log_probs, flow=density.flow), density.params, xs)
    bits = flows.bits_per_dim(values, size=images[0].size)
    return float(bits.mean()), float(bits.std(ddof=1) / np.sqrt(len(bits)))


def num_parameters(params: PyTree) -> int:
    """Numbers that are trained or fitted."""
    return sum(jnp.size(leaf) for leaf in jax.tree.leaves(params))
