"""Affine layers: per channel, over channels, and the whitening that has a closed form."""

import math
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Bijection
from iwae_jax.types import Array, Key, PyTree


def _shape(event_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(event_shape)
    if not shape or math.prod(shape) < 1:
        raise ValueError(f"event_shape must have positive sizes, one or more; got {shape}.")
    return shape


def scaling(event_shape: Sequence[int]) -> Layer:
    r"""A scale for each entry.

    .. math:: x = e^s z

    Args:
      event_shape: shape of the event.

    Returns:
      The bijection, and s, ``event_shape``, zero at the start.

    Raises:
      ValueError: the shape is empty.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, _ = flows.scaling((2,))
      >>> x, log_det = layer.forward_and_log_det(jnp.array([1.0, 2.0]), jnp.ones(2))
      >>> float(log_det)
      3.0

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    shape = _shape(event_shape)

    def forward_and_log_det(log_scale: Array, z: Array) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        return jnp.exp(log_scale) * z, jnp.sum(log_scale)

    def inverse_and_log_det(log_scale: Array, x: Array) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        return jnp.exp(-log_scale) * x, -jnp.sum(log_scale)

    return _ignoring_context(forward_and_log_det, inverse_and_log_det), jnp.zeros(shape)


def act_norm(event_shape: Sequence[int], *, variance_floor: float = 1e-6) -> Layer:
    r"""A scale and a shift for each channel, the last axis.

    .. math:: x = e^s z + m

    Its initialisation makes the latents of the batch have mean 0 and variance 1 in every channel.

    Args:
      event_shape: shape of the event; of a vector every entry is a channel.
      variance_floor: what is added to the variances, for channels that do not vary.

    Returns:
      The bijection, and its parameters, the identity's at the start.

    Raises:
      ValueError: the shape is empty.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.act_norm((1,))
      >>> params = layer.initialise(params, jnp.array([[1.0], [3.0]]))
      >>> layer.inverse_and_log_det(params, jnp.array([3.0]))[0].round(3).tolist()
      [1.0]

    References:
      Kingma and Dhariwal (2018), Glow: Generative Flow with Invertible 1x1 Convolutions, section
      3.1, arXiv:1807.03039.
    """
    shape = _shape(event_shape)
    repeats = math.prod(shape[:-1])

    def forward_and_log_det(params: PyTree, z: Array) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        x = jnp.exp(params["log_scale"]) * z + params["shift"]
        return x, repeats * jnp.sum(params["log_scale"])

    def inverse_and_log_det(params: PyTree, x: Array) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        z = jnp.exp(-params["log_scale"]) * (x - params["shift"])
        return z, -repeats * jnp.sum(params["log_scale"])

    def initialise(params: PyTree, xs: Array, *contexts: PyTree) -> PyTree:
        flat = xs.reshape(-1, shape[-1])
        log_scale = 0.5 * jnp.log(jnp.var(flat, axis=0) + variance_floor)
        return {"log_scale": log_scale, "shift": jnp.mean(flat, axis=0)}

    params = {"log_scale": jnp.zeros(shape[-1]), "shift": jnp.zeros(shape[-1])}
    bijection = _ignoring_context(forward_and_log_det, inverse_and_log_det)
    return bijection._replace(initialise=initialise), params


def lu_linear(key: Key, event_shape: Sequence[int]) -> Layer:
    r"""A matrix over the last axis, as a product of triangular ones: on images, a 1x1 convolution.

    .. math:: x = L U z, \quad \log |\det| = \sum_i \log u_{ii}

    It starts as a random rotation, with no permutation: the order of a rotation's rows is free.

    Args:
      key: key of the initial rotation, ``[]``.
      event_shape: shape of the event.

    Returns:
      The bijection and its parameters.

    Raises:
      ValueError: the shape is empty.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.lu_linear(jax.random.key(0), (4, 4, 3))
      >>> x, log_det = layer.forward_and_log_det(params, jnp.ones((4, 4, 3)))
      >>> bool(abs(log_det) < 1e-4)
      True

    References:
      Kingma and Dhariwal (2018), Glow: Generative Flow with Invertible 1x1 Convolutions, section
      3.2, arXiv:1807.03039.
    """
    shape = _shape(event_shape)
    size, repeats = shape[-1], math.prod(shape[:-1])
    rotation = jnp.linalg.qr(jax.random.normal(key, (size, size)))[0]
    _, lower, upper = jax.scipy.linalg.lu(rotation)
    # The sign of a column of the rotation is free too, so that the diagonal can be positive.
    upper = upper * jnp.sign(jnp.diagonal(upper))
    params = {
        "lower": jnp.tril(lower, -1),
        "upper": jnp.triu(upper, 1),
        "log_diagonal": jnp.log(jnp.diagonal(upper)),
    }

    def factors(params: PyTree) -> tuple[Array, Array]:
        lower = jnp.tril(params["lower"], -1) + jnp.eye(size, dtype=params["lower"].dtype)
        upper = jnp.triu(params["upper"], 1) + jnp.diag(jnp.exp(params["log_diagonal"]))
        return lower, upper

    def forward_and_log_det(params: PyTree, z: Array) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        lower, upper = factors(params)
        return z @ upper.T @ lower.T, repeats * jnp.sum(params["log_diagonal"])

    def inverse_and_log_det(params: PyTree, x: Array) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        lower, upper = factors(params)
        columns = x.reshape(-1, size).T
        solve = jax.scipy.linalg.solve_triangular
        columns = solve(upper, solve(lower, columns, lower=True, unit_diagonal=True))
        return columns.T.reshape(shape), -repeats * jnp.sum(params["log_diagonal"])

    return _ignoring_context(forward_and_log_det, inverse_and_log_det), params


def whitening(event_shape: Sequence[int], *, variance_floor: float = 1e-9) -> Layer:
    r"""Principal components of the data, each scaled to variance 1: a Gaussian's exact flow.

    .. math:: x = m + V e^s z, \quad V^\top V = I

    Its initialisation has a closed form, after which a standard normal base makes it the Gaussian
    of highest likelihood. Training moves m and s; the directions V stay, so that they stay
    orthogonal.

    Args:
      event_shape: shape of the event, read as a vector.
      variance_floor: what is added to the variances, for directions in which nothing varies.

    Returns:
      The bijection, and its parameters, the identity's at the start.

    Raises:
      ValueError: the shape is empty.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> xs = jax.random.normal(jax.random.key(0), (500, 2)) @ jnp.array([[2.0, 1.0], [0.0, 0.5]])
      >>> layer, params = flows.whitening((2,))
      >>> params = layer.initialise(params, xs)
      >>> zs = jax.vmap(lambda x: layer.inverse_and_log_det(params, x)[0])(xs)
      >>> bool(jnp.allclose(zs.T @ zs / 500, jnp.eye(2), atol=1e-3))
      True

    References:
      Tipping and Bishop (1999), Probabilistic Principal Component Analysis, Journal of the Royal
      Statistical Society B 61.
    """
    shape = _shape(event_shape)
    size = math.prod(shape)

    def forward_and_log_det(params: PyTree, z: Array) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        directions = jax.lax.stop_gradient(params["directions"])
        x = params["mean"] + directions @ (jnp.exp(params["log_scale"]) * z.reshape(-1))
        return x.reshape(shape), jnp.sum(params["log_scale"])

    def inverse_and_log_det(params: PyTree, x: Array) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        directions = jax.lax.stop_gradient(params["directions"])
        z = jnp.exp(-params["log_scale"]) * (directions.T @ (x.reshape(-1) - params["mean"]))
        return z.reshape(shape), -jnp.sum(params["log_scale"])

    def initialise(params: PyTree, xs: Array, *contexts: PyTree) -> PyTree:
        # On the host and in double precision: the variances of pixels span seven digits.
        flat = np.asarray(xs, np.float64).reshape(-1, size)
        mean = flat.mean(0)
        centred = flat - mean
        variances, directions = np.linalg.eigh(centred.T @ centred / len(flat))
        # Rounding may leave a variance of zero slightly negative.
        log_scale = 0.5 * np.log(np.maximum(variances, 0.0) + variance_floor)
        # The largest first.
        fitted = {
            "mean": mean,
            "directions": directions[:, ::-1],
            "log_scale": log_scale[::-1],
        }
        return {name: jnp.asarray(fitted[name], leaf.dtype) for name, leaf in params.items()}

    params = {
        "mean": jnp.zeros(size),
        "directions": jnp.eye(size),
        "log_scale": jnp.zeros(size),
    }
    bijection = _ignoring_context(forward_and_log_det, inverse_and_log_det)
    return bijection._replace(initialise=initialise), params


def _ignoring_context(forward, inverse) -> Bijection:
    return Bijection(
        lambda params, z, *context: forward(params, z),
        lambda params, x, *context: inverse(params, x),
    )
