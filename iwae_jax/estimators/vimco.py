"""Score-function estimators whose baseline leaves each sample out."""

import jax.numpy as jnp

from iwae_jax import weights
from iwae_jax.estimators._score import (
    excess_over_replaced,
    require_others,
    sum_of_others,
    take_terms,
    with_score_gradient,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def vimco_arithmetic(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient whose baseline leaves each sample out, by an arithmetic mean.

    .. math:: \nabla_\phi: \sum_k (\hat L_K - \hat L_{-k} - \tilde w_k)
       \nabla_\phi \log q_\phi(z_k \mid x), \quad
       \hat L_{-k} = \log \frac{1}{K - 1} \sum_{l \ne k} w_l

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K: the baseline of a sample reads only the others.

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
      ...     return estimators.vimco_arithmetic(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Mnih and Rezende (2016), Variational Inference for Monte Carlo Objectives,
      arXiv:1602.06725.
    """
    require_others(num_samples, "vimco_arithmetic")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    without = excess_over_replaced(terms.log_weights, -jnp.inf)
    return with_score_gradient(terms, without + jnp.log1p(-1.0 / num_samples))


def vimco_geometric(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient with each sample replaced by the others' geometric mean.

    .. math:: \nabla_\phi: \sum_k (\hat L_K - \hat L_{-k} - \tilde w_k)
       \nabla_\phi \log q_\phi(z_k \mid x), \quad
       \hat L_{-k} = \log \frac1K \Big( \sum_{l \ne k} w_l
       + \exp \frac{1}{K - 1} \sum_{l \ne k} \log w_l \Big)

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K: the baseline of a sample reads only the others.

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
      ...     return estimators.vimco_geometric(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Mnih and Rezende (2016), Variational Inference for Monte Carlo Objectives,
      arXiv:1602.06725.
    """
    require_others(num_samples, "vimco_geometric")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    # Near zero, their sum keeps the digits of each.
    largest = jnp.max(terms.log_weights)
    shifted = terms.log_weights - jnp.where(jnp.isneginf(largest), 0.0, largest)
    geometric = sum_of_others(shifted, jnp.add, 0.0) / (num_samples - 1)
    return with_score_gradient(terms, excess_over_replaced(shifted, geometric))
