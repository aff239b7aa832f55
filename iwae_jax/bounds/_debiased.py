"""Estimates of log p(x) without the bias of the bounds, or with less of it; not bounds."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.bounds._lower import iwae
from iwae_jax.types import Array, Key

_MOST_TUPLES = 2**22
_HARMONIC_TERMS, _DECAY = 80, 0.9
_UNIFORM_LEVELS = 2**23


def jackknife(log_weights: Array, *, order: int) -> Array:
    r"""Jackknife estimate of log p(x), with a bias of O(K^-(m+1)).

    .. math:: \sum_{j=0}^m c_j \bar L_{K-j}, \quad c_j = (-1)^j \frac{(K-j)^m}{(m-j)!\, j!}

    where :math:`\bar L_{K-j}` is the mean of `iwae` over all subsets of K - j samples. Not a
    bound: its expectation may lie over log p(x), and its variance grows with the order m.

    The cost is exact and O(K) at order 1, else O(K^m): one number for each of the
    K (K - 1) ... (K - m + 1) ways to leave out m samples, of which 2^22 are taken at most (K is up
    to 2048 at order 2 and 162 at order 3). The rounding error grows as K^(m-1).

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      order: m, from 0 (`iwae`) to K - 1.

    Returns:
      The estimate, ``[]``. Where some of the subsets have no weight over zero, that is where r <=
      m weights are over zero, it is the limit of small weights, with gradient 0: -inf for an even
      r, such as 0, and inf for an odd one.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: `order` is negative, or not less than K, or too costly.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.jackknife(jnp.log(jnp.array([1.0, 4.0])), order=1):.4f}"
      '1.1394'

    References:
      Nowozin (2018), Debiasing Evidence Approximations: On Importance-weighted Autoencoders and
      Jackknife Variational Inference, https://openreview.net/forum?id=HyZoi-WRb.
      Sharot (1976), The Generalized Jackknife: Finite Samples and Subsample Sizes.
    """
    chex.assert_rank(log_weights, 1)
    size = log_weights.size
    if not 0 <= order < size:
        raise ValueError(f"order must be from 0 to K - 1 = {size - 1}; got {order}.")
    if math.perm(size, order) > _MOST_TUPLES:
        raise ValueError(
            f"order {order} with K = {size} takes {math.perm(size, order)} numbers, of "
            f"{_MOST_TUPLES} at most: lower the order or take fewer samples."
        )
    num_positive = jnp.sum(~jnp.isneginf(log_weights))
    infinite = num_positive <= order
    possible = jnp.where(infinite, 0.0, log_weights)
    # The coefficients add up to 1 and grow as K^m: on differences from L_K they cost few digits.
    estimate = iwae(possible)
    for left_out in range(1, order + 1):
        scale = math.factorial(order - left_out) * math.factorial(left_out)
        coefficient = (-1) ** left_out * (size - left_out) ** order / scale
        change = _mean_log_kept(possible, left_out) - math.log1p(-left_out / size)
        estimate += coefficient * change
    return jnp.where(infinite, jnp.where(num_positive % 2 == 0, -jnp.inf, jnp.inf), estimate)


def _mean_log_kept(log_weights: Array, number: int) -> Array:
    # The mean of log(1 - share of the samples left out), over the ways to leave out `number`.
    log_kept = _log_kept(log_weights)
    if number > 1:
        index = jnp.arange(log_weights.size - 1)
        others = jnp.where(index < jnp.arange(log_weights.size)[:, None], index, index + 1)
        log_kept += jax.vmap(lambda rest: _mean_log_kept(rest, number - 1))(log_weights[others])
    return jnp.mean(log_kept)


def _log_kept(log_weights: Array) -> Array:
    share = jax.nn.softmax(log_weights)
    # 1 - share loses its digits for one sample at most: for that one, the rest is summed anew.
    heavy = share > 0.5
    rest = jax.nn.logsumexp(jnp.where(heavy, -jnp.inf, log_weights))
    log_kept = jnp.log1p(-jnp.where(heavy, 0.0, share))
    return jnp.where(heavy, rest - jax.nn.logsumexp(log_weights), log_kept)


def sumo(log_weights: Array, *, num_terms: Array | int, max_terms: int) -> Array:
    r"""Estimate of log p(x) by Russian roulette over the gains of the bounds.

    .. math:: \hat L_m + \sum_{k=1}^{T} \frac{\hat L_{m+k} - \hat L_{m+k-1}}{P(T \ge k)}

    where :math:`\hat L_k` is `iwae` of the first k samples and T, `num_terms`, a draw of
    `sumo_num_terms`. Not a bound: single values may lie far over log p(x), and the variance may
    be infinite without the truncation, and is large with it. Over T its expectation is `iwae` of
    all samples, so that over the samples too it is unbiased for the bound with m + `max_terms`
    samples, not quite for log p(x). All log-weights have to be there, whatever T: compiled, the
    roulette saves no work.

    Args:
      log_weights: ``[m + max_terms]``, log p(x, z_k) - log q(z_k | x), in nats; m, at least 1, is
        how many samples every estimate uses. Those after the first m + T take no part.
      num_terms: T, ``[]``, from 1 to `max_terms`; may be traced.
      max_terms: where the roulette is truncated; the same as was given to `sumo_num_terms`.

    Returns:
      The estimate, ``[]``. With the first m + 1 weights zero it is the limit of small weights, with
      gradient 0: inf if one of the first m + T weights is over zero, else -inf.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: `max_terms` is not positive, or not less than the number of log-weights.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> log_weights = jnp.log(jnp.array([1.0, 4.0, 1.0, 2.0]))
      >>> f"{bounds.sumo(log_weights, num_terms=2, max_terms=3):.4f}"
      '0.4700'

    References:
      Luo et al. (2020), SUMO: Unbiased Estimation of Log Marginal Probability for Latent Variable
      Models, arXiv:2004.00353.
    """
    chex.assert_rank(log_weights, 1)
    size, first = log_weights.size, log_weights.size - max_terms
    if max_terms < 1 or first < 1:
        raise ValueError(
            f"max_terms must be positive and less than the number of log-weights, {size}; "
            f"got {max_terms}."
        )
    positive = ~jnp.isneginf(log_weights)
    num_terms = jnp.asarray(num_terms, jnp.int32)
    # The first gain has probability 1: starting after it spares L_m of nothing but zeros.
    infinite = ~jnp.any(positive[: first + 1])
    reached = jnp.any(positive & (jnp.arange(size, dtype=jnp.int32) < first + num_terms))
    possible = jnp.where(infinite, 0.0, log_weights)
    base = iwae(possible[: first + 1])
    gains = _gains(possible - jax.lax.stop_gradient(base))[first:]
    happens = jnp.arange(2, max_terms + 1, dtype=jnp.int32) <= num_terms
    probability = jnp.asarray(_survival(max_terms)[1:], log_weights.dtype)
    estimate = base + jnp.sum(jnp.where(happens, gains / probability, 0.0))
    return jnp.where(infinite, jnp.where(reached, jnp.inf, -jnp.inf), estimate)


def _gains(log_weights: Array) -> Array:
    # What each sample but the first adds to the bound of those before it.
    # The running sums differentiate -inf to nan, where a tiny finite weight gives an exact 0.
    finite = jnp.maximum(log_weights, 0.25 * float(jnp.finfo(log_weights.dtype).min))
    growth = jnp.asarray(np.log1p(1.0 / np.arange(1, log_weights.size)), log_weights.dtype)
    return jax.nn.softplus(finite[1:] - jax.lax.cumlogsumexp(finite)[:-1]) - growth


def sumo_num_terms(key: Key, *, max_terms: int) -> Array:
    r"""Draws how many terms `sumo` sums.

    .. math:: P(T \ge k) = 1 / k \;(k < 80), \quad 0.9^{k - 80} / 80 \;(k \ge 80)

    truncated: a T over `max_terms` becomes `max_terms`. T is 5.1 on average without it. The
    truncation makes the bound with the samples of the longest sum the expectation of `sumo`,
    which is under log p(x) by about var(w) / (2 E[w]^2) over their number.

    Args:
      key: key of the draw, ``[]``.
      max_terms: the largest T.

    Returns:
      T, ``[]``, an integer from 1 to `max_terms`.

    Raises:
      ValueError: `max_terms` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import bounds
      >>> num_terms = bounds.sumo_num_terms(jax.random.key(0), max_terms=100)
      >>> 1 <= int(num_terms) <= 100
      True

    References:
      Luo et al. (2020), SUMO: Unbiased Estimation of Log Marginal Probability for Latent Variable
      Models, arXiv:2004.00353.
    """
    if max_terms < 1:
        raise ValueError(f"max_terms must be positive; got {max_terms}.")
    uniform = jax.random.uniform(key, dtype=jnp.float32)
    return jnp.sum(uniform < _survival(max_terms).astype(np.float32), dtype=jnp.int32)


def _survival(max_terms: int) -> np.ndarray:
    k = np.arange(1, max_terms + 1)
    late = _DECAY ** np.maximum(k - _HARMONIC_TERMS, 0) / _HARMONIC_TERMS
    exact = np.where(k < _HARMONIC_TERMS, 1 / k, late)
    # Multiples of what a float32 uniform resolves are probabilities that the draw has exactly.
    return np.maximum(np.ceil(exact * _UNIFORM_LEVELS), 1) / _UNIFORM_LEVELS
