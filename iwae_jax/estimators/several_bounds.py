"""Reparameterised estimators that combine several bounds of the same samples."""

from iwae_jax import bounds, weights
from iwae_jax.estimators._surrogate import (
    require_reparameterised,
    stop,
    with_gradient_of,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def ciwae(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    beta: float,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The ELBO and the importance-weighted bound combined, differentiated through the samples.

    .. math:: \beta \frac1K \sum_k \log w_k + (1 - \beta) \log \frac1K \sum_k w_k

    * Value: unbiased for beta ELBO + (1 - beta) L_K.
    * theta: unbiased for the gradient of that combination.
    * phi: unbiased for the gradient of that combination.

    Cost: as `pathwise`.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      beta: share of the ELBO, from 0 to 1.
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
      ...     return estimators.ciwae(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, beta=0.3
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not
      Necessarily Better, arXiv:1802.04537.
    """
    require_reparameterised(model, "ciwae")
    log_weights = weights.log_weights(
        key, params, x, model=model, num_samples=num_samples, over_samples=over_samples
    )
    return bounds.ciwae(log_weights, beta), log_weights


def miwae(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_outer: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The mean of M importance-weighted bounds of K samples each, differentiated through them.

    .. math:: \frac1M \sum_m \log \frac1K \sum_k w_{m,k}

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased for the gradient of L_K; its signal-to-noise ratio grows as sqrt(M).

    Cost: the encoder once, one forward and one backward pass of M K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K, of each bound.
      num_outer: M, bounds that are averaged.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[M, K]``, in nats; sample (m, k) has index m*K + k.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` or `num_outer`
        is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.miwae(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, num_outer=2
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not
      Necessarily Better, arXiv:1802.04537.
    """
    require_reparameterised(model, "miwae")
    log_weights = _outer_log_weights(key, params, x, model, num_samples, num_outer, over_samples)
    return bounds.miwae(log_weights), log_weights


def piwae(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_outer: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""One bound for theta and another for phi, from the same samples.

    .. math:: \nabla_\theta: \log \frac{1}{MK} \sum_{m,k} w_{m,k}, \qquad
       \nabla_\phi: \frac1M \sum_m \log \frac1K \sum_k w_{m,k}

    * Value: unbiased for L_{MK}, theta's bound.
    * theta: unbiased for the gradient of L_{MK}.
    * phi: unbiased for the gradient of L_K.

    Cost: the encoder once, one forward and two backward passes of M K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K, of each of phi's bounds.
      num_outer: M, phi's bounds that are averaged.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[M, K]``, in nats; sample (m, k) has index m*K + k.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` or `num_outer`
        is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.piwae(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, num_outer=2
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not
      Necessarily Better, arXiv:1802.04537.
    """
    require_reparameterised(model, "piwae")
    take = lambda params: _outer_log_weights(
        key, params, x, model, num_samples, num_outer, over_samples
    )
    for_theta = take(params._replace(inference=stop(params.inference)))
    for_phi = take(params._replace(generative=stop(params.generative)))
    value = bounds.iwae(for_theta.reshape(-1))
    return with_gradient_of(value, value + bounds.miwae(for_phi)), stop(for_theta)


def _outer_log_weights(key, params, x, model, num_samples, num_outer, over_samples) -> Array:
    if num_outer < 1:
        raise ValueError(f"num_outer must be at least 1; got {num_outer}.")
    log_weights = weights.log_weights(
        key,
        params,
        x,
        model=model,
        num_samples=num_outer * num_samples,
        over_samples=over_samples,
    )
    return log_weights.reshape(num_outer, num_samples)
