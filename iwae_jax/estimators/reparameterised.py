"""Estimators of the importance-weighted bound that differentiate through the samples."""

from iwae_jax import bounds, weights
from iwae_jax.estimators._surrogate import (
    doubly_reparameterised,
    path_log_weight,
    require_reparameterised,
    squared,
    take_samples,
    with_gradient_of,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def pathwise(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The importance-weighted bound, differentiated through its samples.

    .. math:: \hat L_K = \log \frac1K \sum_k w_k, \quad
       \nabla \hat L_K = \sum_k \tilde w_k \nabla \log w(z_k), \quad
       \tilde w_k = w_k / \textstyle\sum_l w_l

    * Value: unbiased for L_K = E log (1/K) sum_k w_k, the ELBO at K = 1.
    * theta: unbiased for the gradient of L_K; its signal-to-noise ratio grows as sqrt(K).
    * phi: unbiased for the gradient of L_K; its signal-to-noise ratio falls as 1 / sqrt(K).

    Cost: the encoder once, one forward and one backward pass of K samples.

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
      ...     return estimators.pathwise(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 3,
      arXiv:1509.00519. The ratios: Rainforth et al. (2018), Tighter Variational Bounds are Not
      Necessarily Better, theorem 1, arXiv:1802.04537.
    """
    require_reparameterised(model, "pathwise")
    log_weights = weights.log_weights(
        key, params, x, model=model, num_samples=num_samples, over_samples=over_samples
    )
    return bounds.iwae(log_weights), log_weights


def sticking_the_landing(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The importance-weighted bound without the score of q: biased in phi for K > 1.

    .. math:: \sum_k \tilde w_k \, \partial_z \log w(z_k) \, \partial_\phi z_k

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K.
    * phi: unbiased at K = 1. For K > 1 its mean is the gradient of L_K *plus* the wake-phi
      gradient E sum_k w~_k grad log q(z_k | x); zero, without variance, where q is the posterior.

    Cost: the encoder once, one forward and one backward pass of K samples, and log q of each.

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
      ...     return estimators.sticking_the_landing(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Roeder, Wu and Duvenaud (2017), Sticking the Landing, arXiv:1703.09194.
      The bias for K > 1: Tucker et al. (2019), Doubly Reparameterized Gradient Estimators for
      Monte Carlo Objectives, arXiv:1810.04152.
    """
    require_reparameterised(model, "sticking_the_landing")
    log_weights = take_samples(path_log_weight, key, params, x, model, num_samples, over_samples)
    return bounds.iwae(log_weights), log_weights


def dreg(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The doubly reparameterised gradient of the importance-weighted bound.

    .. math:: \nabla_\theta: \sum_k \tilde w_k \nabla_\theta \log p_\theta(x, z_k), \qquad
       \nabla_\phi: \sum_k \tilde w_k^2 \, \partial_z \log w(z_k) \, \partial_\phi z_k

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K, the same as `pathwise`; so is a learnt prior's.
    * phi: unbiased for the gradient of L_K; its signal-to-noise ratio grows as sqrt(K), and it is
      zero, without variance, where q is the posterior.

    Cost: the encoder once, two forward passes and one backward pass of K samples, and log q of
    each. The compiler makes one of the two forward passes of `weights.at_once`, not of the others.

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
      ...     return estimators.dreg(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Tucker et al. (2019), Doubly Reparameterized Gradient Estimators for Monte Carlo
      Objectives, arXiv:1810.04152.
    """
    require_reparameterised(model, "dreg")
    log_weights, surrogate = doubly_reparameterised(
        key, params, x, squared, model, num_samples, over_samples
    )
    return with_gradient_of(bounds.iwae(log_weights), surrogate), log_weights
