"""Densities of the latent."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from iwae_jax import _draws, densities
from iwae_jax.flows.structures import Base
from iwae_jax.types import Array, Key, PyTree

BaseAndParams = tuple[Base, PyTree]


def standard_normal(event_shape: Sequence[int]) -> BaseAndParams:
    """Independent normal variables of mean 0 and variance 1.

    Args:
      event_shape: shape of the latent.

    Returns:
      The base, which has no parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> base, params = flows.standard_normal((2,))
      >>> round(float(base.log_prob(params, jnp.zeros(2))), 4)
      -1.8379

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    shape = tuple(event_shape)

    def log_prob(params: PyTree, z: Array) -> Array:
        chex.assert_shape(z, shape)
        return densities.standard_gaussian_log_prob(z)

    def sample(key: Key, params: PyTree, temperature: Array | float) -> Array:
        return temperature * jax.random.normal(key, shape)

    return Base(log_prob, sample), ()


def logistic(event_shape: Sequence[int]) -> BaseAndParams:
    r"""Independent standard logistic variables.

    .. math:: \log p(z) = -\sum_d [\log(1 + e^{z_d}) + \log(1 + e^{-z_d})]

    Args:
      event_shape: shape of the latent.

    Returns:
      The base, which has no parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> base, params = flows.logistic((2,))
      >>> round(float(base.log_prob(params, jnp.zeros(2))), 4)
      -2.7726

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    shape = tuple(event_shape)

    def log_prob(params: PyTree, z: Array) -> Array:
        chex.assert_shape(z, shape)
        return jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z))

    def sample(key: Key, params: PyTree, temperature: Array | float) -> Array:
        return temperature * jax.random.logistic(key, shape)

    return Base(log_prob, sample), ()


def gaussian_mixture(*, num_components: int, size: int) -> BaseAndParams:
    r"""A mixture of Gaussians with full covariances; one component is the full Gaussian.

    .. math:: p(z) = \sum_c \pi_c\, |W_c|\, N(W_c (z - m_c);\, 0, I)

    with W lower triangular. `class_gaussians` fits it to labelled data in closed form.

    Args:
      num_components: C.
      size: D, length of the latent, a vector.

    Returns:
      The base, and its parameters: ``logits`` ``[C]``, ``mean`` ``[C, D]`` and ``tril``
      ``[C, D, D]``, W with the logarithm of its diagonal in place of the diagonal.

    Raises:
      ValueError: a size is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> base, params = flows.gaussian_mixture(num_components=3, size=2)
      >>> round(float(base.log_prob(params, jnp.zeros(2))), 4)
      -1.8379

    References:
      Papamakarios, Pavlakou and Murray (2017), Masked Autoregressive Flow for Density Estimation,
      arXiv:1705.07057.
    """
    if num_components < 1 or size < 1:
        raise ValueError(
            "num_components and size must be at least 1; got "
            f"num_components={num_components}, size={size}."
        )
    params = {
        "logits": jnp.zeros(num_components),
        "mean": jnp.zeros((num_components, size)),
        "tril": jnp.zeros((num_components, size, size)),
    }

    def whitener(tril: Array) -> Array:
        return jnp.tril(tril, -1) + jnp.diag(jnp.exp(jnp.diagonal(tril)))

    def log_prob(params: PyTree, z: Array) -> Array:
        chex.assert_shape(z, (size,))

        def of_component(mean: Array, tril: Array) -> Array:
            noise = whitener(tril) @ (z - mean)
            return densities.standard_gaussian_log_prob(noise) + jnp.trace(tril)

        log_probs = jax.vmap(of_component)(params["mean"], params["tril"])
        return jax.nn.logsumexp(jax.nn.log_softmax(params["logits"]) + log_probs)

    def sample(key: Key, params: PyTree, temperature: Array | float) -> Array:
        component_key, noise_key = jax.random.split(key)
        component = jax.random.categorical(component_key, params["logits"])
        mean, tril = params["mean"][component], params["tril"][component]
        noise = temperature * _draws.normal(noise_key, (size,), mean.dtype)
        return mean + jax.scipy.linalg.solve_triangular(whitener(tril), noise, lower=True)

    return Base(log_prob, sample), params


def class_gaussians(
    zs: npt.ArrayLike, labels: npt.ArrayLike, *, num_classes: int, shrinkage: float = 0.3
) -> PyTree:
    r"""Parameters of a `gaussian_mixture` with one component for each class.

    .. math:: \Sigma_c' = (1 - s) \Sigma_c + s \Sigma

    Args:
      zs: ``[N, D]``, latents.
      labels: ``[N]``, class of each, from 0.
      num_classes: C.
      shrinkage: s, from 0 to 1: how far a class's covariance goes to that of all the data.

    Returns:
      The parameters, whose components have the classes' frequencies and means.

    Raises:
      ValueError: the shrinkage is out of its range.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> zs = jax.random.normal(jax.random.key(0), (100, 2))
      >>> params = flows.class_gaussians(zs, jnp.arange(100) % 4, num_classes=4)
      >>> params["tril"].shape
      (4, 2, 2)

    References:
      Friedman (1989), Regularized Discriminant Analysis, Journal of the American Statistical
      Association 84.
    """
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"shrinkage must be from 0 to 1; got {shrinkage}.")
    dtype = jnp.asarray(zs).dtype
    # On the host and in double precision: covariances of pixels are close to singular.
    points, classes = np.asarray(zs, np.float64), np.asarray(labels)
    chex.assert_equal_shape_prefix((points, classes), 1)
    overall = np.cov(points.T, ddof=0)

    def of_class(index: int) -> dict[str, np.ndarray]:
        own = points[classes == index]
        covariance = (1.0 - shrinkage) * np.cov(own.T, ddof=0) + shrinkage * overall
        whitener = np.linalg.inv(np.linalg.cholesky(covariance))
        tril = np.tril(whitener, -1) + np.diag(np.log(np.diagonal(whitener)))
        return {"logits": np.log(len(own) / len(points)), "mean": own.mean(0), "tril": tril}

    each = [of_class(index) for index in range(num_classes)]
    return {
        name: jnp.asarray(np.stack([found[name] for found in each]), dtype)
        for name in ("logits", "mean", "tril")
    }


def product(bases: Sequence[BaseAndParams]) -> BaseAndParams:
    """Independent latents, each with its own base: what `factor_out` leaves behind.

    Args:
      bases: the bases of a tuple of latents, each with its parameters.

    Returns:
      The base of the tuple, and the list of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> base, params = flows.product([flows.standard_normal((2,)), flows.logistic((2,))])
      >>> round(float(base.log_prob(params, (jnp.zeros(2), jnp.zeros(2)))), 4)
      -4.6105

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    parts = [base for base, _ in bases]

    def log_prob(params: PyTree, z: tuple[PyTree, ...]) -> Array:
        each = [b.log_prob(own, part) for b, own, part in zip(parts, params, z, strict=True)]
        return jnp.sum(jnp.stack(each))

    def sample(key: Key, params: PyTree, temperature: Array | float) -> tuple[PyTree, ...]:
        keys = jax.random.split(key, len(parts))
        return tuple(
            base.sample(own_key, own, temperature)
            for base, own_key, own in zip(parts, keys, params, strict=True)
        )

    return Base(log_prob, sample), [params for _, params in bases]
