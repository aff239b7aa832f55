"""Priors and posteriors by name, and the network of each pair of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import LatentVariableModel, Params, flows, models, priors
from iwae_jax.types import Estimator, Key

PRIORS = ("standard", "diagonal", "full", "mixture", "vamp", "flow", "autoregressive")
POSTERIORS = ("diagonal", "full", "realnvp", "iaf", "hierarchical")


class Sizes(NamedTuple):
    """Sizes that all the networks share.

    Attributes:
      latent: length of z.
      hidden: width of the tanh layers of encoder and decoder.
      components: of the mixture and the VampPrior.
      flow: width of a flow's networks.
    """

    latent: int
    hidden: int
    components: int
    flow: int


class Case(NamedTuple):
    """A model to train.

    Attributes:
      model: the model.
      params: its initial parameters.
      wrapped: turns an estimator into that of this model.
      read: the parameters as they are evaluated.
    """

    model: LatentVariableModel
    params: Params
    wrapped: Callable[[Estimator], Estimator]
    read: Callable[[Params], Params]


def fits(prior: str, posterior: str) -> bool:
    """Whether the two are of the same latent: several layers go with several layers."""
    return (prior == "autoregressive") == (posterior == "hierarchical")


def _posterior(key: Key, name: str, sizes: Sizes, event_shape: tuple[int, ...]):
    common: dict[str, Any] = {
        "event_shape": event_shape,
        "latent_size": sizes.latent,
        "hidden_sizes": (sizes.hidden,) * 2,
    }
    if name == "diagonal":
        return models.gaussian_posterior(key, **common)
    if name == "full":
        return models.full_gaussian_posterior(key, **common)
    shape, context = (sizes.latent,), sizes.hidden // 4
    encoder_key, *layer_keys = jax.random.split(key, 3)
    if name == "realnvp":
        flow: Any = flows.realnvp(
            layer_keys[0], shape, num_blocks=2, hidden_sizes=(sizes.flow,), context_size=context
        )
    else:
        first, second = (
            flows.inverse_autoregressive(
                own, shape, hidden_sizes=(sizes.flow,), context_size=context
            )
            for own in layer_keys
        )
        flow = flows.chain([first, flows.permutation(range(sizes.latent)[::-1]), second])
    return models.flow_posterior(encoder_key, flow=flow, context_size=context, **common)


def _prior(key: Key, name: str, sizes: Sizes, posterior, images: np.ndarray):
    size = sizes.latent
    if name == "standard":
        return priors.standard_gaussian(size)
    if name == "diagonal":
        return priors.diagonal_gaussian(np.zeros(size, np.float32), np.ones(size, np.float32))
    if name == "full":
        return priors.full_gaussian(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
    if name == "mixture":
        return priors.gaussian_mixture(key, num_components=sizes.components, size=size)
    if name == "flow":
        return priors.from_flow(
            flows.realnvp(key, (size,), num_blocks=2, hidden_sizes=(sizes.flow,) * 2)
        )
    chosen = jax.random.choice(key, len(images), (sizes.components,), replace=False)
    return priors.vamp(posterior, (images[np.asarray(chosen)] / 255.0).astype(np.float32))


def build(key: Key, prior: str, posterior: str, *, images: np.ndarray, sizes: Sizes) -> Case:
    """The network of a prior and a posterior, for binary images of these grey ones."""
    event_shape, pixel_mean = images.shape[1:], jnp.asarray(images.mean(0) / 255.0)
    unchanged: Callable = lambda x: x
    if prior == "autoregressive":
        model, params = models.hierarchical_vae(
            key, event_shape=event_shape, latent_sizes=(sizes.latent, max(1, sizes.latent // 2)),
            hidden_sizes=((sizes.hidden,) * 2, (max(1, sizes.hidden // 2),) * 2),
            pixel_mean=pixel_mean,
        )  # fmt: skip
        return Case(model, params, unchanged, unchanged)
    likelihood_key, posterior_key, prior_key = jax.random.split(key, 3)
    q = _posterior(posterior_key, posterior, sizes, event_shape)
    model, params = models.compose(
        prior=_prior(prior_key, prior, sizes, q, images),
        likelihood=models.bernoulli_likelihood(
            likelihood_key, latent_size=sizes.latent, event_shape=event_shape,
            hidden_sizes=(sizes.hidden,) * 2, pixel_mean=pixel_mean,
        ),
        posterior=q,
    )  # fmt: skip
    if prior == "vamp":
        return Case(model, params, lambda estimator: priors.tied(estimator=estimator), priors.tie)
    return Case(model, params, unchanged, unchanged)
