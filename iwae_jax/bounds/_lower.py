"""Lower bounds: their expectation over the samples lies under log p(x)."""

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


def vr_iwae(log_weights: Array, alpha: Array | float) -> Array:
    r"""The variational Renyi importance-weighted bound.

    .. math:: \frac{1}{1 - \alpha} \log \frac1K \sum_k w_k^{1 - \alpha}

    Never rises with alpha: it is `iwae` at 0 and tends to `elbo` at 1. With alpha in [0, 1) its
    expectation does not fall as K grows. Over 1 it is a lower bound still, under `elbo`, but falls
    as K grows. Below 0 it is none: see `cubo`.

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      alpha: order, ``[]``, not 1. A traced one cannot be checked: at 1 the value is nan. Close to
        1 the value, not its gradient, has a rounding error that grows as 1 / abs(1 - alpha).

    Returns:
      The estimate, ``[]``. With all weights zero, or one of them where alpha is over 1, it is
      -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: `alpha` is 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.vr_iwae(jnp.log(jnp.array([1.0, 4.0])), 0.5):.4f}"
      '0.8109'

    References:
      Daudel, Benton, Shi and Doucet (2023), Alpha-divergence Variational Inference Meets
      Importance Weighted Auto-Encoders, arXiv:2210.06226.
      Li and Turner (2016), Renyi Divergence Variational Inference, arXiv:1602.02311.
    """
    chex.assert_rank(log_weights, 1)
    if not isinstance(alpha, jax.core.Tracer) and float(alpha) == 1.0:
        raise ValueError("alpha = 1 is the limit where this bound is the ELBO: use bounds.elbo.")
    power = 1.0 - alpha
    zero = jnp.isneginf(log_weights)
    # A zero to a positive power takes no part in the mean; to a negative power it decides it.
    impossible = jnp.where(power > 0, jnp.all(zero), jnp.any(zero))
    # Multiplying finite numbers only keeps 0 times inf out of the gradient with respect to alpha.
    scaled = jnp.where(zero, -jnp.inf, power * jnp.where(zero, 0.0, log_weights))
    return jnp.where(impossible, -jnp.inf, iwae(jnp.where(impossible, 0.0, scaled)) / power)


def ciwae(log_weights: Array, beta: Array | float) -> Array:
    r"""The ELBO and the importance-weighted bound combined.

    .. math:: \beta \frac1K \sum_k \log w_k + (1 - \beta) \log \frac1K \sum_k w_k

    Args:
      log_weights: ``[K]``, log p(x, z_k) - log q(z_k | x), in nats.
      beta: share of the ELBO, ``[]``, from 0 for `iwae` to 1 for `elbo`; a traced one cannot be
        checked.

    Returns:
      The estimate, ``[]``. With all weights zero, or one of them where beta is over 0, it is
      -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank one.
      ValueError: `beta` is not from 0 to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.ciwae(jnp.log(jnp.array([1.0, 4.0])), 0.25):.4f}"
      '0.8605'

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    chex.assert_rank(log_weights, 1)
    if not isinstance(beta, jax.core.Tracer) and not 0.0 <= float(beta) <= 1.0:
        raise ValueError(f"beta is the share of the ELBO, from 0 to 1; got {beta}.")
    zero = jnp.isneginf(log_weights)
    impossible = jnp.where(beta > 0, jnp.any(zero), jnp.all(zero))
    possible = jnp.where(impossible, 0.0, log_weights)
    # A zero that is left has beta = 0 before it, and 0 times -inf would be nan.
    mean = elbo(jnp.where(zero, 0.0, possible))
    return jnp.where(impossible, -jnp.inf, beta * mean + (1.0 - beta) * iwae(possible))


def miwae(log_weights: Array) -> Array:
    r"""The mean of M importance-weighted bounds of K samples each.

    .. math:: \frac1M \sum_m \log \frac1K \sum_k w_{m,k}

    Args:
      log_weights: ``[M, K]``, log p(x, z_mk) - log q(z_mk | x), in nats; the logarithm is of the
        mean over the last axis.

    Returns:
      The estimate, ``[]``. With all K weights of a bound zero it is -inf, with gradient 0.

    Raises:
      AssertionError: `log_weights` is not of rank two.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import bounds
      >>> f"{bounds.miwae(jnp.log(jnp.array([[1.0, 4.0, 4.0], [1.0, 1.0, 1.0]]))):.4f}"
      '0.5493'

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    chex.assert_rank(log_weights, 2)
    return elbo(jax.vmap(iwae)(log_weights))
