"""Likelihoods whose parameters a network computes from the latent."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from iwae_jax import _draws, densities, networks
from iwae_jax.models._checks import check_pixel_mean, check_positive
from iwae_jax.models.composition import Likelihood
from iwae_jax.priors import bounded_log_scale
from iwae_jax.types import Array, Key, PyTree


def bernoulli_likelihood(
    key: Key,
    *,
    latent_size: int,
    event_shape: Sequence[int],
    hidden_sizes: Sequence[int] = (200, 200),
    pixel_mean: Array | None = None,
) -> tuple[Likelihood, PyTree]:
    r"""Independent Bernoulli pixels.

    .. math:: x \sim \mathrm{Bernoulli}(\sigma(f_\theta(z)))

    Args:
      key: key of the initial weights, ``[]``.
      latent_size: length of z.
      event_shape: shape of x, whose entries are 0 or 1.
      hidden_sizes: widths of the tanh layers.
      pixel_mean: ``event_shape``, mean of the training data, which sets the output's bias.

    Returns:
      The likelihood and its parameters.

    Raises:
      ValueError: a size is not positive, or `pixel_mean` has another shape than the event.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models
      >>> likelihood, theta = models.bernoulli_likelihood(
      ...     jax.random.key(0), latent_size=2, event_shape=(4, 4))
      >>> likelihood.log_prob(theta, jnp.zeros(2), jnp.ones((4, 4))).shape
      ()

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.1, arXiv:1312.6114.
    """
    check_positive(latent_size, *event_shape, *hidden_sizes)
    check_pixel_mean(pixel_mean, event_shape)
    rngs = nnx.Rngs(params=key)
    logits, params = networks.as_function(
        networks.BernoulliMLP(latent_size, hidden_sizes, event_shape, pixel_mean, rngs=rngs)
    )

    def log_prob(params: PyTree, z: Array, x: Array) -> Array:
        return densities.bernoulli_log_prob(logits(params, z), x)

    def sample(key: Key, params: PyTree, z: Array) -> Array:
        latents = densities.BernoulliLatents(logits(params, z))
        return densities.bernoulli_sample_and_log_prob(key, latents)[0]

    return Likelihood(log_prob, sample), params


def gaussian_likelihood(
    key: Key,
    *,
    latent_size: int,
    event_shape: Sequence[int],
    hidden_sizes: Sequence[int] = (200, 200),
    scale: float | None = None,
) -> tuple[Likelihood, PyTree]:
    r"""A Gaussian of one standard deviation, which is fixed or learnt.

    .. math:: x \sim N(f_\theta(z), \sigma^2 I), \quad \log p_\theta(x \mid z) =
       -\tfrac{1}{2 \sigma^2} |x - f_\theta(z)|^2 - \tfrac d2 \log(2 \pi \sigma^2)

    Args:
      key: key of the initial weights, ``[]``.
      latent_size: length of z.
      event_shape: shape of x, of d real numbers.
      hidden_sizes: widths of the tanh layers; with none f is affine.
      scale: sigma, which then stays as it is; None for one that is learnt, from 1.

    Returns:
      The likelihood, and its parameters: {"mean"}, with "raw_scale" where sigma is learnt, whose
      `iwae_jax.priors.bounded_log_scale` is log sigma.

    Raises:
      ValueError: a size or `scale` is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models
      >>> likelihood, theta = models.gaussian_likelihood(
      ...     jax.random.key(0), latent_size=2, event_shape=(3,), hidden_sizes=(), scale=0.5)
      >>> likelihood.log_prob(theta, jnp.zeros(2), jnp.zeros(3)).round(4)
      Array(-0.6774, dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.2, arXiv:1312.6114.
    """
    check_positive(latent_size, *event_shape, *hidden_sizes)
    if scale is not None and not 0.0 < scale < jnp.inf:
        raise ValueError(f"scale must be positive and finite, or None; got {scale}.")
    rngs = nnx.Rngs(params=key)
    mean, weights = networks.as_function(
        networks.TanhMLP(latent_size, hidden_sizes, event_shape, rngs=rngs)
    )
    params = {"mean": weights}
    if scale is None:
        params["raw_scale"] = jnp.zeros((), jnp.float32)

    def log_scale(params: PyTree, dtype) -> Array:
        if scale is None:
            return bounded_log_scale(params["raw_scale"])
        return jnp.log(jnp.asarray(scale, dtype))

    def log_prob(params: PyTree, z: Array, x: Array) -> Array:
        centre = mean(params["mean"], z)
        return densities.gaussian_log_prob(centre, log_scale(params, centre.dtype), x)

    def sample(key: Key, params: PyTree, z: Array) -> Array:
        centre = mean(params["mean"], z)
        noise = _draws.normal(key, centre.shape, centre.dtype)
        return centre + jnp.exp(log_scale(params, centre.dtype)) * noise

    return Likelihood(log_prob, sample), params
