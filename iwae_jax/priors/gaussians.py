"""Gaussian priors, whose divergence from a Gaussian posterior has a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike

from iwae_jax import densities
from iwae_jax.densities import FullGaussianLatents, GaussianLatents
from iwae_jax.priors.structures import Prior, PriorAndParams
from iwae_jax.types import Array, Key, PyTree

_BOUND = 10.0


def bounded_log_scale(raw: Array) -> Array:
    r"""A log standard deviation between -10 and 10, from any number.

    .. math:: \log s = 10 \tanh(u / 10)

    Close to zero it is the number itself; no step of an optimiser, however large, leads to a scale
    that is zero or infinite.

    Args:
      raw: ``[...]``, u.

    Returns:
      log s, ``[...]``.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import priors
      >>> priors.bounded_log_scale(jnp.array([0.0, -1e6])).tolist()
      [0.0, -10.0]

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, section 4.1,
      arXiv:1605.08803, for a bounded log-scale.
    """
    return _BOUND * jnp.tanh(raw / _BOUND)


def _unbounded(log_scale: Array) -> Array:
    if not isinstance(log_scale, jax.core.Tracer) and np.any(np.abs(log_scale) >= _BOUND):
        raise ValueError(
            "variance (or covariance) must have standard deviations between "
            f"e^-{_BOUND:g} and e^{_BOUND:g}; got exp({log_scale})."
        )
    return _BOUND * jnp.arctanh(log_scale / _BOUND)


def standard_gaussian(size: int) -> PriorAndParams:
    """N(0, I), which has no parameters.

    Args:
      size: D, length of z.

    Returns:
      The prior, and its empty parameters.

    Raises:
      ValueError: the size is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import priors
      >>> prior, lambda_ = priors.standard_gaussian(2)
      >>> round(float(prior.log_prob(lambda_, jnp.zeros(2))), 4)
      -1.8379

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 3, arXiv:1312.6114.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1; got {size}.")
    # Of a weak type, which takes on the precision of what it meets.
    zeros = lambda: jnp.broadcast_to(0.0, (size,))
    return Prior(
        log_prob=lambda lambda_, z: densities.standard_gaussian_log_prob(z),
        sample=lambda key, lambda_: jax.random.normal(key, (size,), jnp.float32),
        to_noise=lambda lambda_, z: z,
        from_noise=lambda lambda_, noise: noise,
        gaussian=lambda lambda_: GaussianLatents(zeros(), zeros()),
    ), ()


def diagonal_gaussian(mean: ArrayLike, variance: ArrayLike) -> PriorAndParams:
    r"""A Gaussian of diagonal covariance, with both moments learnt.

    .. math:: r_\lambda(z) = N(\lambda_1, \mathrm{diag}(\lambda_2)), \quad
       \lambda_2 = \exp(20 \tanh(u / 10)) > 0

    Args:
      mean: ``[D]``, the initial lambda_1.
      variance: ``[D]``, the initial lambda_2.

    Returns:
      The prior, and lambda: {"mean" ``[D]``, "raw_scale" u ``[D]``}; ``prior.gaussian(lambda_)``
      gives its mean and log standard deviation.

    Raises:
      ValueError: a variance is not positive, or not between e^-20 and e^20; or the two are no
        vectors of one length.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import priors
      >>> prior, lambda_ = priors.diagonal_gaussian(jnp.zeros(2), jnp.array([1.0, 4.0]))
      >>> round(float(prior.log_prob(lambda_, jnp.zeros(2))), 4)
      -2.531

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.1, arXiv:1312.6114,
      where the prior's parameters are learnt too.
    """
    start = densities.gaussian_latents(mean, variance)

    def gaussian(lambda_: PyTree) -> GaussianLatents:
        return GaussianLatents(lambda_["mean"], bounded_log_scale(lambda_["raw_scale"]))

    def log_prob(lambda_: PyTree, z: Array) -> Array:
        return densities.gaussian_log_prob(*gaussian(lambda_), z)

    def to_noise(lambda_: PyTree, z: Array) -> Array:
        mean, log_scale = gaussian(lambda_)
        return (z - mean) * jnp.exp(-log_scale)

    def from_noise(lambda_: PyTree, noise: Array) -> Array:
        mean, log_scale = gaussian(lambda_)
        return mean + jnp.exp(log_scale) * noise

    def sample(key: Key, lambda_: PyTree) -> Array:
        return densities.gaussian_sample_and_log_prob(key, gaussian(lambda_))[0]

    lambda_ = {"mean": start.mean, "raw_scale": _unbounded(start.log_scale)}
    return Prior(log_prob, sample, to_noise, from_noise, gaussian), lambda_


def full_gaussian(mean: ArrayLike, covariance: ArrayLike) -> PriorAndParams:
    r"""A Gaussian of full covariance, with both moments learnt.

    .. math:: r_\lambda(z) = N(\lambda_1, L L^\top), \quad L_{ii} = \exp(10 \tanh(u_{ii} / 10)) > 0

    Args:
      mean: ``[D]``, the initial lambda_1.
      covariance: ``[D, D]``, the initial covariance.

    Returns:
      The prior, and lambda: {"mean" ``[D]``, "tril" ``[D, D]``}, whose strict lower triangle is
      that of L and whose diagonal is u; ``prior.gaussian(lambda_)`` gives the mean and L.

    Raises:
      ValueError: the covariance is not symmetric and positive definite, or the shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import priors
      >>> prior, lambda_ = priors.full_gaussian(jnp.zeros(2), jnp.diag(jnp.array([1.0, 4.0])))
      >>> round(float(prior.log_prob(lambda_, jnp.zeros(2))), 4)
      -2.531

    References:
      Rezende, Mohamed and Wierstra (2014), Stochastic Backpropagation and Approximate Inference in
      Deep Generative Models, section 4.3, arXiv:1401.4082.
    """
    start = densities.full_gaussian_latents(mean, covariance)

    def gaussian(lambda_: PyTree) -> FullGaussianLatents:
        tril = lambda_["tril"]
        diagonal = jnp.exp(bounded_log_scale(jnp.diagonal(tril)))
        return FullGaussianLatents(lambda_["mean"], jnp.tril(tril, -1) + jnp.diag(diagonal))

    def log_prob(lambda_: PyTree, z: Array) -> Array:
        return densities.full_gaussian_log_prob(*gaussian(lambda_), z)

    def to_noise(lambda_: PyTree, z: Array) -> Array:
        mean, scale_tril = gaussian(lambda_)
        return solve_triangular(scale_tril, z - mean, lower=True)

    def from_noise(lambda_: PyTree, noise: Array) -> Array:
        mean, scale_tril = gaussian(lambda_)
        return mean + scale_tril @ noise

    def sample(key: Key, lambda_: PyTree) -> Array:
        return densities.full_gaussian_sample_and_log_prob(key, gaussian(lambda_))[0]

    diagonal = _unbounded(jnp.log(jnp.diagonal(start.scale_tril)))
    tril = jnp.tril(start.scale_tril, -1) + jnp.diag(diagonal)
    prior = Prior(log_prob, sample, to_noise, from_noise, gaussian)
    return prior, {"mean": start.mean, "tril": tril}
