"""The pathwise gradient with backward passes of few samples, drawn by their weights."""

from functools import partial

import jax
import jax.numpy as jnp

from iwae_jax import bounds, densities, weights
from iwae_jax import keys as key_tree
from iwae_jax.estimators._surrogate import (
    normalised,
    require_reparameterised,
    stop,
    with_gradient_of,
)
from iwae_jax.types import (
    Array,
    Key,
    LatentVariableModel,
    Noise,
    OverSamples,
    Params,
    PyTree,
)


def resampled_systematic(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_resampled: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The importance-weighted bound, differentiated through M samples drawn by their weights.

    .. math:: \frac1M \sum_m \nabla \log w(z_{i_m}), \quad
       i_m = \min \{k : \textstyle\sum_{l \le k} \tilde w_l > (u + m) / M\},
       \quad m = 0, \dots, M - 1

    with one uniform u: systematic resampling. M = 1 draws a single sample.


    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K, with more variance than `pathwise`.
    * phi: unbiased for the gradient of L_K, with more variance than `pathwise`.

    Cost: the encoder once, a forward pass of K samples, and a forward and a backward pass of M.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      num_resampled: M, samples that are differentiated, from 1 to K.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, `num_samples` is not positive, or
        `num_resampled` is not from 1 to K.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.resampled_systematic(
      ...         jax.random.key(1), params, x, model=model, num_samples=50, num_resampled=2
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 3,
      arXiv:1509.00519. Kitagawa (1996), Monte Carlo Filter and Smoother for Non-Gaussian Nonlinear
      State Space Models.
    """
    require_reparameterised(model, "resampled_systematic")
    if not 1 <= num_resampled <= num_samples:
        raise ValueError(
            "num_samples must be at least num_resampled, and that at least 1; "
            f"got {num_samples} and {num_resampled}."
        )

    def choose(w: Array, u: Array) -> tuple[Array, Array]:
        positions = (u + jnp.arange(num_resampled, dtype=w.dtype)) / num_resampled
        shares = jnp.full(num_resampled, 1.0 / num_resampled, w.dtype)
        return _inverse_cdf(w, positions), shares

    return _resampled(key, params, x, choose, model, num_samples, noise, over_samples)


def resampled_top(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_top: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The importance-weighted bound, differentiated through its heaviest samples and one other.

    .. math:: \sum_{k \in T} \tilde w_k \nabla \log w(z_k)
       + \Big( 1 - \sum_{k \in T} \tilde w_k \Big) \nabla \log w(z_i)

    where T has the largest weights, and i is drawn from the others by their weights.


    * Value: unbiased for L_K.
    * theta: unbiased for the gradient of L_K, with more variance than `pathwise`.
    * phi: unbiased for the gradient of L_K, with more variance than `pathwise`.

    Cost: the encoder once, a forward pass of K samples, and a forward and a backward
    pass of num_top + 1.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose samples are reparameterised.
      num_samples: K.
      num_top: size of T, from 1 to K - 1.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, `num_samples` is not positive, or
        `num_top` is not from 1 to K - 1.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.resampled_top(
      ...         jax.random.key(1), params, x, model=model, num_samples=50, num_top=2
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 3,
      arXiv:1509.00519. The residual: Liu and Chen (1998), Sequential Monte Carlo Methods for
      Dynamic Systems.
    """
    require_reparameterised(model, "resampled_top")
    if not 1 <= num_top < num_samples:
        raise ValueError(
            "num_samples must be at least num_top + 1, and num_top at least 1; "
            f"got {num_samples} and {num_top}."
        )

    def choose(w: Array, u: Array) -> tuple[Array, Array]:
        heaviest, top = jax.lax.top_k(w, num_top)
        others = w.at[top].set(0.0)
        left = jnp.sum(others)
        residual = _inverse_cdf(others, u * left)
        return jnp.append(top, residual.astype(top.dtype)), jnp.append(heaviest, left)

    return _resampled(key, params, x, choose, model, num_samples, noise, over_samples)


def _inverse_cdf(w: Array, position: Array) -> Array:
    # The last one with a weight, where rounding leaves the sum of all below the position.
    last = w.size - 1 - jnp.argmax(w[::-1] > 0.0)
    found = jnp.searchsorted(jnp.cumsum(w), position, side="right")
    return jnp.minimum(found, last.astype(found.dtype))


def _resampled(
    key, params, x, choose, model, num_samples, noise, over_samples
) -> tuple[Array, Array]:
    q = model.inference.encode(params.inference, x)
    sample_keys = key_tree.samples(key, num_samples)
    log_weight = partial(weights.sample_log_weight, model=model)
    log_weights = stop(over_samples(log_weight, sample_keys, *stop((params, x, q))))
    bound, w = bounds.iwae(log_weights), normalised(log_weights)
    chosen, shares = choose(w, noise(key_tree.tagged(key, key_tree.RESAMPLING), (), w.dtype))
    # A bound of -inf is flat.
    shares = jnp.where(jnp.isneginf(bound), 0.0, shares)
    differentiated = over_samples(log_weight, sample_keys[chosen], params, x, q)
    return with_gradient_of(bound, jnp.sum(shares * differentiated)), log_weights
