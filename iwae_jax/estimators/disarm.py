"""Antithetic estimators for Bernoulli latents."""

import jax
import jax.numpy as jnp

from iwae_jax import bounds, densities, weights
from iwae_jax import keys as key_tree
from iwae_jax.densities import BernoulliLatents
from iwae_jax.estimators._latents import bernoulli_log_weight, encoded, with_elbo_gradient
from iwae_jax.estimators._score import excess_over_replaced, finite
from iwae_jax.estimators._surrogate import normalised, stop, with_gradient_of
from iwae_jax.types import Array, Key, LatentVariableModel, Noise, OverSamples, Params, PyTree


def disarm(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The antithetic gradient of the ELBO for Bernoulli latents, from K / 2 pairs.

    .. math:: \nabla_l: \frac12 (f(b) - f(b')) (-1)^{b'} 1[b \ne b'] \sigma(|l|), \quad
       f = \log w, \quad b = 1[u > 1 - \sigma(l)], \quad b' = 1[u < \sigma(l)]

    for the logits l of q, averaged over the pairs; the encoder carries it on to phi.

    * Value: unbiased for the ELBO: each of a pair follows q.
    * theta: unbiased for the gradient of the ELBO.
    * phi: unbiased for the gradient of the ELBO.

    Cost: the encoder once, one forward pass of K samples, and the backward pass of theta.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents`.
      num_samples: K, an even number: sample 2 j + 1 is the antithesis of sample 2 j.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from;
        `iwae_jax.exact.uniform_expectation` puts its nodes there.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: q is another distribution, or `num_samples` is not positive and even.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(3,), latent_size=2
      ... )
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.disarm(
      ...         jax.random.key(1), params, x, model=model, num_samples=4
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Dong, Mnih and Tucker (2020), DisARM: An Antithetic Gradient Estimator for Binary Latent
      Variables, arXiv:2006.10680.
    """
    if num_samples < 2 or num_samples % 2:
        raise ValueError(
            f"disarm takes its samples in pairs: num_samples must be at least 2 and even; got "
            f"{num_samples}."
        )
    q = encoded(params, x, model, (BernoulliLatents,), "disarm")

    def pair(key: Key, params: Params, x: PyTree, q: BernoulliLatents) -> tuple[Array, ...]:
        z, opposite = _antithetic(key, q, noise)
        joints = [model.generative.log_joint(params.generative, x, z) for z in (z, opposite)]
        log_joint = jnp.stack(joints)
        log_q = [densities.bernoulli_log_prob(q.logits, z) for z in (z, opposite)]
        log_weights = stop(log_joint - jnp.stack(log_q))
        gradient = (log_weights[0] - log_weights[1]) * _direction(q, z, opposite)
        return log_joint, log_weights, gradient

    pair_keys = key_tree.samples(key, num_samples)[::2]
    log_joint, log_weights, gradients = over_samples(pair, pair_keys, params, x, q)
    return with_elbo_gradient(
        log_joint.reshape(-1), log_weights.reshape(-1), q, BernoulliLatents(gradients)
    )


def _antithetic(key: Key, q: BernoulliLatents, noise: Noise) -> tuple[Array, Array]:
    logits = stop(q.logits)
    u = noise(key, logits.shape, logits.dtype)
    binary = lambda condition: condition.astype(logits.dtype)
    return binary(u > jax.nn.sigmoid(-logits)), binary(u < jax.nn.sigmoid(logits))


def _direction(q: BernoulliLatents, z: Array, opposite: Array) -> Array:
    # (-1)^b' 1[b != b'] is b - b'.
    return 0.5 * (z - opposite) * jax.nn.sigmoid(jnp.abs(stop(q.logits)))


def disarm_iwae(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The antithetic gradient of the importance-weighted bound for Bernoulli latents.

    .. math:: \nabla_l: \sum_k \Big[ \frac12 (\hat L_K - \hat L_K^{(k)}) (-1)^{b'_k}
       1[b_k \ne b'_k] \sigma(|l|) - \tilde w_k \nabla_l \log q(b_k) \Big]

    where L_K^(k) has the antithesis b'_k in the place of b_k.

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K.

    Cost: the encoder once, one forward pass of 2 K samples, and the backward pass of theta in K.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents`.
      num_samples: K.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from;
        `iwae_jax.exact.uniform_expectation` puts its nodes there.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: q is another distribution, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(3,), latent_size=2
      ... )
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.disarm_iwae(
      ...         jax.random.key(1), params, x, model=model, num_samples=4
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Dong, Mnih and Tucker (2020), DisARM: An Antithetic Gradient Estimator for Binary Latent
      Variables, arXiv:2006.10680.
    """
    q = encoded(params, x, model, (BernoulliLatents,), "disarm_iwae")

    def sample(key: Key, params: Params, x: PyTree, q: BernoulliLatents) -> tuple[Array, ...]:
        z, opposite = _antithetic(key, q, noise)
        log_joint = model.generative.log_joint(params.generative, x, z)
        log_q = densities.bernoulli_log_prob(q.logits, z)
        log_opposite = stop(bernoulli_log_weight(params, x, q, opposite, model))
        return log_joint, log_q, log_opposite, _direction(q, z, opposite)

    sample_keys = key_tree.samples(key, num_samples)
    log_joint, log_q, log_opposite, directions = over_samples(sample, sample_keys, params, x, q)
    log_weights = stop(log_joint - log_q)
    bound = bounds.iwae(log_weights)
    gradient = finite(excess_over_replaced(log_weights, log_opposite)) @ directions
    w = normalised(log_weights)
    surrogate = jnp.sum(w * (log_joint - log_q)) + jnp.sum(stop(gradient) * q.logits)
    return with_gradient_of(bound, surrogate), log_weights
