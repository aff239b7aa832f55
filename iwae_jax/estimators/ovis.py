"""Score-function estimators with the optimal control variate of the importance-weighted bound."""

from functools import partial

import jax
import jax.numpy as jnp

from iwae_jax import keys as key_tree
from iwae_jax import weights
from iwae_jax.estimators._score import (
    excess_over_replaced,
    finite,
    replaced_share,
    require_others,
    take_terms,
    with_score_gradient,
)
from iwae_jax.estimators._surrogate import normalised, stop
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def ovis(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    gamma: float,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient with the optimal control variate in the limit of many samples.

    .. math:: \nabla_\phi: \sum_k (\hat L_K - \tilde w_k - c_k) \nabla_\phi \log q_\phi(z_k \mid x),
       \quad c_k = \log \frac{1}{K - 1} \sum_{l \ne k} w_l - \gamma \tilde w_k
       + (1 - \gamma) \log \Big(1 - \frac1K\Big)

    gamma = 1 suits an effective sample size that is small beside K, gamma = 0 a large one.

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K at gamma = 0 alone: c_k reads the weight of its own
      sample. Its mean is the gradient of L_K plus gamma times the wake-phi gradient,
      E sum_k w~_k grad log q(z_k | x).

    Cost: the encoder once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model; nothing of it need be reparameterised.
      num_samples: K.
      gamma: share of the form for a small effective sample size, from 0 to 1.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` is under 2, or `gamma` is not from 0 to 1.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.ovis(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, gamma=0.0
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Lievin et al. (2020), Optimal Variance Control of the Score-Function Gradient Estimator for
      Importance-Weighted Bounds, arXiv:2008.01998.
    """
    require_others(num_samples, "ovis")
    if not isinstance(gamma, jax.core.Tracer) and not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma must be from 0 to 1; got {gamma}.")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    without = excess_over_replaced(terms.log_weights, -jnp.inf)
    share = normalised(terms.log_weights) + jnp.log1p(-1.0 / num_samples)
    return with_score_gradient(terms, without + gamma * share)


def ovis_monte_carlo(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_draws: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient whose control variate averages over fresh draws of each sample.

    .. math:: \nabla_\phi: \sum_k (d_k - c_k) \nabla_\phi \log q_\phi(z_k \mid x), \quad
       d_k = \hat L_K - \tilde w_k, \quad c_k = \frac1S \sum_s d_k^{(s)}

    where d_k^(s) has z_k replaced by a fresh draw of q(z | x), and the others as they are.

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K: the control variate of a sample does not read it.

    Cost: the encoder once, one forward and one backward pass of K samples, and another forward pass
    of S K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model; nothing of it need be reparameterised.
      num_samples: K.
      num_draws: S, fresh draws of each sample.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` or `num_draws` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.ovis_monte_carlo(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, num_draws=3
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Lievin et al. (2020), Optimal Variance Control of the Score-Function Gradient Estimator for
      Importance-Weighted Bounds, arXiv:2008.01998.
    """
    if num_draws < 1:
        raise ValueError(f"num_draws must be at least 1; got {num_draws}.")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    q = model.inference.encode(params.inference, x)
    index, draw = jnp.divmod(jnp.arange(num_samples * num_draws), num_draws)
    fresh_keys = jax.vmap(key_tree.extra, (None, 0, 0))(key, index, draw)
    one = partial(weights.sample_log_weight, model=model)
    fresh = over_samples(one, fresh_keys, *stop((params, x, q)))
    fresh = stop(fresh).reshape(num_samples, num_draws)

    w = normalised(terms.log_weights)[:, None]
    share = replaced_share(terms.log_weights, fresh)
    excess = jax.vmap(excess_over_replaced, (None, 1), 1)(terms.log_weights, fresh)
    # What a sample's weight would have been among the others.
    replaced = share / jnp.maximum(1.0 + share - w, jnp.finfo(w.dtype).tiny)
    return with_score_gradient(terms, jnp.mean(finite(excess) + finite(replaced), axis=1))
