"""Variational autoencoders with one or more stochastic layers."""

import math
from collections.abc import Sequence

import jax
from flax import nnx

from iwae_jax import densities, networks, priors
from iwae_jax.densities import GaussianLatents
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


def _layer_log_prob(latents: GaussianLatents, z: Array) -> Array:
    return densities.gaussian_log_prob(latents.mean, latents.log_scale, z)


def _check_sizes(
    event_shape: Sequence[int],
    latent_sizes: Sequence[int],
    hidden_sizes: Sequence[Sequence[int]],
    pixel_mean: Array | None,
) -> None:
    if not latent_sizes or len(hidden_sizes) != len(latent_sizes) or not all(hidden_sizes):
        raise ValueError(
            "hidden_sizes needs one non-empty sequence of widths for each of latent_sizes; got "
            f"hidden_sizes={hidden_sizes!r} and latent_sizes={latent_sizes!r}."
        )
    check_positive(*event_shape, *latent_sizes, *(h for widths in hidden_sizes for h in widths))
    check_pixel_mean(pixel_mean, event_shape)


def hierarchical_vae(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_sizes: Sequence[int] = (100, 50),
    hidden_sizes: Sequence[Sequence[int]] = ((200, 200), (100, 100)),
    pixel_mean: Array | None = None,
) -> tuple[LatentVariableModel, Params]:
    r"""Several stochastic layers: each a Gaussian given the one before, in both directions.

    .. math:: q_\phi(z \mid x) = q(z_1 \mid x) \prod_l q(z_{l+1} \mid z_l), \quad
       p_\theta(x, z) = p(z_L) \prod_l p(z_l \mid z_{l+1})\, p(x \mid z_1)

    The defaults are the two-layer network of the importance-weighted autoencoder.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of one datum x, whose entries are 0 or 1.
      latent_sizes: dimensions of z_1 (next to the data), ..., z_L.
      hidden_sizes: for each latent, widths of the tanh layers that lead to it; mirrored back.
      pixel_mean: ``event_shape``, mean of the training data, which sets the output's bias.

    Returns:
      The model, with z a tuple of L arrays, and its `Params`.

    Raises:
      ValueError: a size is not positive, the lengths of `latent_sizes` and `hidden_sizes` differ,
        or `pixel_mean` has another shape than the event.

    Example:
      >>> import jax
      >>> from iwae_jax import models
      >>> model, params = models.hierarchical_vae(jax.random.key(0), event_shape=(4, 4))
      >>> z = model.generative.sample_prior(jax.random.key(1), params.generative)
      >>> [layer.shape for layer in z]
      [(100,), (50,)]

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """
    _check_sizes(event_shape, latent_sizes, hidden_sizes, pixel_mean)
    num_layers = len(latent_sizes)
    below = (math.prod(event_shape), *latent_sizes[:-1])
    rngs = nnx.Rngs(params=key)
    encoders = [
        networks.as_function(networks.GaussianMLP(in_size, widths, size, rngs=rngs))
        for in_size, widths, size in zip(below, hidden_sizes, latent_sizes, strict=True)
    ]
    likelihood, likelihood_params = networks.as_function(
        networks.BernoulliMLP(
            latent_sizes[0], hidden_sizes[0][::-1], event_shape, pixel_mean, rngs=rngs
        )
    )
    conditionals = [
        networks.as_function(networks.GaussianMLP(above, widths[::-1], size, rngs=rngs))
        for above, widths, size in zip(
            latent_sizes[1:], hidden_sizes[1:], latent_sizes[:-1], strict=True
        )
    ]
    prior, lambda_ = priors.autoregressive(conditionals, priors.standard_gaussian(latent_sizes[-1]))
    params = Params(
        generative={"likelihood": likelihood_params, "prior": lambda_},
        inference=[p for _, p in encoders],
    )

    def log_likelihood(theta: PyTree, x: Array, z: tuple[Array, ...]) -> Array:
        return densities.bernoulli_log_prob(likelihood(theta["likelihood"], z[0]), x)

    def sample_likelihood(key: Key, theta: PyTree, z: tuple[Array, ...]) -> Array:
        logits = likelihood(theta["likelihood"], z[0])
        return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(logits.dtype)

    def sample_and_log_prob(key: Key, phi: PyTree, q: GaussianLatents) -> tuple[tuple, Array]:
        layer_keys = _layer_keys(key, num_layers)
        sample, total = densities.gaussian_sample_and_log_prob(layer_keys[0], q)
        z = [sample]
        for layer in range(1, num_layers):
            latents = encoders[layer][0](phi[layer], z[-1])
            sample, log_q = densities.gaussian_sample_and_log_prob(layer_keys[layer], latents)
            z.append(sample)
            total += log_q
        return tuple(z), total

    def log_prob(phi: PyTree, q: GaussianLatents, z: tuple[Array, ...]) -> Array:
        total = _layer_log_prob(q, z[0])
        for layer in range(1, num_layers):
            latents = encoders[layer][0](phi[layer], z[layer - 1])
            total += _layer_log_prob(latents, z[layer])
        return total

    model = LatentVariableModel(
        generative=GenerativeModel(
            log_joint=lambda theta, x, z: (
                log_likelihood(theta, x, z) + prior.log_prob(theta["prior"], z)
            ),
            log_likelihood=log_likelihood,
            log_prior=lambda theta, z: prior.log_prob(theta["prior"], z),
            sample_prior=lambda key, theta: prior.sample(key, theta["prior"]),
            sample_likelihood=sample_likelihood,
            prior_to_noise=lambda theta, z: prior.to_noise(theta["prior"], z),
            prior_from_noise=lambda theta, noise: prior.from_noise(theta["prior"], noise),
        ),
        inference=InferenceModel(
            encode=lambda phi, x: encoders[0][0](phi[0], x),
            sample_and_log_prob=sample_and_log_prob,
            log_prob=log_prob,
            reparameterised=True,
        ),
    )
    return model, params


def _layer_keys(key: Key, num_layers: int) -> Key:
    # A child of the sample's key that no extra draw of this sample has (those count from 1).
    return jax.random.split(jax.random.fold_in(key, 0), num_layers)


def vae(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_size: int = 50,
    hidden_sizes: Sequence[int] = (200, 200),
    pixel_mean: Array | None = None,
) -> tuple[LatentVariableModel, Params]:
    r"""One stochastic layer: Gaussian posterior, standard Gaussian prior, Bernoulli pixels.

    .. math:: z \sim N(0, I), \quad x \sim \mathrm{Bernoulli}(\sigma(f_\theta(z))), \quad
       q_\phi(z \mid x) = N(\mu_\phi(x), \mathrm{diag}\, \sigma_\phi(x)^2)

    The defaults are the one-layer network of the importance-weighted autoencoder.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of one datum x, whose entries are 0 or 1.
      latent_size: dimension of z.
      hidden_sizes: widths of the encoder's tanh layers; the decoder mirrors them.
      pixel_mean: ``event_shape``, mean of the training data, which sets the output's bias.

    Returns:
      The model, with z of shape ``[latent_size]``, and its `Params`.

    Raises:
      ValueError: a size is not positive, or `pixel_mean` has another shape.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.vae(jax.random.key(0), event_shape=(4, 4), latent_size=2)
      >>> x = jax.numpy.ones((4, 4))
      >>> bound, log_weights = estimators.pathwise(
      ...     jax.random.key(1), params, x, model=model, num_samples=5
      ... )
      >>> log_weights.shape
      (5,)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """
    model, params = hierarchical_vae(
        key,
        event_shape=event_shape,
        latent_sizes=(latent_size,),
        hidden_sizes=(tuple(hidden_sizes),),
        pixel_mean=pixel_mean,
    )
    generative, inference = model

    def sample_and_log_prob(key: Key, phi: PyTree, q: PyTree) -> tuple[Array, Array]:
        (z,), log_q = inference.sample_and_log_prob(key, phi, q)
        return z, log_q

    return LatentVariableModel(
        generative=GenerativeModel(
            log_joint=lambda theta, x, z: generative.log_joint(theta, x, (z,)),
            log_likelihood=lambda theta, x, z: generative.log_likelihood(theta, x, (z,)),
            log_prior=lambda theta, z: generative.log_prior(theta, (z,)),
            sample_prior=lambda key, theta: generative.sample_prior(key, theta)[0],
            sample_likelihood=lambda key, theta, z: generative.sample_likelihood(key, theta, (z,)),
            prior_to_noise=lambda theta, z: z,
            prior_from_noise=lambda theta, noise: noise,
            gaussian_prior=priors.standard_gaussian(latent_size)[0].gaussian,
        ),
        inference=InferenceModel(
            encode=inference.encode,
            sample_and_log_prob=sample_and_log_prob,
            log_prob=lambda phi, q, z: inference.log_prob(phi, q, (z,)),
            reparameterised=True,
        ),
    ), params
