"""Posteriors whose parameters a network computes from the datum."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx

from iwae_jax import densities, networks
from iwae_jax.densities import FullGaussianLatents, GaussianLatents
from iwae_jax.flows import Bijection, Flow
from iwae_jax.models._checks import check_positive
from iwae_jax.types import Array, InferenceModel, Key, PyTree


class FlowLatents(NamedTuple):
    """A Gaussian seen through a bijection that reads a context.

    Attributes:
      base: the Gaussian.
      context: ``[C]``.
    """

    base: GaussianLatents
    context: Array


def gaussian_posterior(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_size: int,
    hidden_sizes: Sequence[int] = (200, 200),
) -> tuple[InferenceModel, PyTree]:
    r"""A Gaussian of diagonal covariance.

    .. math:: q_\phi(z \mid x) = N(\mu_\phi(x), \mathrm{diag}\, \sigma_\phi(x)^2)

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of x.
      latent_size: length of z.
      hidden_sizes: widths of the tanh layers; with none q's parameters are affine in x.

    Returns:
      The inference half of a model, whose encoder returns `iwae_jax.densities.GaussianLatents`,
      and phi.

    Raises:
      ValueError: a size is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models
      >>> q, phi = models.gaussian_posterior(jax.random.key(0), event_shape=(4, 4), latent_size=2)
      >>> q.encode(phi, jnp.ones((4, 4))).mean.shape
      (2,)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 3, arXiv:1312.6114.
    """
    encode, phi = _encoder(key, event_shape, latent_size, hidden_sizes, 0)
    return InferenceModel(
        encode=lambda phi, x: _diagonal(encode(phi, x), latent_size),
        sample_and_log_prob=lambda key, phi, q: densities.gaussian_sample_and_log_prob(key, q),
        log_prob=lambda phi, q, z: densities.gaussian_log_prob(q.mean, q.log_scale, z),
        reparameterised=True,
    ), phi


def full_gaussian_posterior(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_size: int,
    hidden_sizes: Sequence[int] = (200, 200),
) -> tuple[InferenceModel, PyTree]:
    r"""A Gaussian of full covariance, the posterior's own family where all else is Gaussian.

    .. math:: q_\phi(z \mid x) = N(\mu_\phi(x), L_\phi(x) L_\phi(x)^\top)

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of x.
      latent_size: D, length of z.
      hidden_sizes: widths of the tanh layers; with none q's parameters are affine in x.

    Returns:
      The inference half of a model, whose encoder returns
      `iwae_jax.densities.FullGaussianLatents`, and phi.

    Raises:
      ValueError: a size is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models
      >>> q, phi = models.full_gaussian_posterior(
      ...     jax.random.key(0), event_shape=(4, 4), latent_size=2)
      >>> q.encode(phi, jnp.ones((4, 4))).scale_tril.shape
      (2, 2)

    References:
      Rezende, Mohamed and Wierstra (2014), Stochastic Backpropagation and Approximate Inference in
      Deep Generative Models, section 4.3, arXiv:1401.4082.
    """
    num_below = latent_size * (latent_size - 1) // 2
    encode, phi = _encoder(key, event_shape, latent_size, hidden_sizes, num_below)
    below = jnp.tril_indices(latent_size, -1)

    def latents(phi: PyTree, x: Array) -> FullGaussianLatents:
        raw = encode(phi, x)
        mean, log_scale = _diagonal(raw, latent_size)
        tril = jnp.diag(jnp.exp(log_scale)).at[below].set(raw[2 * latent_size :])
        return FullGaussianLatents(mean, tril)

    return InferenceModel(
        encode=latents,
        sample_and_log_prob=lambda key, phi, q: densities.full_gaussian_sample_and_log_prob(key, q),
        log_prob=lambda phi, q, z: densities.full_gaussian_log_prob(q.mean, q.scale_tril, z),
        reparameterised=True,
    ), phi


def flow_posterior(
    key: Key,
    *,
    event_shape: Sequence[int],
    latent_size: int,
    flow: tuple[Bijection | Flow, PyTree],
    context_size: int,
    hidden_sizes: Sequence[int] = (200, 200),
) -> tuple[InferenceModel, PyTree]:
    r"""A Gaussian seen through a bijection, both of which read the datum.

    .. math:: z = f_\phi(u;\, h_\phi(x)), \quad u \sim N(\mu_\phi(x), \mathrm{diag}\,
       \sigma_\phi(x)^2), \quad \log q_\phi(z \mid x) = \log N(u) - \log |\det \partial z /
       \partial u|

    With couplings it is a conditional RealNVP; with `iwae_jax.flows.inverse_autoregressive`
    layers, inverse autoregressive flow.

    Args:
      key: key of the encoder's initial weights, ``[]``.
      event_shape: shape of x.
      latent_size: length of z.
      flow: f, a bijection of vectors of that length that takes a context of `context_size`
        numbers, and its parameters; of a `Flow`, the bijection alone is read.
      context_size: C, length of h.
      hidden_sizes: widths of the encoder's tanh layers; with none it is affine.

    Returns:
      The inference half of a model, whose encoder returns `FlowLatents`, and phi: {"encoder",
      "flow"}. Its samples are reparameterised; estimators that ask for ``log_prob`` invert f.

    Raises:
      ValueError: a size is not positive, or f takes another context.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows, models
      >>> flow = flows.realnvp(jax.random.key(0), (2,), hidden_sizes=(8,), context_size=3)
      >>> q, phi = models.flow_posterior(
      ...     jax.random.key(1), event_shape=(4,), latent_size=2, flow=flow, context_size=3)
      >>> z, log_q = q.sample_and_log_prob(jax.random.key(2), phi, q.encode(phi, jnp.ones(4)))
      >>> z.shape
      (2,)

    References:
      Kingma et al. (2016), Improving Variational Inference with Inverse Autoregressive Flow,
      section 3, arXiv:1606.04934.
    """
    encode, encoder_params = _encoder(key, event_shape, latent_size, hidden_sizes, context_size)
    bijection, flow_params = flow

    def latents(phi: PyTree, x: Array) -> FlowLatents:
        raw = encode(phi["encoder"], x)
        return FlowLatents(_diagonal(raw, latent_size), raw[2 * latent_size :])

    def sample_and_log_prob(key: Key, phi: PyTree, q: FlowLatents) -> tuple[Array, Array]:
        u, log_q = densities.gaussian_sample_and_log_prob(key, q.base)
        z, log_det = bijection.forward_and_log_det(phi["flow"], u, q.context)
        return z, log_q - log_det

    def log_prob(phi: PyTree, q: FlowLatents, z: Array) -> Array:
        u, log_det = bijection.inverse_and_log_det(phi["flow"], z, q.context)
        return densities.gaussian_log_prob(*q.base, u) + log_det

    phi = {"encoder": encoder_params, "flow": flow_params}
    return InferenceModel(latents, sample_and_log_prob, log_prob, reparameterised=True), phi


def _encoder(key, event_shape, latent_size, hidden_sizes, num_more):
    """A network of the mean, the log standard deviation, and more numbers."""
    check_positive(latent_size, *event_shape, *hidden_sizes)
    out_shape = (2 * latent_size + num_more,)
    rngs = nnx.Rngs(params=key)
    return networks.as_function(
        networks.TanhMLP(math.prod(event_shape), hidden_sizes, out_shape, rngs=rngs)
    )


def _diagonal(raw: Array, size: int) -> GaussianLatents:
    return GaussianLatents(raw[:size], raw[size : 2 * size])
