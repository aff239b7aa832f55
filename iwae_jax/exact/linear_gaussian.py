"""Closed forms for `iwae_jax.models.linear_gaussian`."""

import jax.numpy as jnp

from iwae_jax.exact import precision
from iwae_jax.types import Array, Params, PyTree


def linear_gaussian_log_likelihood(theta: PyTree, x: Array) -> Array:
    r"""The marginal log-likelihood of probabilistic PCA.

    .. math:: \log p(x) = \log N(x; b, W W^\top + s^2 I)

    Args:
      theta: "weight" W ``[D, k]``, "bias" b ``[D]``, "log_scale" log s ``[]``; float64.
      x: one datum, ``[D]``.

    Returns:
      log p(x), ``[]``, in nats.

    Raises:
      TypeError: theta is not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      ...     x = jax.numpy.ones(3)
      ...     exact.linear_gaussian_log_likelihood(params.generative, x).shape
      ()

    References:
      Tipping and Bishop (1999), Probabilistic Principal Component Analysis, eq. 4.
    """
    precision.require_float64(theta)
    weight, scale = theta["weight"], jnp.exp(theta["log_scale"])
    covariance = weight @ weight.T + scale**2 * jnp.eye(x.size)
    centred = x - theta["bias"]
    quadratic = centred @ jnp.linalg.solve(covariance, centred)
    return -0.5 * (quadratic + jnp.linalg.slogdet(2.0 * jnp.pi * covariance)[1])


def linear_gaussian_posterior(theta: PyTree) -> PyTree:
    r"""The phi at which q is the posterior, for every x at once.

    .. math:: p(z \mid x) = N(M^{-1} W^\top (x - b),\; s^2 M^{-1}), \quad M = W^\top W + s^2 I

    Args:
      theta: "weight" W ``[D, k]``, "bias" b ``[D]``, "log_scale" log s ``[]``; float64.

    Returns:
      phi, as in ``params.inference`` of `iwae_jax.models.linear_gaussian`.

    Raises:
      TypeError: theta is not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      ...     phi = exact.linear_gaussian_posterior(params.generative)
      >>> phi["weight"].shape
      (2, 3)

    References:
      Tipping and Bishop (1999), Probabilistic Principal Component Analysis, eq. 6.
    """
    precision.require_float64(theta)
    weight, scale = theta["weight"], jnp.exp(theta["log_scale"])
    gram = weight.T @ weight + scale**2 * jnp.eye(weight.shape[1])
    projection = jnp.linalg.solve(gram, weight.T)
    scale_tril = jnp.linalg.cholesky(scale**2 * jnp.linalg.inv(gram))
    tril = jnp.tril(scale_tril, -1) + jnp.diag(jnp.log(jnp.diag(scale_tril)))
    return {"weight": projection, "bias": -projection @ theta["bias"], "tril": tril}


def linear_gaussian_elbo(params: Params, x: Array) -> Array:
    r"""The ELBO of probabilistic PCA under a linear Gaussian q, without sampling.

    .. math:: E_q \log p(x \mid z) - KL[N(m, S) \| N(0, I)], \quad m = A x + c, \; S = L L^\top

    Args:
      params: as `iwae_jax.models.linear_gaussian` builds them; float64.
      x: one datum, ``[D]``.

    Returns:
      The ELBO, ``[]``, in nats; its `jax.grad` is the exact gradient.

    Raises:
      TypeError: the parameters are not float64.

    Example:
      >>> import jax
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      ...     x = jax.numpy.ones(3)
      ...     log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
      ...     bool(exact.linear_gaussian_elbo(params, x) < log_p)
      True

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 3, arXiv:1312.6114.
    """
    precision.require_float64(params)
    theta, phi = params.generative, params.inference
    mean = phi["weight"] @ x + phi["bias"]
    scale_tril = jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))
    residual = x - theta["weight"] @ mean - theta["bias"]
    spread = jnp.sum((theta["weight"] @ scale_tril) ** 2)
    log_likelihood = -0.5 * (residual @ residual + spread) * jnp.exp(
        -2.0 * theta["log_scale"]
    ) - x.size * (theta["log_scale"] + 0.5 * jnp.log(2.0 * jnp.pi))
    kl = 0.5 * (jnp.sum(scale_tril**2) + mean @ mean - mean.size) - jnp.trace(phi["tril"])
    return log_likelihood - kl
