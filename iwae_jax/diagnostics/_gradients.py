"""Moments of an estimator's gradient, in a stream that memory does not grow with."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.types import Array, PyTree


class GradientMoments(NamedTuple):
    """Moments of R independent gradients.

    Attributes:
      num_gradients: ``[]``, R.
      mean: a pytree like the gradient.
      sum_squares: a pytree like the gradient, the sum of (g - mean)^2.
      sum_directional: ``[]``, the sum of the ratios of which `directional_snr` is the mean.
    """

    num_gradients: Array
    mean: PyTree
    sum_squares: PyTree
    sum_directional: Array


def no_moments(like: PyTree) -> GradientMoments:
    """Moments of no gradients, from which a stream starts.

    Args:
      like: a pytree of the gradient's shapes and dtypes.

    Returns:
      The moments, with R = 0.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> float(diagnostics.no_moments(jnp.zeros(3)).num_gradients)
      0.0

    References:
      Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    zeros = jax.tree.map(jnp.zeros_like, like)
    nothing = jnp.zeros((), jax.tree.leaves(zeros)[0].dtype)
    return GradientMoments(nothing, zeros, zeros, nothing)


def gradient_moments(gradients: PyTree, *, direction: PyTree) -> GradientMoments:
    """Moments of a batch of gradients.

    Args:
      gradients: a pytree of ``[R, ...]``.
      direction: a pytree like one gradient, along which the signal lies: the exact gradient, or the
        mean of a trial.

    Returns:
      The moments of the batch; `merge_moments` joins batches.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), (100_000, 1))
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(1))
      >>> diagnostics.variance(moments).round(1)
      Array([4.], dtype=float32)

    References:
      Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), gradients)
    sum_squares = jax.tree.map(lambda leaf, m: jnp.sum((leaf - m) ** 2, axis=0), gradients, mean)
    ratios = jax.vmap(lambda gradient: _directional(gradient, direction))(gradients)
    count = jnp.full((), ratios.size, ratios.dtype)
    return GradientMoments(count, mean, sum_squares, jnp.sum(ratios))


def merge_moments(first: GradientMoments, second: GradientMoments) -> GradientMoments:
    """Moments of two batches together: memory does not grow with R.

    Args:
      first: moments of a batch.
      second: moments of another one.

    Returns:
      The moments of all their gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> moments = diagnostics.no_moments(jnp.zeros(()))
      >>> for batch in (jnp.array([1.0, 2.0]), jnp.array([6.0])):
      ...     more = diagnostics.gradient_moments(batch, direction=jnp.ones(()))
      ...     moments = diagnostics.merge_moments(moments, more)
      >>> float(moments.mean), float(diagnostics.variance(moments))
      (3.0, 7.0)

    References:
      Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    count = first.num_gradients + second.num_gradients
    share = second.num_gradients / jnp.maximum(count, 1.0)
    shift = jax.tree.map(lambda a, b: b - a, first.mean, second.mean)
    mean = jax.tree.map(lambda a, by: a + share * by, first.mean, shift)
    between = first.num_gradients * share
    sum_squares = jax.tree.map(
        lambda a, b, by: a + b + between * by**2, first.sum_squares, second.sum_squares, shift
    )
    directional = first.sum_directional + second.sum_directional
    return GradientMoments(count, mean, sum_squares, directional)


def variance(moments: GradientMoments) -> PyTree:
    """Unbiased variance of each entry of the gradient.

    Args:
      moments: of R gradients, at least 2.

    Returns:
      A pytree like the gradient; nan for R under 2.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([1.0, 2.0, 6.0])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(()))
      >>> float(diagnostics.variance(moments))
      7.0

    References:
      Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    degrees = jnp.where(moments.num_gradients > 1.0, moments.num_gradients - 1.0, jnp.nan)
    return jax.tree.map(lambda leaf: leaf / degrees, moments.sum_squares)


def standard_error(moments: GradientMoments) -> PyTree:
    """Standard error of the mean of each entry of the gradient.

    Args:
      moments: of R gradients, at least 2.

    Returns:
      A pytree like the gradient; nan for R under 2.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([1.0, 2.0, 6.0])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(()))
      >>> float(diagnostics.standard_error(moments)).__round__(4)
      1.5275

    References:
      Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    return jax.tree.map(lambda leaf: jnp.sqrt(leaf / moments.num_gradients), variance(moments))


def inner(a: PyTree, b: PyTree) -> Array:
    return total(jax.tree.map(lambda left, right: left * right, a, b))


def total(tree: PyTree) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(tree)]))


def _directional(gradient: PyTree, direction: PyTree) -> Array:
    along = inner(gradient, direction) / inner(direction, direction)
    across = jax.tree.map(lambda g, d: g - along * d, gradient, direction)
    length = jnp.abs(along) * jnp.sqrt(inner(direction, direction))
    return length / jnp.sqrt(inner(across, across))
