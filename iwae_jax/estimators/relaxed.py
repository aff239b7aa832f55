"""Biased estimators that differentiate through relaxed discrete latents."""

import jax
import jax.numpy as jnp

from iwae_jax import densities, weights
from iwae_jax import keys as key_tree
from iwae_jax.densities import BernoulliLatents, CategoricalLatents
from iwae_jax.estimators._latents import encoded, with_elbo_gradient
from iwae_jax.estimators._surrogate import stop
from iwae_jax.types import Array, Key, LatentVariableModel, Noise, OverSamples, Params, PyTree


def gumbel_softmax(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    temperature: float,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The gradient of the ELBO through latents relaxed by a softmax at a temperature.

    .. math:: \nabla_l f\big(\mathrm{softmax}((l + g) / \tau)\big), \quad f = \log w, \quad
       g = -\log(-\log u)

    for the logits l of q, averaged over the K samples; of two states, for Bernoulli latents, it is
    sigmoid((l + logit(u)) / tau).

    * Value: unbiased for the ELBO: it sees the discrete samples that the noise makes.
    * theta: unbiased for the gradient of the ELBO, on the discrete samples.
    * phi: biased: the gradient of E f at relaxed samples, with the parameters of log q in f held.
      The bias vanishes, and the variance grows without bound, as tau goes to 0.

    Cost: the encoder once, two forward and two backward passes of K samples, one of each for theta.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents` or
        `iwae_jax.densities.CategoricalLatents`.
      num_samples: K.
      temperature: tau, positive.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from;
        `iwae_jax.exact.uniform_expectation` puts its nodes there.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: q is another distribution, or `num_samples` or `temperature` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(3,), latent_size=2
      ... )
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.gumbel_softmax(
      ...         jax.random.key(1), params, x, model=model, num_samples=4, temperature=0.5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
      arXiv:1611.01144. Maddison, Mnih and Teh (2017), The Concrete Distribution,
      arXiv:1611.00712.
    """
    if not isinstance(temperature, jax.core.Tracer) and not temperature > 0.0:
        raise ValueError(f"temperature must be positive; got {temperature}.")
    q = encoded(params, x, model, (BernoulliLatents, CategoricalLatents), "gumbel_softmax")

    def sample(key, params, x, q, temperature) -> tuple[Array, Array, PyTree]:
        q = stop(q)
        u = noise(key, q.logits.shape, q.logits.dtype)
        discrete = _discrete(q, u)
        log_joint = model.generative.log_joint(params.generative, x, discrete)
        log_weight = stop(log_joint) - _log_prob(q, discrete)

        def relaxed(latents: PyTree) -> Array:
            z = _relaxed(latents, u, temperature)
            return model.generative.log_joint(stop(params.generative), x, z) - _log_prob(q, z)

        return log_joint, log_weight, jax.grad(relaxed)(q)

    sample_keys = key_tree.samples(key, num_samples)
    log_joint, log_weights, gradients = over_samples(
        sample, sample_keys, params, x, q, jnp.asarray(temperature, q.logits.dtype)
    )
    return with_elbo_gradient(log_joint, log_weights, q, gradients)


def _log_prob(q: PyTree, z: Array) -> Array:
    if isinstance(q, BernoulliLatents):
        return densities.bernoulli_log_prob(q.logits, z)
    return densities.categorical_log_prob(q.logits, z)


def _discrete(q: PyTree, u: Array) -> Array:
    if isinstance(q, BernoulliLatents):
        return (u > jax.nn.sigmoid(-q.logits)).astype(u.dtype)
    highest = jnp.argmax(q.logits - jnp.log(-jnp.log(u)), axis=-1)
    return jax.nn.one_hot(highest, u.shape[-1], dtype=u.dtype)


def _relaxed(q: PyTree, u: Array, temperature: Array | float) -> Array:
    if isinstance(q, BernoulliLatents):
        return jax.nn.sigmoid((q.logits + jax.scipy.special.logit(u)) / temperature)
    return jax.nn.softmax((q.logits - jnp.log(-jnp.log(u))) / temperature)


def straight_through(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The gradient of the ELBO as if the discrete latents were their probabilities.

    .. math:: \nabla_l: \partial_z f(z) \, \nabla_l \, E_q z, \quad f = \log w

    for the logits l of q, averaged over the K samples.

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO.
    * phi: biased, but where f is linear in z: the parameters of log q in f are held.

    Cost: the encoder once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents` or
        `iwae_jax.densities.CategoricalLatents`.
      num_samples: K.
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
      ...     return estimators.straight_through(
      ...         jax.random.key(1), params, x, model=model, num_samples=4
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Bengio, Leonard and Courville (2013), Estimating or Propagating Gradients Through Stochastic
      Neurons for Conditional Computation, arXiv:1308.3432.
    """
    q = encoded(params, x, model, (BernoulliLatents, CategoricalLatents), "straight_through")

    def sample(key: Key, params: Params, x: PyTree, q: PyTree) -> tuple[Array, Array, PyTree]:
        q = stop(q)
        z = stop(model.inference.sample_and_log_prob(key, params.inference, q)[0])
        log_joint = model.generative.log_joint(params.generative, x, z)

        def through(latents: PyTree) -> Array:
            mean = _mean(latents)
            along = z + mean - stop(mean)
            theta = stop(params.generative)
            return model.generative.log_joint(theta, x, along) - _log_prob(q, along)

        log_weight, gradient = jax.value_and_grad(through)(q)
        return log_joint, log_weight, gradient

    sample_keys = key_tree.samples(key, num_samples)
    log_joint, log_weights, gradients = over_samples(sample, sample_keys, params, x, q)
    return with_elbo_gradient(log_joint, log_weights, q, gradients)


def _mean(q: PyTree) -> Array:
    if isinstance(q, BernoulliLatents):
        return jax.nn.sigmoid(q.logits)
    return jax.nn.softmax(q.logits)
