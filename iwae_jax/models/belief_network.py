"""Sigmoid belief networks: Bernoulli latents, Bernoulli pixels."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from iwae_jax import densities, networks
from iwae_jax.densities import BernoulliLatents
from iwae_jax.models._checks import check_pixel_mean, check_positive
from iwae_jax.types import (
    Array,
    GenerativeModel,
    InferenceModel,
    Key,
    LatentVariableModel,
    Params,
    PyTree,
)


def sigmoid_belief_network(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_size: int = 200,
    hidden_sizes: Sequence[int] = (),
    pixel_mean: Array | None = None,
) -> tuple[LatentVariableModel, Params]:
    r"""One layer of Bernoulli latents with a learnt prior, and Bernoulli pixels.

    .. math:: z \sim \mathrm{Bernoulli}(\sigma(\lambda)), \quad
       x \sim \mathrm{Bernoulli}(\sigma(f_\theta(z))), \quad
       q_\phi(z \mid x) = \mathrm{Bernoulli}(\sigma(g_\phi(x)))

    With the default, no hidden layers, f and g are linear: a sigmoid belief network.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of one datum x, whose entries are 0 or 1.
      latent_size: number of latents.
      hidden_sizes: widths of the encoder's tanh layers; the decoder mirrors them.
      pixel_mean: ``event_shape``, mean of the training data, which sets the output's bias.

    Returns:
      The model, with z of 0 and 1, ``[latent_size]``, and not reparameterised, whose encoder
      returns `iwae_jax.densities.BernoulliLatents`; and its `Params`, with the logits of the prior
      at 0.

    Raises:
      ValueError: a size is not positive, or `pixel_mean` has another shape.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(4, 4), latent_size=3
      ... )
      >>> x = jax.numpy.ones((4, 4))
      >>> bound, log_weights = estimators.vimco_arithmetic(
      ...     jax.random.key(1), params, x, model=model, num_samples=5
      ... )
      >>> log_weights.shape
      (5,)

    References:
      Mnih and Gregor (2014), Neural Variational Inference and Learning in Belief Networks,
      arXiv:1402.0030.
    """
    check_positive(*event_shape, latent_size, *hidden_sizes)
    check_pixel_mean(pixel_mean, event_shape)
    rngs = nnx.Rngs(params=key)
    encoder, phi = networks.as_function(
        networks.BernoulliMLP(math.prod(event_shape), hidden_sizes, (latent_size,), rngs=rngs)
    )
    decoder, likelihood_params = networks.as_function(
        networks.BernoulliMLP(
            latent_size, tuple(hidden_sizes)[::-1], event_shape, pixel_mean, rngs=rngs
        )
    )
    theta = {"likelihood": likelihood_params, "prior": jnp.zeros(latent_size, jnp.float32)}

    def log_likelihood(theta: PyTree, x: Array, z: Array) -> Array:
        return densities.bernoulli_log_prob(decoder(theta["likelihood"], z), x)

    def log_prior(theta: PyTree, z: Array) -> Array:
        return densities.bernoulli_log_prob(theta["prior"], z)

    def sample(key: Key, logits: Array) -> Array:
        return densities.bernoulli_sample_and_log_prob(key, BernoulliLatents(logits))[0]

    model = LatentVariableModel(
        generative=GenerativeModel(
            log_joint=lambda theta, x, z: log_likelihood(theta, x, z) + log_prior(theta, z),
            log_likelihood=log_likelihood,
            log_prior=log_prior,
            sample_prior=lambda key, theta: sample(key, theta["prior"]),
            sample_likelihood=lambda key, theta, z: sample(key, decoder(theta["likelihood"], z)),
        ),
        inference=InferenceModel(
            encode=lambda phi, x: BernoulliLatents(encoder(phi, x)),
            sample_and_log_prob=lambda key, phi, q: densities.bernoulli_sample_and_log_prob(key, q),
            log_prob=lambda phi, q, z: densities.bernoulli_log_prob(q.logits, z),
            reparameterised=False,
        ),
    )
    return model, Params(theta, phi)
