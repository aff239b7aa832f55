"""The estimator of the thermodynamic variational objective."""

import jax
import jax.numpy as jnp

from iwae_jax import bounds, weights
from iwae_jax.estimators._score import require_others, take_terms
from iwae_jax.estimators._surrogate import normalised, with_gradient_of
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def tvo(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    partition: Array,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The covariance gradient of the left Riemann sum from q to the posterior.

    .. math:: \sum_{j=0}^{J-1} (b_{j+1} - b_j) \Big( E_{\pi_j} [\nabla \log w]
       + \mathrm{Cov}_{\pi_j} [\log w, \nabla \log \tilde\pi_j] \Big), \quad
       \tilde\pi_j = p_\theta(x, z)^{b_j} q_\phi(z \mid x)^{1 - b_j}

    The mean and the covariance under pi_j are those of the K samples with the weights w^{b_j}; the
    covariance carries Bessel's factor K / (K - 1), which makes it unbiased at b_j = 0.

    * Value: `iwae_jax.bounds.tvo_lower`, whose expectation lies under L_K; at the partition (0, 1)
      it is the ELBO's.
    * theta: the gradient of the left sum under the exact pi_j, with a bias of order 1 / K; at the
      partition (0, 1) unbiased for the gradient of the ELBO.
    * phi: as theta.

    Cost: the encoder once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model; nothing of it need be reparameterised.
      num_samples: K.
      partition: ``[J + 1]``, b, rising from 0 to 1; a traced one cannot be checked.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` is under 2, or `partition` does not rise from 0 to 1.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.tvo(
      ...         jax.random.key(1), params, x, model=model, num_samples=5,
      ...         partition=jax.numpy.array([0.0, 0.1, 1.0])
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Masrani, Le and Wood (2019), The Thermodynamic Variational Objective, arXiv:1907.00031.
    """
    require_others(num_samples, "tvo")
    terms = take_terms(key, params, x, model, num_samples, over_samples)
    value = bounds.tvo_lower(terms.log_weights, partition=partition)
    # A weight of zero makes the objective -inf, where it is flat.
    log_weights = jnp.where(jnp.isneginf(value), 0.0, terms.log_weights)
    bessel = num_samples / (num_samples - 1)

    def tempered(beta: Array) -> Array:
        w = normalised(beta * log_weights)
        deviation = log_weights - jnp.sum(w * log_weights)
        log_tempered = beta * terms.log_joint + (1.0 - beta) * terms.log_q
        return jnp.sum(w * (terms.log_joint - terms.log_q + bessel * deviation * log_tempered))

    betas = jnp.asarray(partition, log_weights.dtype)
    surrogate = jnp.sum(jnp.diff(betas) * jax.vmap(tempered)(betas[:-1]))
    surrogate = jnp.where(jnp.isneginf(value), 0.0, surrogate)
    return with_gradient_of(value, surrogate), terms.log_weights
