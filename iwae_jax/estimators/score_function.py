"""Estimators that differentiate the probability of the samples, not the samples."""

from collections.abc import Callable

import jax.numpy as jnp

from iwae_jax import bounds, weights
from iwae_jax.estimators._score import (
    finite,
    require_others,
    sum_of_others,
    take_terms,
    with_score_gradient,
)
from iwae_jax.estimators._surrogate import stop, with_gradient_of
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def score_function(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The log-derivative gradient of the importance-weighted bound, without control variate.

    .. math:: \nabla_\phi: \sum_k (\hat L_K - \tilde w_k) \nabla_\phi \log q_\phi(z_k \mid x)

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K; its variance grows with the square of the bound.

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
      ...     return estimators.score_function(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Mnih and Rezende (2016), Variational Inference for Monte Carlo Objectives,
      arXiv:1602.06725.
    """
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    return with_score_gradient(terms, bounds.iwae(terms.log_weights))


def leave_one_out(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient of the ELBO whose baseline is the mean of the other samples.

    .. math:: \nabla_\phi: \frac1K \sum_k \Big( \log w_k
       - \frac{1}{K - 1} \sum_{l \ne k} \log w_l \Big) \nabla_\phi \log q_\phi(z_k \mid x)

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO.
    * phi: unbiased for the gradient of the ELBO: the baseline of a sample reads only the others.

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
      ValueError: `num_samples` is under 2: no other sample to compare with.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.leave_one_out(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Kool, van Hoof and Welling (2019), Buy 4 REINFORCE Samples, Get a Baseline for Free!
    """
    require_others(num_samples, "leave_one_out")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    others = sum_of_others(terms.log_weights, jnp.add, 0.0) / (num_samples - 1)
    signal = finite(terms.log_weights - others)
    surrogate = jnp.mean(terms.log_joint + signal * terms.log_q)
    return with_gradient_of(bounds.elbo(terms.log_weights), surrogate), terms.log_weights


def nvil(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    baseline: Callable[[PyTree, PyTree], Array],
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient with a learnt baseline of the datum.

    .. math:: \nabla_\phi: \sum_k (\hat L_K - b_\psi(x) - \tilde w_k)
       \nabla_\phi \log q_\phi(z_k \mid x), \qquad
       \nabla_\psi: -\tfrac12 (\hat L_K - b_\psi(x))^2

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K, whatever the baseline. psi, in ``params.control``,
      climbs minus half the squared error of the baseline.

    Cost: the encoder and the baseline once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model; nothing of it need be reparameterised.
      num_samples: K.
      baseline: ``(control, x) -> []``, in nats.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> params = params._replace(control=jax.numpy.zeros(()))
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.nvil(
      ...         jax.random.key(1), params, x, model=model, num_samples=5,
      ...         baseline=lambda control, x: control
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Mnih and Gregor (2014), Neural Variational Inference and Learning in Belief Networks,
      arXiv:1402.0030.
    """
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    learnt = baseline(params.control, x)
    excess = bounds.iwae(terms.log_weights) - stop(learnt)
    bound, log_weights = with_score_gradient(terms, excess)
    error = finite(stop(bound) - learnt)
    return with_gradient_of(stop(bound), bound - 0.5 * error**2), log_weights
