"""Builders of models: ``(model, params)``, a NamedTuple of pure functions and a plain pytree."""

from iwae_jax.models.belief_network import sigmoid_belief_network
from iwae_jax.models.composition import Likelihood, compose
from iwae_jax.models.gaussian_toy import gaussian_toy
from iwae_jax.models.likelihoods import bernoulli_likelihood, gaussian_likelihood
from iwae_jax.models.linear_gaussian import linear_gaussian
from iwae_jax.models.posteriors import (
    FlowLatents,
    flow_posterior,
    full_gaussian_posterior,
    gaussian_posterior,
)
from iwae_jax.models.vae import hierarchical_vae, vae

__all__ = [
    "FlowLatents",
    "Likelihood",
    "bernoulli_likelihood",
    "compose",
    "flow_posterior",
    "full_gaussian_posterior",
    "gaussian_likelihood",
    "gaussian_posterior",
    "gaussian_toy",
    "hierarchical_vae",
    "linear_gaussian",
    "sigmoid_belief_network",
    "vae",
]
