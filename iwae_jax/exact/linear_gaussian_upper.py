"""Upper bounds in closed form for `iwae_jax.models.linear_gaussian`."""

import jax
import jax.numpy as jnp

from iwae_jax.exact import precision
from iwae_jax.exact.linear_gaussian import (
    linear_gaussian_log_likelihood,
    linear_gaussian_posterior,
)
from iwae_jax.types import Array, Params


def linear_gaussian_cubo(params: Params, x: Array, *, order: float) -> Array:
    r"""The chi upper bound of probabilistic PCA under a linear Gaussian q.

    .. math:: \frac1n \log E_q w^n, \quad \text{finite where } n P - (n - 1) Q \succ 0

    P and Q are the precisions of the posterior and of q: a q that is too narrow has no such bound.

    Args:
      params: as `iwae_jax.models.linear_gaussian` builds them; float64.
      x: one datum, ``[D]``.
      order: n, a number, at least 1.

    Returns:
      The bound, ``[]``, in nats; +inf, with gradient 0, where w^n has no mean.

    Raises:
      TypeError: the parameters are not float64.
      ValueError: `order` is below 1.

    Example:
      >>> import jax
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      ...     x = jax.numpy.ones(3)
      ...     log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
      ...     bool(exact.linear_gaussian_cubo(params, x, order=2) > log_p)
      True

    References:
      Dieng, Tran, Ranganath, Paisley and Blei (2017), Variational Inference via Chi Upper Bound
      Minimization, arXiv:1611.00328.
    """
    if order < 1:
        raise ValueError(f"an upper bound needs order >= 1, not {order}.")
    log_p, offset, posterior_precision, precision_q = _gaussians(params, x)
    tilted = order * posterior_precision - (order - 1) * precision_q
    finite = jnp.min(jnp.linalg.eigvalsh(jax.lax.stop_gradient(tilted))) > 0.0
    # Both branches of a where are differentiated, so the one not taken must be finite too.
    tilted = jnp.where(finite, tilted, jnp.eye(offset.size, dtype=offset.dtype))
    pull = (order - 1) * precision_q @ offset
    quadratic = (order - 1) * offset @ precision_q @ offset + pull @ jnp.linalg.solve(tilted, pull)
    log_det = (
        order * _log_det(posterior_precision)
        - (order - 1) * _log_det(precision_q)
        - _log_det(tilted)
    )
    return jnp.where(finite, log_p + 0.5 * (quadratic + log_det) / order, jnp.inf)


def linear_gaussian_eubo(params: Params, x: Array) -> Array:
    r"""The evidence upper bound of probabilistic PCA under a linear Gaussian q.

    .. math:: E_{p(z \mid x)} \log w = \log p(x) + KL[p(z \mid x) \| q(z \mid x)]

    Args:
      params: as `iwae_jax.models.linear_gaussian` builds them; float64.
      x: one datum, ``[D]``.

    Returns:
      The bound, ``[]``, in nats.

    Raises:
      TypeError: the parameters are not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      ...     x = jax.numpy.ones(3)
      ...     log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
      ...     bool(exact.linear_gaussian_eubo(params, x) > log_p)
      True

    References:
      Ji and Shen (2019), Stochastic Variational Inference via Upper Bound,
      arXiv:1912.00650.
    """
    log_p, offset, posterior_precision, precision_q = _gaussians(params, x)
    spread = jnp.trace(jnp.linalg.solve(posterior_precision, precision_q)) - offset.size
    log_det = _log_det(posterior_precision) - _log_det(precision_q)
    return log_p + 0.5 * (spread + offset @ precision_q @ offset + log_det)


def _gaussians(params: Params, x: Array) -> tuple[Array, Array, Array, Array]:
    """log p(x), the mean of q from that of the posterior, and the precisions of the two."""
    precision.require_float64(params)
    theta, phi = params.generative, params.inference
    best = linear_gaussian_posterior(theta)
    offset = (phi["weight"] - best["weight"]) @ x + phi["bias"] - best["bias"]
    gram = theta["weight"].T @ theta["weight"] * jnp.exp(-2.0 * theta["log_scale"])
    identity = jnp.eye(offset.size, dtype=offset.dtype)
    scale_tril = jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))
    inverse = jax.scipy.linalg.solve_triangular(scale_tril, identity, lower=True)
    log_p = linear_gaussian_log_likelihood(theta, x)
    return log_p, offset, gram + identity, inverse.T @ inverse


def _log_det(matrix: Array) -> Array:
    return jnp.linalg.slogdet(matrix)[1]
