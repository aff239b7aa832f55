"""How good a set of importance weights is."""

import math

import chex
import jax
import jax.numpy as jnp

from iwae_jax.types import Array


def effective_sample_size(log_weights: Array) -> Array:
    r"""Effective sample size of K importance weights, from 1 to K.

    .. math:: (\sum_k w_k)^2 / \sum_k w_k^2

    Args:
      log_weights: ``[K]``, in nats.

    Returns:
      The effective number of samples, ``[]``; 0 where all weights are zero.

    Raises:
      AssertionError: `log_weights` is not of rank one.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> diagnostics.effective_sample_size(jnp.zeros(4)).round(4)
      Array(4., dtype=float32)

    References:
      Kong (1992), A Note on Importance Sampling using Standardized Weights.
    """
    chex.assert_rank(log_weights, 1)
    impossible = jnp.all(jnp.isneginf(log_weights))
    # The softmax of nothing but -inf is 0 / 0: take it where it is finite.
    normalised = jax.nn.softmax(jnp.where(impossible, 0.0, log_weights))
    return jnp.where(impossible, 0.0, 1.0 / jnp.sum(normalised**2))


def pareto_k_hat(log_weights: Array) -> Array:
    r"""Estimated shape k of the upper tail of the importance weights.

    .. math:: P(w > u + y \mid w > u) \approx (1 + k y / s)^{-1/k}

    fitted to the min(K / 5, 3 sqrt(K)) largest weights, with a weak prior towards k = 1/2. The
    weights have 1 / k finite moments: below 1/2 their variance is finite; above 0.7 their average
    is not to be trusted; above 1 they have no mean.

    Args:
      log_weights: ``[K]``, in nats; K at least 25.

    Returns:
      k, ``[]``; -inf where the largest weights are all equal, +inf where fewer weights than the
      tail needs are above zero.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: K is under 25: the tail would have fewer than 5 weights.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> uniform = jax.random.uniform(jax.random.key(0), (1_000_000,))
      >>> diagnostics.pareto_k_hat(-0.7 * jnp.log(uniform)).round(1)  # w = u^-0.7
      Array(0.7, dtype=float32)

    References:
      Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto Smoothed Importance Sampling,
      arXiv:1507.02646. The fit: Zhang and Stephens (2009), A New and Efficient Estimation Method
      for the Generalized Pareto Distribution.
    """
    chex.assert_rank(log_weights, 1)
    if log_weights.size < 25:
        raise ValueError(f"k-hat needs at least 25 weights; got {log_weights.size}.")
    size = math.ceil(min(0.2 * log_weights.size, 3.0 * math.sqrt(log_weights.size)))
    largest = jax.lax.top_k(log_weights, size + 1)[0][::-1]
    known = jnp.isfinite(largest[0])
    relative = jnp.exp(jnp.where(known, largest - largest[-1], 0.0))
    excesses = relative[1:] - relative[0]
    spread = excesses[-1] > 0.0
    k = _fitted_shape(
        jnp.where(spread, excesses, jnp.linspace(0.0, 1.0, size, dtype=excesses.dtype))
    )
    return jnp.where(known, jnp.where(spread, k, -jnp.inf), jnp.inf)


def _fitted_shape(excesses: Array) -> Array:
    """Mean of the shape under the profile likelihood of b = -k / s, from rising excesses."""
    size = excesses.size
    num_points = 30 + int(math.sqrt(size))
    # Where a quarter of them are ties at the threshold, any small scale will do.
    quarter = jnp.maximum(excesses[int(size / 4 + 0.5) - 1], 1e-6 * excesses[-1])
    grid = 1.0 - jnp.sqrt(num_points / (jnp.arange(1, num_points + 1, dtype=excesses.dtype) - 0.5))
    b = 1.0 / excesses[-1] + grid / (3.0 * quarter)
    shape = lambda b: jnp.mean(jnp.log1p(-b * excesses))
    shapes = jax.vmap(shape)(b)
    log_likelihood = size * (jnp.log(-b / shapes) - shapes - 1.0)
    k = shape(jax.nn.softmax(log_likelihood) @ b)
    return (size * k + 5.0) / (size + 10.0)
