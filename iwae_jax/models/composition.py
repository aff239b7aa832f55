"""A model from its three parts: prior, likelihood, posterior."""

from collections.abc import Callable
from typing import NamedTuple

from iwae_jax.priors import Prior
from iwae_jax.types import (
    Array,
    GenerativeModel,
    InferenceModel,
    Key,
    LatentVariableModel,
    Params,
    PyTree,
)


class Likelihood(NamedTuple):
    """A density p_theta(x | z), as pure functions of its parameters.

    Attributes:
      log_prob: ``(params, z, x) -> []``, in nats.
      sample: ``(key, params, z) -> x``.
    """

    log_prob: Callable[[PyTree, PyTree, PyTree], Array]
    sample: Callable[[Key, PyTree, PyTree], PyTree]


def compose(
    *,
    prior: tuple[Prior, PyTree],
    likelihood: tuple[Likelihood, PyTree],
    posterior: tuple[InferenceModel, PyTree],
) -> tuple[LatentVariableModel, Params]:
    r"""Builds a model of any prior, likelihood and posterior of the same latent.

    .. math:: z \sim r_\lambda(z), \quad x \sim p_\theta(x \mid z), \quad z \sim q_\phi(z \mid x)

    Args:
      prior: r, from `iwae_jax.priors`, and lambda.
      likelihood: p, and its parameters.
      posterior: q, and phi.

    Returns:
      The model, and its `Params`, with ``generative`` = {"likelihood", "prior"}.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models, priors
      >>> model, params = models.compose(
      ...     prior=priors.diagonal_gaussian(jnp.zeros(2), jnp.ones(2)),
      ...     likelihood=models.bernoulli_likelihood(
      ...         jax.random.key(0), latent_size=2, event_shape=(4, 4)),
      ...     posterior=models.gaussian_posterior(
      ...         jax.random.key(1), event_shape=(4, 4), latent_size=2),
      ... )
      >>> model.generative.sample_prior(jax.random.key(2), params.generative).shape
      (2,)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2, arXiv:1312.6114.
    """
    (r, lambda_), (p, theta), (q, phi) = prior, likelihood, posterior

    def log_likelihood(theta: PyTree, x: PyTree, z: PyTree) -> Array:
        return p.log_prob(theta["likelihood"], z, x)

    def log_prior(theta: PyTree, z: PyTree) -> Array:
        return r.log_prob(theta["prior"], z)

    generative = GenerativeModel(
        log_joint=lambda theta, x, z: log_likelihood(theta, x, z) + log_prior(theta, z),
        log_likelihood=log_likelihood,
        log_prior=log_prior,
        sample_prior=lambda key, theta: r.sample(key, theta["prior"]),
        sample_likelihood=lambda key, theta, z: p.sample(key, theta["likelihood"], z),
    )
    to_noise, from_noise, gaussian = r.to_noise, r.from_noise, r.gaussian
    if to_noise is not None and from_noise is not None:
        generative = generative._replace(
            prior_to_noise=lambda theta, z: to_noise(theta["prior"], z),
            prior_from_noise=lambda theta, noise: from_noise(theta["prior"], noise),
        )
    if gaussian is not None:
        generative = generative._replace(gaussian_prior=lambda theta: gaussian(theta["prior"]))
    model = LatentVariableModel(generative, q)
    return model, Params({"likelihood": theta, "prior": lambda_}, phi)
