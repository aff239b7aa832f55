"""Priors made of other things: of a flow, and of one conditional for each layer of a hierarchy."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from iwae_jax import densities
from iwae_jax.flows import Flow
from iwae_jax.priors.structures import Prior, PriorAndParams
from iwae_jax.types import Array, Key, PyTree


def from_flow(flow: tuple[Flow, PyTree]) -> PriorAndParams:
    """A flow as a prior, whose noise is the flow's own latent.

    Args:
      flow: any flow of the latent's shape, without context, and its parameters.

    Returns:
      The prior, and the flow's parameters as its lambda; without noise maps where the flow's base
      is learnt too, for its latent is then no noise of a fixed law.

    Example:
      >>> import jax
      >>> from iwae_jax import flows, priors
      >>> prior, lambda_ = priors.from_flow(
      ...     flows.realnvp(jax.random.key(0), (2,), hidden_sizes=(8,)))
      >>> prior.sample(jax.random.key(1), lambda_).shape
      (2,)

    References:
      Chen et al. (2017), Variational Lossy Autoencoder, section 3.2, arXiv:1611.02731.
    """
    density, params = flow
    prior = Prior(density.log_prob, density.sample)
    if jax.tree.leaves(params["base"]):
        return prior, params
    return prior._replace(
        to_noise=lambda lambda_, z: density.inverse_and_log_det(lambda_, z)[0],
        from_noise=lambda lambda_, noise: density.forward_and_log_det(lambda_, noise)[0],
    ), params


def autoregressive(
    conditionals: Sequence[tuple[Callable[..., densities.GaussianLatents], PyTree]],
    top: PriorAndParams,
) -> PriorAndParams:
    r"""A prior of several layers, each a Gaussian given the one above.

    .. math:: r_\lambda(z_1, \dots, z_L) = r(z_L) \prod_{l < L} N(z_l;\, m_l(z_{l+1}),
       \mathrm{diag}\, s_l(z_{l+1})^2)

    Args:
      conditionals: for each of z_1, ..., z_{L-1}, a function ``(params, z_{l+1}) ->
        GaussianLatents`` and its parameters.
      top: the prior of z_L, and its lambda.

    Returns:
      The prior of the tuple, and lambda: the list of the layers' parameters, the top one last.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities, priors
      >>> below = lambda params, z: densities.GaussianLatents(params * z, jnp.zeros(2))
      >>> prior, lambda_ = priors.autoregressive([(below, 0.5)], priors.standard_gaussian(2))
      >>> round(float(prior.log_prob(lambda_, (jnp.ones(2), jnp.zeros(2)))), 4)
      -4.6758

    References:
      Sonderby et al. (2016), Ladder Variational Autoencoders, eq. 1-3, arXiv:1602.02282.
    """
    below = [function for function, _ in conditionals]
    prior, top_params = top

    def log_prob(lambda_: PyTree, z: Sequence[Array]) -> Array:
        total = prior.log_prob(lambda_[-1], z[-1])
        for layer, function in enumerate(below):
            mean, log_scale = function(lambda_[layer], z[layer + 1])
            total += densities.gaussian_log_prob(mean, log_scale, z[layer])
        return total

    def descend(lambda_: PyTree, top: Array, draw: Callable) -> tuple[Array, ...]:
        z = [top]
        for layer in reversed(range(len(below))):
            z.insert(0, draw(layer, below[layer](lambda_[layer], z[0])))
        return tuple(z)

    def sample(key: Key, lambda_: PyTree) -> tuple[Array, ...]:
        layer_keys = jax.random.split(key, len(below) + 1)
        top = prior.sample(layer_keys[-1], lambda_[-1])

        def draw(layer: int, latents: densities.GaussianLatents) -> Array:
            return densities.gaussian_sample_and_log_prob(layer_keys[layer], latents)[0]

        return descend(lambda_, top, draw)

    def to_noise(lambda_: PyTree, z: Sequence[Array]) -> tuple[Array, ...]:
        noise = [prior.to_noise(lambda_[-1], z[-1])]
        for layer in reversed(range(len(below))):
            mean, log_scale = below[layer](lambda_[layer], z[layer + 1])
            noise.insert(0, (z[layer] - mean) * jnp.exp(-log_scale))
        return tuple(noise)

    def from_noise(lambda_: PyTree, noise: Sequence[Array]) -> tuple[Array, ...]:
        def draw(layer: int, latents: densities.GaussianLatents) -> Array:
            return latents.mean + jnp.exp(latents.log_scale) * noise[layer]

        return descend(lambda_, prior.from_noise(lambda_[-1], noise[-1]), draw)

    lambda_ = [*(params for _, params in conditionals), top_params]
    if prior.to_noise is None:
        return Prior(log_prob, sample), lambda_
    return Prior(log_prob, sample, to_noise, from_noise), lambda_
