"""The generalised doubly reparameterised gradient."""

import jax.numpy as jnp

from iwae_jax import bounds, weights
from iwae_jax.estimators._surrogate import (
    doubly_reparameterised,
    normalised,
    require_reparameterised,
    squared,
    stop,
    take_samples,
    with_gradient_of,
)
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def gdreg(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The generalised doubly reparameterised gradient, for a prior with learnt parameters too.

    .. math:: \nabla_\lambda: \sum_k [\tilde w_k \, \partial_z \log p_\theta(x \mid z_k)
       - \tilde w_k^2 \, \partial_z \log w(z_k)] \, \partial_\lambda T_\lambda(\epsilon_k),
       \quad \epsilon_k = T_\lambda^{-1}(z_k)

    where T_lambda turns noise into a draw of the prior.

    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K; the prior's lambda inside it by way of the samples,
      as above, where `dreg` differentiates the prior's density.
    * phi: unbiased for the gradient of L_K, the same as `dreg`.

    Cost: the encoder twice, up to four forward and three backward passes of K samples, of which
    the compiler merges some, and the prior's noise map with its inverse.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a reparameterised model with ``log_likelihood``, ``prior_to_noise`` and
        ``prior_from_noise``.
      num_samples: K.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, it lacks one of those functions, or
        `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.vae(jax.random.key(0), event_shape=(3,), latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.gdreg(
      ...         jax.random.key(1), params, x, model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Bauer and Mnih (2021), Generalized Doubly Reparameterized Gradient Estimators,
      arXiv:2101.11046.
    """
    require_reparameterised(model, "gdreg")
    for name in ("log_likelihood", "prior_to_noise", "prior_from_noise"):
        if getattr(model.generative, name) is None:
            raise ValueError(f"gdreg needs model.generative.{name}, which this model has not.")
    for_inference = params._replace(generative=stop(params.generative))
    log_weights, for_phi = doubly_reparameterised(
        key, for_inference, x, squared, model, num_samples, over_samples
    )
    w = normalised(log_weights)
    for_generative = params._replace(inference=stop(params.inference))
    log_likelihood, path_likelihood, path_weight = take_samples(
        _prior_path_terms, key, for_generative, x, model, num_samples, over_samples
    )
    for_theta = jnp.sum(w * (log_likelihood + path_likelihood) - w**2 * path_weight)
    return with_gradient_of(bounds.iwae(log_weights), for_phi + for_theta), log_weights


def _prior_path_terms(
    key: Key, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> tuple[Array, Array, Array]:
    theta = params.generative
    z = stop(model.inference.sample_and_log_prob(key, params.inference, q)[0])
    noise = stop(model.generative.prior_to_noise(theta, z))
    moved = model.generative.prior_from_noise(theta, noise)
    log_q = model.inference.log_prob(params.inference, q, moved)
    return (
        model.generative.log_likelihood(theta, x, z),
        model.generative.log_likelihood(stop(theta), x, moved),
        model.generative.log_joint(stop(theta), x, moved) - log_q,
    )
