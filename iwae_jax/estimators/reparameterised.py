"""Estimators that differentiate through the samples."""

import jax

from iwae_jax import bounds, weights
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def _require_reparameterised(model: LatentVariableModel, name: str) -> None:
    flags = jax.tree.leaves(model.inference.reparameterised)
    if not flags or not all(flags):
        raise ValueError(
            f"{name} differentiates through the samples, but model.inference.reparameterised is "
            f"{model.inference.reparameterised!r}: its gradient in phi would be silently wrong. "
            "Use an estimator of the score-function family for this model."
        )


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

    Cost: the encoder once, and one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      over_samples: how the K samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> def objective(params):
      ...     return estimators.pathwise(
      ...         jax.random.key(1), params, jax.numpy.ones(3), model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 13,
      arXiv:1509.00519. The ratios: Rainforth et al. (2018), Tighter Variational Bounds are Not
      Necessarily Better, theorem 1, arXiv:1802.04537.
    """
    _require_reparameterised(model, "pathwise")
    log_weights = weights.log_weights(
        key, params, x, model=model, num_samples=num_samples, over_samples=over_samples
    )
    return bounds.iwae(log_weights), log_weights
