"""Bounds of log p(x) from the log-weights of one datum: ``[K] -> []``."""

import chex
import jax
import jax.numpy as jnp

from iwae_jax.types import Array


def elbo(log_weights: Array) -> Array:
    r"""The evidence lower bound, averaged over the samples.

    .. math:: \frac1K \sum_k \log w_k

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.

    Returns:
      The estimate, ``[]``. With a weight of zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> bounds.elbo(jnp.log(jnp.array([1.0, 4.0]))).round(4)
      Array(0.6931, dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 2-3, arXiv:1312.6114.
    """
    chex.assert_rank(log_weights, 1)
    impossible = jnp.any(jnp.isneginf(log_weights))
    # Both branches are differentiated, so the one not taken must be finite too.
    return jnp.where(impossible, -jnp.inf, jnp.mean(jnp.where(impossible, 0.0, log_weights)))


def iwae(log_weights: Array) -> Array:
    r"""The importance-weighted bound.

    .. math:: \log \frac1K \sum_k w_k

    Its expectation lies under log p(x), does not fall as K grows, and is log p(x) for every K
    where q is the posterior.

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.

    Returns:
      The estimate, ``[]``. With all weights zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> bounds.iwae(jnp.log(jnp.array([1.0, 4.0]))).round(4)
      Array(0.9163, dtype=float32)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
    """
    chex.assert_rank(log_weights, 1)
    impossible = jnp.all(jnp.isneginf(log_weights))
    # logsumexp of nothing but -inf has the gradient 0 / 0: take it where it is finite.
    log_sum = jax.nn.logsumexp(jnp.where(impossible, 0.0, log_weights))
    return jnp.where(impossible, -jnp.inf, log_sum - jnp.log(log_weights.size))
