"""Builders of models: ``(model, params)``, a NamedTuple of pure functions and a plain pytree."""

from iwae_jax.models.belief_network import sigmoid_belief_network
from iwae_jax.models.gaussian_toy import gaussian_toy
from iwae_jax.models.linear_gaussian import linear_gaussian
from iwae_jax.models.vae import hierarchical_vae, vae

__all__ = ["gaussian_toy", "hierarchical_vae", "linear_gaussian", "sigmoid_belief_network", "vae"]
