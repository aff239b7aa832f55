"""Flows as models of the library: what trains and measures an autoencoder does so for a flow."""

import jax
import jax.numpy as jnp

from iwae_jax import keys
from iwae_jax.flows.pixels import NUM_LEVELS
from iwae_jax.flows.structures import Flow
from iwae_jax.types import (
    Array,
    GenerativeModel,
    InferenceModel,
    Key,
    LatentVariableModel,
    Params,
    PyTree,
)


def without_latents(params: PyTree, *, flow: Flow) -> tuple[LatentVariableModel, Params]:
    """A flow as a model that has nothing latent: its bound is log p(x), at every K.

    So what trains an autoencoder trains a flow: `training.fit` with `estimators.pathwise` and one
    sample.

    Args:
      params: the flow's parameters.
      flow: the flow.

    Returns:
      The model, whose z is the empty tuple, and its `Params`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import estimators, flows
      >>> flow, params = flows.realnvp(jax.random.key(0), (2,), hidden_sizes=(8,))
      >>> model, params = flows.without_latents(params, flow=flow)
      >>> log_p, _ = estimators.pathwise(
      ...     jax.random.key(1), params, jnp.zeros(2), model=model, num_samples=1)
      >>> round(float(log_p), 4)
      -1.8379

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    zero = lambda phi, q, z: jnp.zeros(())
    model = LatentVariableModel(
        generative=GenerativeModel(log_joint=lambda theta, x, z: flow.log_prob(theta, x)),
        inference=InferenceModel(
            encode=lambda phi, x: (),
            sample_and_log_prob=lambda key, phi, q: ((), zero(phi, q, ())),
            log_prob=zero,
            reparameterised=True,
        ),
    )
    return model, Params(generative=params, inference=())


def uniform_dequantisation(params: PyTree, *, flow: Flow) -> tuple[LatentVariableModel, Params]:
    r"""A flow over images, whose latent is where each pixel lies within its grey level.

    .. math:: \log P(n) = \log \int_{[0, 1)^D} p(n + u)\, du, \quad q(u \mid n) = 1

    The bound with K samples is the importance-weighted bound of log P(n), so that every estimator
    and `training.fit` apply, with ``observe=flows.grey_levels``.

    Args:
      params: the flow's parameters.
      flow: a density on [0, 256) per pixel.

    Returns:
      The model, and its `Params`, of which the inference half is empty.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import estimators, flows
      >>> flow, params = flows.realnvp(
      ...     jax.random.key(0), (2,), hidden_sizes=(8,), preprocessing=flows.logit_pixels((2,)))
      >>> model, params = flows.uniform_dequantisation(params, flow=flow)
      >>> bound, log_weights = estimators.pathwise(
      ...     jax.random.key(1), params, jnp.array([0.0, 255.0]), model=model, num_samples=5)
      >>> log_weights.shape
      (5,)

    References:
      Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative Models,
      arXiv:1511.01844; the importance-weighted bound: Hoogeboom, Cohen and Tomczak (2020),
      Learning Discrete Distributions by Dequantization, arXiv:2001.11235.
    """

    def sample_and_log_prob(key: Key, phi: PyTree, q: Array) -> tuple[Array, Array]:
        noise = jax.random.uniform(keys.tagged(key, keys.OBSERVATION), q.shape, q.dtype)
        return noise, jnp.zeros((), q.dtype)

    def log_prob(phi: PyTree, q: Array, u: Array) -> Array:
        return jnp.where(jnp.all((u >= 0.0) & (u < 1.0)), 0.0, -jnp.inf).astype(u.dtype)

    return _dequantised(flow, InferenceModel(lambda phi, x: x, sample_and_log_prob, log_prob, True),
                        Params(params, ()))  # fmt: skip


def variational_dequantisation(
    params: PyTree, noise_params: PyTree, *, flow: Flow, noise: Flow
) -> tuple[LatentVariableModel, Params]:
    r"""As `uniform_dequantisation`, with a density q(u | n) that is learnt.

    .. math:: \log P(n) \ge E_{q(u \mid n)} [\log p(n + u) - \log q(u \mid n)],
       \quad u = \sigma(e), \quad e \sim q_\phi(e \mid n)

    Args:
      params: the flow's parameters.
      noise_params: the parameters of `noise`.
      flow: a density on [0, 256) per pixel.
      noise: a conditional flow over the line, of the image's shape: its context is the image
        scaled to [-1, 1].

    Returns:
      The model, and its `Params`, with `noise_params` as the inference half.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import estimators, flows
      >>> flow, params = flows.realnvp(
      ...     jax.random.key(0), (2,), hidden_sizes=(8,), preprocessing=flows.logit_pixels((2,)))
      >>> noise, phi = flows.realnvp(jax.random.key(1), (2,), hidden_sizes=(8,), context_size=2)
      >>> model, params = flows.variational_dequantisation(params, phi, flow=flow, noise=noise)
      >>> bound, _ = estimators.pathwise(
      ...     jax.random.key(2), params, jnp.array([0.0, 255.0]), model=model, num_samples=5)

    References:
      Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, arXiv:1902.00275.
    """
    # u = sigma(e), and log du/de.
    log_slope = lambda e: jnp.sum(jax.nn.log_sigmoid(e) + jax.nn.log_sigmoid(-e))

    def sample_and_log_prob(key: Key, phi: PyTree, q: Array) -> tuple[Array, Array]:
        e, log_q = noise.sample_and_log_prob(key, phi, q)
        return jax.nn.sigmoid(e), log_q - log_slope(e)

    def log_prob(phi: PyTree, q: Array, u: Array) -> Array:
        e = jnp.log(u) - jnp.log1p(-u)
        return noise.log_prob(phi, e, q) - log_slope(e)

    encode = lambda phi, x: x / (0.5 * (NUM_LEVELS - 1.0)) - 1.0
    return _dequantised(flow, InferenceModel(encode, sample_and_log_prob, log_prob, True),
                        Params(params, noise_params))  # fmt: skip


def _dequantised(
    flow: Flow, inference: InferenceModel, params: Params
) -> tuple[LatentVariableModel, Params]:
    generative = GenerativeModel(log_joint=lambda theta, x, u: flow.log_prob(theta, x + u))
    return LatentVariableModel(generative, inference), params
