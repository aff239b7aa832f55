"""The Gaussian toy on which signal-to-noise ratios of gradient estimators are compared."""

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


def gaussian_toy(key: Key, *, size: int) -> tuple[LatentVariableModel, Params]:
    r"""A Gaussian with a Gaussian mean, and a q whose variance is a third too large.

    .. math:: z \sim N(\mu, I), \quad x \mid z \sim N(z, I), \quad
       q(z \mid x) = N(A x + b, \tfrac23 I)

    The posterior is :math:`N((x + \mu) / 2, I / 2)`, so A = I / 2 and b = mu / 2 are the best phi.
    `iwae_jax.exact` has log p(x) and the law of the log-weight.

    Args:
      key: key of the initial parameters, ``[]``.
      size: dimension D of x and of z.

    Returns:
      The model, and its `Params` near the best phi: ``generative`` = {"mean" mu ``[D]``}, standard
      normal; ``inference`` = {"weight" A ``[D, D]``, "bias" b ``[D]``}, the best ones plus normals
      of standard deviation 0.01.

    Raises:
      ValueError: `size` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import models
      >>> model, params = models.gaussian_toy(jax.random.key(0), size=20)
      >>> params.inference["weight"].shape
      (20, 20)

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1; got {size}.")
    draws = jax.random.split(key, 3)
    mean = jax.random.normal(draws[0], (size,))
    weight = 0.5 * jnp.eye(size) + 0.01 * jax.random.normal(draws[1], (size, size))
    bias = 0.5 * mean + 0.01 * jax.random.normal(draws[2], (size,))

    def log_likelihood(theta: PyTree, x: Array, z: Array) -> Array:
        return densities.standard_gaussian_log_prob(x - z)

    def log_prior(theta: PyTree, z: Array) -> Array:
        return densities.standard_gaussian_log_prob(z - theta["mean"])

    def posterior(q: Array) -> densities.GaussianLatents:
        return densities.GaussianLatents(q, jnp.full_like(q, 0.5 * jnp.log(2.0 / 3.0)))

    model = LatentVariableModel(
        generative=GenerativeModel(
            log_joint=lambda theta, x, z: log_likelihood(theta, x, z) + log_prior(theta, z),
            log_likelihood=log_likelihood,
            log_prior=log_prior,
            sample_prior=lambda key, theta: _around(key, theta["mean"]),
            sample_likelihood=lambda key, theta, z: _around(key, z),
            prior_to_noise=lambda theta, z: z - theta["mean"],
            prior_from_noise=lambda theta, noise: theta["mean"] + noise,
        ),
        inference=InferenceModel(
            encode=lambda phi, x: phi["weight"] @ x + phi["bias"],
            sample_and_log_prob=lambda key, phi, q: densities.gaussian_sample_and_log_prob(
                key, posterior(q)
            ),
            log_prob=lambda phi, q, z: densities.gaussian_log_prob(*posterior(q), z),
            reparameterised=True,
        ),
    )
    return model, Params({"mean": mean}, {"weight": weight, "bias": bias})


def _around(key: Key, mean: Array) -> Array:
    return mean + _draws.normal(key, mean.shape, mean.dtype)
