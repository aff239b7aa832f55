"""Gaussians of full covariance, and the divergence between two Gaussians of either kind."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike

from iwae_jax import _draws
from iwae_jax.densities.gaussian import GaussianLatents, _floating, standard_gaussian_log_prob
from iwae_jax.types import Array, Key


class FullGaussianLatents(NamedTuple):
    """A Gaussian of full covariance.

    Attributes:
      mean: ``[D]``.
      scale_tril: ``[D, D]``, lower triangle L of the covariance L L', its diagonal positive.
    """

    mean: Array
    scale_tril: Array


def full_gaussian_latents(mean: ArrayLike, covariance: ArrayLike) -> FullGaussianLatents:
    r"""A Gaussian from its moments.

    .. math:: N(m, \Sigma), \quad \Sigma = L L^\top

    Args:
      mean: ``[D]``, m.
      covariance: ``[D, D]``, the covariance; where it is traced, its values cannot be checked.

    Returns:
      The Gaussian.

    Raises:
      ValueError: the covariance is not symmetric and positive definite, or has another size than
        the mean.

    Example:
      >>> from iwae_jax import densities
      >>> r = densities.full_gaussian_latents([0.0, 0.0], [[4.0, 2.0], [2.0, 2.0]])
      >>> r.scale_tril.tolist()
      [[2.0, 0.0], [1.0, 1.0]]

    References:
      Rezende, Mohamed and Wierstra (2014), Stochastic Backpropagation and Approximate Inference in
      Deep Generative Models, section 4.3, arXiv:1401.4082.
    """
    centre, spread = _floating(mean), _floating(covariance)
    if centre.ndim != 1 or spread.shape != (len(centre),) * 2:
        raise ValueError(
            "covariance must be a matrix of the size of mean, a vector; got the shapes "
            f"{spread.shape} and {centre.shape}."
        )
    if not isinstance(spread, jax.core.Tracer):
        matrix = np.asarray(spread)
        smallest, largest = np.linalg.eigvalsh(matrix)[[0, -1]]
        floor = len(matrix) * np.finfo(matrix.dtype).eps * largest
        if not np.allclose(matrix, matrix.T) or not smallest > floor:
            raise ValueError(
                "covariance must be symmetric and positive definite; its smallest eigenvalue is "
                f"{smallest:.3g}, its largest {largest:.3g}."
            )
    return FullGaussianLatents(centre, jnp.linalg.cholesky(spread))


def full_gaussian_log_prob(mean: Array, scale_tril: Array, x: Array) -> Array:
    r"""Log-density of a Gaussian with full covariance.

    .. math:: -\tfrac12 |L^{-1} (x - m)|^2 - \log \det L - \tfrac D2 \log 2\pi

    Args:
      mean: ``[D]``, m.
      scale_tril: ``[D, D]``, lower triangle L of the covariance L L'.
      x: ``[D]``.

    Returns:
      The log-density, ``[]``, in nats.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> densities.full_gaussian_log_prob(jnp.zeros(2), jnp.eye(2), jnp.ones(2)).round(4)
      Array(-2.8379, dtype=float32)

    References:
      Rezende, Mohamed and Wierstra (2014), Stochastic Backpropagation and Approximate Inference in
      Deep Generative Models, section 4.3, arXiv:1401.4082.
    """
    chex.assert_shape(scale_tril, (x.size, x.size))
    noise = solve_triangular(scale_tril, x - mean, lower=True)
    return standard_gaussian_log_prob(noise) - _log_det(scale_tril)


def full_gaussian_sample_and_log_prob(
    key: Key, latents: FullGaussianLatents
) -> tuple[Array, Array]:
    r"""Reparameterised sample of a Gaussian with full covariance, with its log-density.

    .. math:: z = m + L \epsilon, \quad \epsilon \sim N(0, I)

    The log-density is computed from the noise, without a triangular solve.

    Args:
      key: key of the draw, ``[]``.
      latents: the Gaussian, of D dimensions.

    Returns:
      z, ``[D]``, and log q(z), ``[]``, in nats.

    Example:
      >>> import jax
      >>> from iwae_jax import densities
      >>> q = densities.full_gaussian_latents([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
      >>> z, log_q = densities.full_gaussian_sample_and_log_prob(jax.random.key(0), q)
      >>> z.shape, log_q.shape
      ((2,), ())

    References:
      Rezende, Mohamed and Wierstra (2014), Stochastic Backpropagation and Approximate Inference in
      Deep Generative Models, section 4.3, arXiv:1401.4082.
    """
    mean, scale_tril = latents
    noise = _draws.normal(key, mean.shape, mean.dtype)
    log_prob = standard_gaussian_log_prob(noise) - _log_det(scale_tril)
    return mean + scale_tril @ noise, log_prob


def gaussian_kl(
    q: GaussianLatents | FullGaussianLatents, r: GaussianLatents | FullGaussianLatents
) -> Array:
    r"""Kullback-Leibler divergence between two Gaussians, each of diagonal or full covariance.

    .. math:: \mathrm{KL}[N(m, S) \,\|\, N(l, T)] = \tfrac12 \Big[\mathrm{tr}(T^{-1} S)
       + (l - m)^\top T^{-1} (l - m) - D + \log \frac{\det T}{\det S}\Big]

    Args:
      q: N(m, S).
      r: N(l, T), of the same dimension.

    Returns:
      The divergence, ``[]``, in nats; exactly 0 for two equal diagonal Gaussians.

    Raises:
      ValueError: the dimensions differ.

    Example:
      >>> from iwae_jax import densities
      >>> q = densities.gaussian_latents([1.0], [1.0])
      >>> r = densities.full_gaussian_latents([0.0], [[4.0]])
      >>> round(float(densities.gaussian_kl(q, r)), 4)
      0.4431

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix B, arXiv:1312.6114, for
      a standard Gaussian r.
    """
    if q.mean.shape != r.mean.shape or q.mean.ndim != 1:
        raise ValueError(
            "q and r must be Gaussians of the same dimension; their means have the shapes "
            f"{q.mean.shape} and {r.mean.shape}."
        )
    if isinstance(q, GaussianLatents) and isinstance(r, GaussianLatents):
        log_ratio = q.log_scale - r.log_scale
        shift = (r.mean - q.mean) * jnp.exp(-r.log_scale)
        # expm1 keeps the digits of two Gaussians that are close.
        return 0.5 * jnp.sum(jnp.expm1(2.0 * log_ratio) - 2.0 * log_ratio + shift**2)
    (mean, scale_tril), (other_mean, other_tril) = _as_full(q), _as_full(r)
    ratio = solve_triangular(other_tril, scale_tril, lower=True)
    shift = solve_triangular(other_tril, other_mean - mean, lower=True)
    squares = jnp.sum(ratio**2) + jnp.sum(shift**2) - mean.size
    return 0.5 * squares - _log_det(scale_tril) + _log_det(other_tril)


def _as_full(latents: GaussianLatents | FullGaussianLatents) -> FullGaussianLatents:
    if isinstance(latents, FullGaussianLatents):
        return latents
    return FullGaussianLatents(latents.mean, jnp.diag(jnp.exp(latents.log_scale)))


def _log_det(scale_tril: Array) -> Array:
    return jnp.sum(jnp.log(jnp.diagonal(scale_tril)))
