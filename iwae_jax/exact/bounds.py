"""Exact lower bounds of log p(x), from the law of the log-weight of one sample."""

import chex
import jax
import jax.numpy as jnp

from iwae_jax.exact import _quadrature, precision
from iwae_jax.exact.laws import WeightLaw
from iwae_jax.types import Array

_TAIL = 38.0  # exp(-38) = 3e-17
_GONE = 5.0  # exp(-exp(5)) = 4e-65
_FLOOR = 1e-60  # small enough to be lost, and large enough for the powers in higher derivatives
_WIDEST = 1e5  # nats to integrate over, 5 nodes in each
_CHUNK = 2**15  # terms at a time, nodes times atoms: they stay in a processor's cache


def elbo(law: WeightLaw) -> Array:
    r"""The evidence lower bound.

    .. math:: E_q \log w

    Args:
      law: the law of the log-weight; float64.

    Returns:
      The bound, ``[]``, in nats. If w = 0 has a positive probability, -inf with gradient 0.

    Raises:
      TypeError: the law is not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     float(exact.elbo(exact.lognormal_law(-0.5, 1.0))).__round__(6)
      -0.5

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 2-3, arXiv:1312.6114.
    """
    log_weights, log_probs, impossible = _finite(law)
    return jnp.where(impossible, -jnp.inf, jnp.sum(jnp.exp(log_probs) * log_weights))


def iwae(law: WeightLaw, *, num_samples: int | Array) -> Array:
    r"""The importance-weighted bound L_K, for any K, at a cost that K does not change.

    .. math:: E \log \frac1K \sum_{k=1}^K w_k = \log E w - \int_{-\infty}^\infty
       \left[\phi(e^u / K)^K - \exp(-e^u)\right] du, \quad \phi(t) = E \exp(-t w / E w)

    It is Frullani's integral of the logarithm, under the expectation. Its `jax.grad` is exact too,
    to any order by reverse mode; forward mode, and with it `jax.hessian`, is refused.

    Args:
      law: the law of the log-weight; float64.
      num_samples: K, a number or a traced scalar.

    Returns:
      L_K, ``[]``, in nats. If w = 0 has a positive probability, -inf with gradient 0; if
      log-weights lie more than 1e5 nats apart, nan.

    Raises:
      TypeError: the law is not float64.
      ValueError: `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     law = exact.lognormal_law(-0.5, 1.0)
      ...     [float(exact.iwae(law, num_samples=K)).__round__(6) for K in (1, 64, 1_000_000)]
      [-0.5, -0.012941, -1e-06]

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
      Merhav and Sason (2020), An Integral Representation of the Logarithmic Function with
      Applications in Information Theory, arXiv:1912.05812.
    """
    return vr_iwae(law, alpha=0.0, num_samples=num_samples)


def vr_iwae(law: WeightLaw, *, alpha: Array | float, num_samples: int | Array) -> Array:
    r"""The variational Rényi importance-weighted bound.

    .. math:: \frac1{1 - \alpha} E \log \frac1K \sum_{k=1}^K w_k^{1 - \alpha}

    It does not rise with alpha, from `iwae` at 0 to `elbo` at 1.

    Args:
      law: the law of the log-weight; float64.
      alpha: the order, ``[]``, not 1; a traced one cannot be checked: at 1 the value is nan.
      num_samples: K, a number or a traced scalar.

    Returns:
      The bound, ``[]``, in nats. If w = 0 has a positive probability, -inf with gradient 0; if
      log-weights lie more than 1e5 nats apart, nan.

    Raises:
      TypeError: the law is not float64.
      ValueError: `alpha` is 1, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     law = exact.lognormal_law(-0.5, 1.0)
      ...     float(exact.vr_iwae(law, alpha=0.5, num_samples=1_000_000)).__round__(4)
      -0.25

    References:
      Daudel, Benton, Shi and Doucet (2023), Alpha-divergence Variational Inference Meets
      Importance Weighted Auto-Encoders, arXiv:2210.06226.
    """
    if not isinstance(alpha, jax.core.Tracer) and float(alpha) == 1.0:
        raise ValueError("alpha = 1 is the limit where K does not matter: use exact.elbo(law).")
    if not isinstance(num_samples, jax.core.Tracer) and num_samples < 1:
        raise ValueError(f"num_samples must be at least 1; got {num_samples}.")
    log_weights, log_probs, impossible = _finite(law)
    bound = _iwae((1.0 - alpha) * log_weights, log_probs, num_samples) / (1.0 - alpha)
    return jnp.where(impossible, -jnp.inf, bound)


def _finite(law: WeightLaw) -> tuple[Array, Array, Array]:
    """Finite log-weights, normalised log-probabilities, and whether w = 0 can be drawn."""
    precision.require_float64(law)
    chex.assert_rank(law.log_weights, 1)
    chex.assert_equal_shape(law)
    drawn = ~jnp.isneginf(law.log_probs)
    impossible = jnp.any(drawn & jnp.isneginf(law.log_weights))
    # Both branches of a where are differentiated, so what it drops must be finite too.
    log_weights = jnp.where(drawn & ~impossible, law.log_weights, 0.0)
    return log_weights, jax.nn.log_softmax(law.log_probs), impossible


def _iwae(log_weights: Array, log_probs: Array, num_samples: int | Array) -> Array:
    log_mean = jax.nn.logsumexp(log_weights + log_probs)
    # Atoms that are never drawn must not stretch the range of the integral.
    log_ratios = jnp.where(jnp.isneginf(log_probs), 0.0, log_weights - log_mean)
    count = jnp.asarray(num_samples, log_weights.dtype)
    # phi(t) <= exp(-t min_ratio), so past this end the integrand is below exp(-exp(log 38)).
    upper = jax.lax.stop_gradient(jnp.log(_TAIL) - jnp.min(log_ratios))
    lower = jnp.full_like(upper, -_TAIL)
    bounded = upper < _WIDEST
    upper = jnp.where(bounded, upper, lower)
    chunk_size = min(max(_CHUNK // log_weights.size, 1), 128)
    args = (log_ratios, jnp.exp(log_probs), count)
    gap = _quadrature.integral(_excess, chunk_size, lower, upper, args)
    return jnp.where(bounded, log_mean - gap, jnp.nan)


def _excess(nodes: Array, args: tuple[Array, Array, Array]) -> Array:
    """The integrand of `iwae`, summed over the nodes u."""
    log_ratios, probs, count = args
    log_t = nodes - jnp.log(count)
    # Clipped, so that neither exp overflows, which would make the derivative inf * 0.
    exponents = jnp.exp(jnp.minimum(log_t[:, None] + log_ratios, _GONE))
    absorbed = jnp.expm1(-exponents)
    loss, survival = absorbed @ probs, (1.0 + absorbed) @ probs
    # phi = 1 + loss = survival. Where it is near 1 its power needs the digits of the loss, where it
    # is near 0 those of the sum of what survives.
    near_one = loss > -0.5
    log_phi = jnp.where(
        near_one,
        jnp.log1p(jnp.where(near_one, loss, 0.0)),
        jnp.log(jnp.where(near_one, 1.0, jnp.maximum(survival, _FLOOR))),
    )
    return jnp.sum(jnp.exp(count * log_phi) - jnp.exp(-jnp.exp(jnp.minimum(nodes, _GONE))))
