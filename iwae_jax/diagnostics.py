"""How good a set of importance weights is."""

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
