"""Wake-sleep estimators: theta climbs the bound, phi learns to imitate the posterior."""

import jax.numpy as jnp

from iwae_jax import bounds, weights
from iwae_jax import keys as key_tree
from iwae_jax.estimators._score import take_terms
from iwae_jax.estimators._surrogate import (
    doubly_reparameterised,
    normalised,
    require_reparameterised,
    stop,
    with_gradient_of,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def wake_wake(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""Reweighted wake-sleep whose phi learns from the weighted samples (wake-phi).

    .. math:: \nabla_\theta: \sum_k \tilde w_k \nabla_\theta \log p_\theta(x, z_k), \qquad
       \nabla_\phi: \sum_k \tilde w_k \nabla_\phi \log q_\phi(z_k \mid x)

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: the gradient of no bound. It estimates, with a bias of order 1 / K, the gradient of
      -KL(p(z | x) || q(z | x)), and is zero in expectation at K = 1.

    Cost: the encoder once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model; nothing of it need be reparameterised.
      num_samples: K.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.wake_wake(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Bornschein and Bengio (2015), Reweighted Wake-Sleep, arXiv:1406.2751.
    """
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    w = normalised(terms.log_weights)
    surrogate = jnp.sum(w * (terms.log_joint + terms.log_q))
    return with_gradient_of(bounds.iwae(terms.log_weights), surrogate), terms.log_weights


def wake_wake_dreg(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""Reweighted wake-sleep, doubly reparameterised: `wake_wake` with less variance in phi.

    .. math:: \nabla_\theta: \sum_k \tilde w_k \nabla_\theta \log p_\theta(x, z_k), \qquad
       \nabla_\phi: \sum_k (\tilde w_k - \tilde w_k^2)\, \partial_z \log w(z_k)\, \partial_\phi z_k

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: the gradient of no bound. It has the expectation of `wake_wake`, and is zero, without
      variance, where q is the posterior.

    Cost: as `dreg`.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.wake_wake_dreg(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Tucker et al. (2019), Doubly Reparameterized Gradient Estimators for Monte Carlo
      Objectives, arXiv:1810.04152.
    """
    require_reparameterised(model, "wake_wake_dreg")
    log_weights, surrogate = doubly_reparameterised(
        key, params, x, _wake_shares, model, num_samples, over_samples
    )
    return with_gradient_of(bounds.iwae(log_weights), surrogate), log_weights


def _wake_shares(log_weights: Array) -> tuple[Array, Array]:
    w = normalised(log_weights)
    return w, 1.0 - w


def wake_sleep(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""Wake-sleep whose phi learns from dreams of the model (sleep-phi).

    .. math:: \nabla_\theta: \sum_k \tilde w_k \nabla_\theta \log p_\theta(x, z_k), \qquad
       \nabla_\phi: \frac1K \sum_k \nabla_\phi \log q_\phi(z'_k \mid x'_k), \quad
       (x'_k, z'_k) \sim p_\theta

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: the gradient of no bound of log p(x): unbiased, whatever K, for the gradient of
      E log q(z | x) over the model's own (x, z), that is of -E KL(p(z | x) || q(z | x)) over its x.

    Cost: the encoder K + 1 times, one forward and one backward pass of K samples, and K dreams.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model with ``sample_prior`` and ``sample_likelihood``; nothing of it need be
        reparameterised.
      num_samples: K.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model lacks one of those functions, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.wake_sleep(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Hinton et al. (1995), The Wake-Sleep Algorithm for Unsupervised Neural Networks. With K
      samples for theta: Bornschein and Bengio (2015), Reweighted Wake-Sleep, arXiv:1406.2751.
    """
    for name in ("sample_prior", "sample_likelihood"):
        if getattr(model.generative, name) is None:
            raise ValueError(f"wake_sleep needs model.generative.{name}, which this model has not.")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    dream_keys = key_tree.samples(key_tree.tagged(key, key_tree.DREAM), num_samples)

    def dream_log_q(key: Key, params: Params) -> Array:
        # Two draws of the same dream: the latent's key and the datum's.
        z_key, x_key = key_tree.sample(key, 0), key_tree.sample(key, 1)
        z = stop(model.generative.sample_prior(z_key, params.generative))
        dream = stop(model.generative.sample_likelihood(x_key, params.generative, z))
        q = model.inference.encode(params.inference, dream)
        return model.inference.log_prob(params.inference, q, z)

    log_q = over_samples(dream_log_q, dream_keys, params)
    surrogate = jnp.sum(normalised(terms.log_weights) * terms.log_joint) + jnp.mean(log_q)
    return with_gradient_of(bounds.iwae(terms.log_weights), surrogate), terms.log_weights
