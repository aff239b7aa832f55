"""Bijections that only move entries about, and those that act on a part of them."""

import math
from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np

from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Bijection
from iwae_jax.types import Array, PyTree


def _moving(forward, inverse, latent_shape: Sequence[int], event_shape: Sequence[int]) -> Layer:
    def forward_and_log_det(params: PyTree, z: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(z, tuple(latent_shape))
        return forward(z), jnp.zeros((), z.dtype)

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(x, tuple(event_shape))
        return inverse(x), jnp.zeros((), x.dtype)

    return Bijection(forward_and_log_det, inverse_and_log_det), ()


def permutation(order: Sequence[int]) -> Layer:
    """Puts the entries of a vector in another order.

    Args:
      order: entry i of the datum is entry ``order[i]`` of the latent.

    Returns:
      The bijection, which has no parameters.

    Raises:
      ValueError: `order` is not a permutation.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.permutation([2, 0, 1])
      >>> layer.forward_and_log_det(params, jnp.array([10.0, 20.0, 30.0]))[0].tolist()
      [30.0, 10.0, 20.0]

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    there, size = np.asarray(order, np.int32), len(order)
    if not np.array_equal(np.sort(there), np.arange(size)):
        raise ValueError(f"order must hold each of 0 to {size - 1} once; got {there.tolist()}.")
    back = np.argsort(there).astype(np.int32)
    return _moving(lambda z: z[there], lambda x: x[back], (size,), (size,))


def flatten(event_shape: Sequence[int]) -> Layer:
    """Reads an event as a vector.

    Args:
      event_shape: shape of the datum; the latent is a vector.

    Returns:
      The bijection, which has no parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.flatten((2, 2))
      >>> layer.forward_and_log_det(params, jnp.arange(4.0))[0].tolist()
      [[0.0, 1.0], [2.0, 3.0]]

    References:
      Papamakarios, Pavlakou and Murray (2017), Masked Autoregressive Flow for Density Estimation,
      arXiv:1705.07057.
    """
    shape, size = tuple(event_shape), math.prod(event_shape)
    return _moving(lambda z: z.reshape(shape), lambda x: x.reshape(size), (size,), shape)


def squeeze(event_shape: Sequence[int]) -> Layer:
    """Turns each 2x2 patch of an image into channels.

    Args:
      event_shape: ``(H, W, C)`` of the datum, H and W even.

    Returns:
      The bijection, whose latent has the shape ``(H/2, W/2, 4C)``, and which has no parameters.

    Raises:
      ValueError: the event is not an image of even height and width.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.squeeze((2, 2, 1))
      >>> layer.inverse_and_log_det(params, jnp.arange(4.0).reshape(2, 2, 1))[0].tolist()
      [[[0.0, 1.0, 2.0, 3.0]]]

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    shape = tuple(event_shape)
    if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
        raise ValueError(f"squeeze needs an image (H, W, C) of even height and width; got {shape}.")
    rows, columns, channels = shape[0] // 2, shape[1] // 2, shape[2]

    def inverse(x: Array) -> Array:
        patches = x.reshape(rows, 2, columns, 2, channels).transpose(0, 2, 1, 3, 4)
        return patches.reshape(rows, columns, 4 * channels)

    def forward(z: Array) -> Array:
        patches = z.reshape(rows, columns, 2, 2, channels).transpose(0, 2, 1, 3, 4)
        return patches.reshape(shape)

    return _moving(forward, inverse, (rows, columns, 4 * channels), shape)


def factor_out(layer: Layer, *, num_channels: int) -> Layer:
    """Passes the first channels through a bijection, and leaves the others as latents.

    The multi-scale architecture: what is left out early costs nothing later.

    Args:
      layer: the bijection of the first channels, and its parameters.
      num_channels: how many go through it.

    Returns:
      The bijection, whose latent is a pair, and its parameters.

    Raises:
      ValueError: `num_channels` is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.factor_out(flows.squeeze((2, 2, 1)), num_channels=1)
      >>> (inner, rest), _ = layer.inverse_and_log_det(params, jnp.ones((2, 2, 2)))
      >>> inner.shape, rest.shape
      ((1, 1, 4), (2, 2, 1))

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    if num_channels < 1:
        raise ValueError(f"num_channels must be at least 1; got {num_channels}.")
    bijection, params = layer

    def forward_and_log_det(params: PyTree, z: PyTree, *context: PyTree) -> tuple[Array, Array]:
        inner, rest = z
        inner, log_det = bijection.forward_and_log_det(params, inner, *context)
        return jnp.concatenate([inner, rest], axis=-1), log_det

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[PyTree, Array]:
        inner, rest = x[..., :num_channels], x[..., num_channels:]
        inner, log_det = bijection.inverse_and_log_det(params, inner, *context)
        return (inner, rest), log_det

    def initialise(params: PyTree, xs: Array, *contexts: PyTree) -> PyTree:
        return bijection.initialise(params, xs[..., :num_channels], *contexts)

    return Bijection(forward_and_log_det, inverse_and_log_det, initialise), params
