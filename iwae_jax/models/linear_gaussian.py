"""Probabilistic PCA, whose log p(x), posterior and ELBO are known in closed form."""

import jax
import jax.numpy as jnp

from iwae_jax import _draws, densities
from iwae_jax.types import (
    Array,
    GenerativeModel,
    InferenceModel,
    Key,
    LatentVariableModel,
    Params,
    PyTree,
)


def linear_gaussian(
    key: Key, *, data_size: int, latent_size: int
) -> tuple[LatentVariableModel, Params]:
    r"""Probabilistic PCA with a linear, full-covariance posterior: a model with exact answers.

    .. math:: z \sim N(0, I), \quad x \mid z \sim N(W z + b, s^2 I), \quad
       q(z \mid x) = N(A x + c, L L^\top)

    q is the posterior at some phi, for every x at once: `iwae_jax.exact` has that phi, log p(x)
    and the ELBO in closed form.

    Args:
      key: key of the initial weights, ``[]``.
      data_size: dimension D of x.
      latent_size: dimension k of z.

    Returns:
      The model, and its `Params` of standard-normal entries:
      ``generative`` = {"weight" W ``[D, k]``, "bias" b ``[D]``, "log_scale" log s ``[]``},
      ``inference`` = {"weight" A ``[k, D]``, "bias" c ``[k]``, "tril" ``[k, k]``}, where L is the
      lower triangle of "tril" with its diagonal exponentiated.

    Raises:
      ValueError: a size is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> params.generative["weight"].shape
      (3, 2)

    References:
      Tipping and Bishop (1999), Probabilistic Principal Component Analysis, eq. 1-6.
    """
    if data_size < 1 or latent_size < 1:
        raise ValueError(
            f"data_size and latent_size must be at least 1; got {data_size} and {latent_size}."
        )
    draws = jax.random.split(key, 5)
    theta = {
        "weight": jax.random.normal(draws[0], (data_size, latent_size)),
        "bias": jax.random.normal(draws[1], (data_size,)),
        "log_scale": jnp.zeros(()),
    }
    phi = {
        "weight": jax.random.normal(draws[2], (latent_size, data_size)),
        "bias": jax.random.normal(draws[3], (latent_size,)),
        "tril": jnp.tril(jax.random.normal(draws[4], (latent_size, latent_size))),
    }

    def log_likelihood(theta: PyTree, x: Array, z: Array) -> Array:
        mean = theta["weight"] @ z + theta["bias"]
        return densities.gaussian_log_prob(mean, theta["log_scale"], x)

    def log_prior(theta: PyTree, z: Array) -> Array:
        return densities.standard_gaussian_log_prob(z)

    def sample_likelihood(key: Key, theta: PyTree, z: Array) -> Array:
        noise = _draws.normal(key, theta["bias"].shape, theta["bias"].dtype)
        return theta["weight"] @ z + theta["bias"] + jnp.exp(theta["log_scale"]) * noise

    def sample_and_log_prob(key: Key, phi: PyTree, q: Array) -> tuple[Array, Array]:
        noise = _draws.normal(key, q.shape, q.dtype)
        log_prob = densities.standard_gaussian_log_prob(noise) - jnp.trace(phi["tril"])
        return q + scale_tril(phi) @ noise, log_prob

    def log_prob(phi: PyTree, q: Array, z: Array) -> Array:
        noise = jax.scipy.linalg.solve_triangular(scale_tril(phi), z - q, lower=True)
        return densities.standard_gaussian_log_prob(noise) - jnp.trace(phi["tril"])

    def scale_tril(phi: PyTree) -> Array:
        return jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))

    model = LatentVariableModel(
        generative=GenerativeModel(
            log_joint=lambda theta, x, z: log_likelihood(theta, x, z) + log_prior(theta, z),
            log_likelihood=log_likelihood,
            log_prior=log_prior,
            sample_prior=lambda key, theta: _draws.normal(
                key, (theta["weight"].shape[1],), theta["weight"].dtype
            ),
            sample_likelihood=sample_likelihood,
            prior_to_noise=lambda theta, z: z,
            prior_from_noise=lambda theta, noise: noise,
        ),
        inference=InferenceModel(
            encode=lambda phi, x: phi["weight"] @ x + phi["bias"],
            sample_and_log_prob=sample_and_log_prob,
            log_prob=log_prob,
            reparameterised=True,
        ),
    )
    return model, Params(theta, phi)
