"""What the bounds tend to as K grows, and exact upper bounds, from the law of the log-weight."""

import chex
import jax
import jax.numpy as jnp

from iwae_jax.exact import precision
from iwae_jax.exact.laws import WeightLaw
from iwae_jax.types import Array


def log_evidence(law: WeightLaw) -> Array:
    r"""The limit of the bounds as K grows: log p(x), where q covers the posterior.

    .. math:: \log E_q w

    Args:
      law: the law of the log-weight; float64.

    Returns:
      log p(x), ``[]``, in nats. If w = 0 for certain, -inf with gradient 0.

    Raises:
      TypeError: the law is not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     float(exact.log_evidence(exact.lognormal_law(0.0, 1.0))).__round__(6)
      0.5

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, theorem 1,
      arXiv:1509.00519.
    """
    return cubo(law, order=1.0)


def cubo(law: WeightLaw, *, order: Array | float) -> Array:
    r"""The chi upper bound, which rises with its order from log p(x) at 1.

    .. math:: \frac1n \log E_q w^n

    Args:
      law: the law of the log-weight; float64.
      order: n, ``[]``, at least 1; a traced one cannot be checked.

    Returns:
      The bound, ``[]``, in nats. If w = 0 for certain, -inf with gradient 0.

    Raises:
      TypeError: the law is not float64.
      ValueError: `order` is below 1.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     float(exact.cubo(exact.lognormal_law(-0.5, 1.0), order=2)).__round__(6)
      0.5

    References:
      Dieng, Tran, Ranganath, Paisley and Blei (2017), Variational Inference via Chi Upper Bound
      Minimization, arXiv:1611.00328.
    """
    if not isinstance(order, jax.core.Tracer) and float(order) < 1.0:
        raise ValueError(f"an upper bound needs order >= 1, not {order}: below, use vr_iwae.")
    terms, impossible = _log_masses(law, order)
    return jnp.where(impossible, -jnp.inf, jax.nn.logsumexp(terms) / order)


def eubo(law: WeightLaw) -> Array:
    r"""The evidence upper bound: the mean of the log-weight under the posterior.

    .. math:: E_{p(z \mid x)} \log w = E_q \frac{w}{E_q w} \log w

    Args:
      law: the law of the log-weight; float64.

    Returns:
      The bound, ``[]``, in nats. If w = 0 for certain, -inf with gradient 0.

    Raises:
      TypeError: the law is not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     float(exact.eubo(exact.lognormal_law(-0.5, 1.0))).__round__(6)
      0.5

    References:
      Ji and Shen (2019), Stochastic Variational Inference via Upper Bound,
      arXiv:1912.00650.
    """
    terms, impossible = _log_masses(law, 1.0)
    # A weight of zero has no share in the posterior, whatever its logarithm.
    log_weights = jnp.where(jnp.isneginf(terms) | impossible, 0.0, law.log_weights)
    mean = jnp.sum(jax.nn.softmax(terms) * log_weights)
    return jnp.where(impossible, -jnp.inf, mean)


def _log_masses(law: WeightLaw, order: Array | float) -> tuple[Array, Array]:
    """The logarithms of p w^n, and whether all of them are -inf, in which case they are 0."""
    precision.require_float64(law)
    chex.assert_rank(law.log_weights, 1)
    chex.assert_equal_shape(law)
    log_weights = jnp.where(jnp.isneginf(law.log_probs), 0.0, law.log_weights)
    terms = order * log_weights + jax.nn.log_softmax(law.log_probs)
    impossible = jnp.all(jnp.isneginf(terms))
    return jnp.where(impossible, 0.0, terms), impossible
