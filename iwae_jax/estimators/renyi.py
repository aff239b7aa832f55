"""Reparameterised estimators of the variational Renyi bound."""

from iwae_jax import bounds, weights
from iwae_jax.estimators._surrogate import (
    doubly_reparameterised,
    normalised,
    require_reparameterised,
    with_gradient_of,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def vr_iwae(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    alpha: float,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The variational Renyi bound of importance weights, differentiated through its samples.

    .. math:: \frac{1}{1 - \alpha} \log \frac1K \sum_k w_k^{1 - \alpha}, \quad
       \nabla: \sum_k v_k \nabla \log w(z_k), \quad v = \mathrm{softmax}((1 - \alpha) \log w)

    * Value: unbiased for the bound's expectation, which is L_K at alpha = 0.
    * theta: unbiased for the gradient of that expectation.
    * phi: unbiased for the gradient of that expectation.

    Cost: as `pathwise`.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      alpha: order of the bound; 0 is the importance-weighted bound, 1 is refused.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` is not positive,
        or `alpha` is 1.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.vr_iwae(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, alpha=0.3
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Daudel et al. (2023), Alpha-divergence Variational Inference Meets Importance Weighted
      Auto-Encoders, arXiv:2210.06226.
    """
    require_reparameterised(model, "vr_iwae")
    log_weights = weights.log_weights(
        key, params, x, model=model, num_samples=num_samples, over_samples=over_samples
    )
    return bounds.vr_iwae(log_weights, alpha), log_weights


def vr_iwae_dreg(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    alpha: float,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The doubly reparameterised gradient of the variational Renyi bound of importance weights.

    .. math:: \nabla_\theta: \sum_k v_k \nabla_\theta \log p_\theta(x, z_k), \quad
       \nabla_\phi: \sum_k (\alpha v_k + (1 - \alpha) v_k^2)\,
       \partial_z \log w(z_k)\, \partial_\phi z_k

    with v = softmax((1 - alpha) log w).

    * Value: unbiased for the bound's expectation, which is L_K at alpha = 0.
    * theta: unbiased for the gradient of that expectation, the same as `vr_iwae`.
    * phi: unbiased for the gradient of that expectation; zero, without variance, where q is the
      posterior.

    Cost: as `dreg`.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      alpha: order of the bound; 0 is the importance-weighted bound, 1 is refused.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` is not positive,
        or `alpha` is 1.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.vr_iwae_dreg(
      ...         jax.random.key(1), params, x, model=model, num_samples=5, alpha=0.3
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Daudel et al. (2023), Alpha-divergence Variational Inference Meets Importance Weighted
      Auto-Encoders, arXiv:2210.06226.
    """
    require_reparameterised(model, "vr_iwae_dreg")

    def shares(log_weights: Array) -> tuple[Array, Array]:
        v = normalised((1.0 - alpha) * log_weights)
        return v, alpha + (1.0 - alpha) * v

    log_weights, surrogate = doubly_reparameterised(
        key, params, x, shares, model, num_samples, over_samples
    )
    return with_gradient_of(bounds.vr_iwae(log_weights, alpha), surrogate), log_weights
