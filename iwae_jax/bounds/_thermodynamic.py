"""Thermodynamic integration from q to the posterior: Riemann sums of tempered means of log w."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.types import Array


def tvo_lower(log_weights: Array, *, partition: Array) -> Array:
    r"""Left Riemann sum of the thermodynamic integral, with self-normalised weights.

    .. math:: \sum_{j=0}^{J-1} (b_{j+1} - b_j) \sum_k \mathrm{softmax}(b_j \log w)_k \log w_k

    An estimate of the left sum under the exact tempered posteriors. On the same samples it lies
    between `elbo`, which it is for the partition (0, 1), and `iwae`, to which it tends as the
    partition is refined: its expectation lies under log p(x), whatever the partition, and no
    partition takes it beyond the bound of K samples. Its gradient is the derivative of the value
    through the log-weights, not the covariance estimator of the paper.

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      partition: ``[J + 1]``, rising from 0 to 1; a traced one cannot be checked.

    Returns:
      The estimate, ``[]``. With a weight of zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` or `partition` is not of rank one.
      ValueError: `partition` does not rise from 0 to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> log_weights = jnp.log(jnp.array([1.0, 4.0]))
      >>> f"{bounds.tvo_lower(log_weights, partition=jnp.array([0.0, 0.5, 1.0])):.4f}"
      '0.8087'

    References:
      Masrani, Le and Wood (2019), The Thermodynamic Variational Objective,
      arXiv:1907.00031.
    """
    return _riemann_sum(log_weights, partition, slice(None, -1), jnp.any)


def tvo_upper(log_weights: Array, *, partition: Array) -> Array:
    r"""Right Riemann sum of the thermodynamic integral, with self-normalised weights.

    .. math:: \sum_{j=1}^{J} (b_j - b_{j-1}) \sum_k \mathrm{softmax}(b_j \log w)_k \log w_k

    An estimate of the right sum under the exact tempered posteriors, and not a bound: its
    expectation may lie under log p(x). On the same samples it lies between `iwae`, to which it
    tends as the partition is refined, and `eubo`, which it is for the partition (0, 1).

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      partition: ``[J + 1]``, rising from 0 to 1; a traced one cannot be checked.

    Returns:
      The estimate, ``[]``. With all weights zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` or `partition` is not of rank one.
      ValueError: `partition` does not rise from 0 to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> log_weights = jnp.log(jnp.array([1.0, 4.0]))
      >>> f"{bounds.tvo_upper(log_weights, partition=jnp.array([0.0, 0.5, 1.0])):.4f}"
      '1.0166'

    References:
      Masrani, Le and Wood (2019), The Thermodynamic Variational Objective,
      arXiv:1907.00031.
    """
    return _riemann_sum(log_weights, partition, slice(1, None), jnp.all)


def _riemann_sum(
    log_weights: Array, partition: Array, ends: slice, is_lost: Callable[[Array], Array]
) -> Array:
    chex.assert_rank((log_weights, partition), 1)
    if not isinstance(partition, jax.core.Tracer):
        steps = np.diff(np.asarray(partition), prepend=0.0, append=1.0)
        if steps[0] != 0.0 or steps[-1] != 0.0 or not np.all(steps[1:-1] > 0.0):
            raise ValueError(f"partition must rise from 0 to 1, as (0, 0.5, 1); got {partition}.")
    zero = jnp.isneginf(log_weights)
    # A weight of zero counts at b = 0 alone, where q has drawn it: an end of the left sum only.
    lost = is_lost(zero)
    finite = jnp.where(zero, 0.0, log_weights)
    betas = jnp.asarray(partition, log_weights.dtype)
    tempered = jnp.where(zero & ~lost, -jnp.inf, betas[ends, None] * finite)
    # A sum of products: some devices take fewer digits in a matrix product.
    means = jnp.sum(jax.nn.softmax(tempered) * finite, axis=1)
    return jnp.where(lost, -jnp.inf, jnp.sum(jnp.diff(betas) * means))
