"""Gaussians of diagonal covariance: log-densities and samples."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from iwae_jax import _draws
from iwae_jax.types import Array, Key

_LOG_2PI = float(np.log(2.0 * np.pi))


def _floating(x: ArrayLike) -> Array:
    """An array of a floating dtype, which it keeps where it has one."""
    array = jnp.asarray(x)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


class GaussianLatents(NamedTuple):
    """A diagonal Gaussian.

    Attributes:
      mean: ``[D]``.
      log_scale: ``[D]``, log standard deviation.
    """

    mean: Array
    log_scale: Array


def gaussian_latents(mean: ArrayLike, variance: ArrayLike) -> GaussianLatents:
    r"""A diagonal Gaussian from its moments.

    .. math:: N(m, \mathrm{diag}(v))

    Args:
      mean: ``[D]``, m.
      variance: ``[D]``, v; where it is traced, its sign cannot be checked.

    Returns:
      The Gaussian.

    Raises:
      ValueError: a variance is not positive and finite, or the two are no vectors of one length.

    Example:
      >>> from iwae_jax import densities
      >>> densities.gaussian_latents([0.0], [4.0]).log_scale.round(4)
      Array([0.6931], dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.2, arXiv:1312.6114.
    """
    centre, spread = _floating(mean), _floating(variance)
    if centre.ndim != 1 or centre.shape != spread.shape:
        raise ValueError(
            "mean and variance must be vectors of one length; got the shapes "
            f"{centre.shape} and {spread.shape}."
        )
    if not isinstance(spread, jax.core.Tracer):
        values = np.asarray(spread)
        if not np.all((values > 0.0) & (values < np.inf)):
            raise ValueError(f"variance must be positive and finite; got {values}.")
    return GaussianLatents(centre, 0.5 * jnp.log(spread))


def gaussian_log_prob(mean: Array, log_scale: Array, x: Array) -> Array:
    r"""Log-density of a Gaussian with diagonal covariance.

    .. math:: -\tfrac12 \sum_d [((x_d - m_d) / s_d)^2 + 2 \log s_d + \log 2\pi]

    Args:
      mean: ``[...]``, m; broadcasts against `x`.
      log_scale: ``[...]``, log s; broadcasts against `x`.
      x: ``[...]``, the whole array is one datum.

    Returns:
      The log-density, ``[]``, in nats.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> densities.gaussian_log_prob(jnp.zeros(2), jnp.zeros(2), jnp.ones(2)).round(4)
      Array(-2.8379, dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.2, arXiv:1312.6114.
    """
    standardised = (x - mean) * jnp.exp(-log_scale)
    return jnp.sum(-0.5 * (standardised**2 + _LOG_2PI) - log_scale)


def standard_gaussian_log_prob(x: Array) -> Array:
    r"""Log-density of N(0, I).

    .. math:: -\tfrac12 \sum_d (x_d^2 + \log 2\pi)

    Args:
      x: ``[...]``, the whole array is one datum.

    Returns:
      The log-density, ``[]``, in nats.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> densities.standard_gaussian_log_prob(jnp.ones(2)).round(4)
      Array(-2.8379, dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix B, arXiv:1312.6114.
    """
    return -0.5 * jnp.sum(x**2 + _LOG_2PI)


def gaussian_sample_and_log_prob(key: Key, latents: GaussianLatents) -> tuple[Array, Array]:
    r"""Reparameterised sample of a diagonal Gaussian, with its log-density.

    .. math:: z = m + s \epsilon, \quad \epsilon \sim N(0, I)

    The log-density is computed from the noise, which loses no digits to a subtraction of the mean.

    Args:
      key: key of the draw, ``[]``.
      latents: the Gaussian, of shape ``[D]``.

    Returns:
      z, ``[D]``, and log q(z), ``[]``, in nats.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> q = densities.GaussianLatents(jnp.zeros(3), jnp.zeros(3))
      >>> z, log_q = densities.gaussian_sample_and_log_prob(jax.random.key(0), q)
      >>> z.shape, log_q.shape
      ((3,), ())

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4, arXiv:1312.6114.
    """
    mean, log_scale = latents
    chex.assert_equal_shape((mean, log_scale))
    noise = _draws.normal(key, mean.shape, mean.dtype)
    return mean + jnp.exp(log_scale) * noise, standard_gaussian_log_prob(noise) - log_scale.sum()
