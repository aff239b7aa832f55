"""Sample estimates of upper bounds of log p(x); on samples they are bounds of nothing.

For upper bounds that hold, see `iwae_jax.exact`.
"""

import chex
import jax
import jax.numpy as jnp

from iwae_jax.bounds._lower import vr_iwae
from iwae_jax.bounds._thermodynamic import tvo_upper
from iwae_jax.types import Array


def cubo(log_weights: Array, *, order: Array | float) -> Array:
    r"""Estimate of the chi upper bound, biased low.

    .. math:: \frac1n \log \frac1K \sum_k w_k^n

    Not a bound: by Jensen's inequality its expectation lies under the bound, and it may lie under
    log p(x). For log-normal weights with log p(x) = 0, of log-variance 1 and so with a bound of
    0.5 at n = 2, the expectation is -0.50, -0.18 and 0.20 with 1, 2 and 8 samples. On the same
    samples it never falls as n grows, from `iwae` at n = 1.

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      order: n, ``[]``, at least 1; a traced one cannot be checked.

    Returns:
      The estimate, ``[]``. With all weights zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: `order` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.cubo(jnp.log(jnp.array([1.0, 4.0])), order=2):.4f}"
      '1.0700'

    References:
      Dieng, Tran, Ranganath, Paisley and Blei (2017), Variational Inference via chi Upper Bound
      Minimization, arXiv:1611.00328.
    """
    chex.assert_rank(log_weights, 1)
    if not isinstance(order, jax.core.Tracer) and float(order) < 1.0:
        raise ValueError(f"order must be at least 1, for less use bounds.vr_iwae; got {order}.")
    return vr_iwae(log_weights, 1.0 - order)


def eubo(log_weights: Array) -> Array:
    r"""Estimate of the evidence upper bound, the expectation of log w under the posterior.

    .. math:: \sum_k \tilde w_k \log w_k, \quad \tilde w_k = w_k / \sum_l w_l

    Not a bound: self-normalised weights of few samples do not reach what q misses of the
    posterior, and the expectation of the estimate may lie under log p(x); with one sample it is
    that of `elbo`. On the same samples it is never under `iwae`.

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.

    Returns:
      The estimate, ``[]``. With all weights zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.eubo(jnp.log(jnp.array([1.0, 4.0]))):.4f}"
      '1.1090'

    References:
      Ji and Shen (2019), Stochastic Variational Inference via Upper Bound,
      arXiv:1912.00650.
    """
    chex.assert_rank(log_weights, 1)
    return tvo_upper(log_weights, partition=jnp.array([0.0, 1.0]))
