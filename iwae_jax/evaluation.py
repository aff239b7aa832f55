"""What a trained model is worth: log-likelihood, ELBO, effective samples, active units."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax import diagnostics, keys, weights
from iwae_jax.types import Array, Estimator, Key, LatentVariableModel, Params, PyTree


class LogLikelihood(NamedTuple):
    """What K samples say of each of N data; all in nats but the last.

    Attributes:
      bound: ``[N]``, the K-sample bound of log p(x): its expectation lies under log p(x).
      standard_error: ``[N]``, of `bound`, by the delta method; too small where the effective
        sample size is near 1.
      elbo: ``[N]``, the mean log-weight.
      elbo_standard_error: ``[N]``, of `elbo`; nan where a weight is zero.
      effective_sample_size: ``[N]``, from 1 to K.
    """

    bound: Array
    standard_error: Array
    elbo: Array
    elbo_standard_error: Array
    effective_sample_size: Array


class _Moments(NamedTuple):
    log_sum: Array
    log_sum_of_squares: Array
    number: Array
    mean: Array
    sum_of_deviations: Array


def _chunk_moments(log_weights: Array, valid: Array) -> _Moments:
    number = jnp.sum(valid, dtype=log_weights.dtype)
    log_weights = jnp.where(valid, log_weights, -jnp.inf)
    mean = jnp.sum(jnp.where(valid, log_weights, 0.0)) / number
    return _Moments(
        log_sum=jax.nn.logsumexp(log_weights),
        log_sum_of_squares=jax.nn.logsumexp(2.0 * log_weights),
        number=number,
        mean=mean,
        sum_of_deviations=jnp.sum(jnp.where(valid, (log_weights - mean) ** 2, 0.0)),
    )


def _merge(a: _Moments, b: _Moments) -> _Moments:
    # Chan, Golub and LeVeque (1983), eq. 2.1: sums of squares would cancel in float32.
    number = a.number + b.number
    shift = b.mean - a.mean
    return _Moments(
        log_sum=jnp.logaddexp(a.log_sum, b.log_sum),
        log_sum_of_squares=jnp.logaddexp(a.log_sum_of_squares, b.log_sum_of_squares),
        number=number,
        mean=a.mean + shift * b.number / number,
        sum_of_deviations=a.sum_of_deviations
        + b.sum_of_deviations
        + shift**2 * a.number * b.number / number,
    )


def log_likelihood(
    key: Key,
    params: Params,
    xs: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int = 5000,
    chunk_size: int = 1000,
    first_position: Array | int = 0,
) -> LogLikelihood:
    r"""Estimates log p(x) of each datum by the bound with many samples, in O(chunk) memory.

    .. math:: \hat L_K = \log \frac1K \sum_k w_k, \quad
       \mathrm{se}^2 = \frac{K}{K - 1} (1 / \mathrm{ESS} - 1 / K)

    Args:
      key: key of the evaluation, ``[]``.
      params: theta and phi.
      xs: N data, stacked on the first axis.
      model: the model.
      num_samples: K, at least 2.
      chunk_size: samples at a time; it changes memory and speed, never the samples.
      first_position: position of ``xs[0]`` in the whole set, for a set evaluated in pieces.

    Returns:
      The `LogLikelihood` of the N data.

    Raises:
      ValueError: `num_samples` is under 2, or `chunk_size` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import evaluation, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> result = evaluation.log_likelihood(
      ...     jax.random.key(1), params, jax.numpy.ones((4, 3)), model=model, num_samples=100)
      >>> result.bound.shape, bool((result.bound >= result.elbo).all())
      ((4,), True)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519. The standard error: Owen (2013), Monte Carlo theory, methods and examples.
    """
    if num_samples < 2 or chunk_size < 1:
        raise ValueError(
            "num_samples must be at least 2 (one sample has no standard error) and chunk_size at "
            f"least 1; got {num_samples} and {chunk_size}."
        )
    chunk_size = min(chunk_size, num_samples)
    starts = jnp.arange(0, num_samples, chunk_size)

    def one_datum(position_and_x: tuple[Array, PyTree]) -> LogLikelihood:
        position, x = position_and_x
        example_key = keys.example(key, position)
        q = model.inference.encode(params.inference, x)

        def chunk(start: Array) -> _Moments:
            indices = start + jnp.arange(chunk_size)
            sample_keys = jax.vmap(keys.sample, (None, 0))(example_key, indices)
            log_weights = jax.vmap(
                lambda key: weights.sample_log_weight(key, params, x, q, model=model)
            )(sample_keys)
            return _chunk_moments(log_weights, indices < num_samples)

        def add(total: _Moments, start: Array) -> tuple[_Moments, None]:
            return _merge(total, chunk(start)), None

        total, _ = jax.lax.scan(add, chunk(starts[0]), starts[1:])
        # The unbiased variance of the weights over their squared mean, over K.
        inverse_size = jnp.exp(total.log_sum_of_squares - 2.0 * total.log_sum)
        spread = jnp.maximum(inverse_size - 1.0 / num_samples, 0.0)
        bessel = num_samples / (num_samples - 1)
        variance = total.sum_of_deviations / (num_samples - 1)
        return LogLikelihood(
            bound=total.log_sum - jnp.log(num_samples),
            standard_error=jnp.sqrt(spread * bessel),
            elbo=total.mean,
            elbo_standard_error=jnp.sqrt(variance / num_samples),
            effective_sample_size=1.0 / inverse_size,
        )

    num_data = jax.tree.leaves(xs)[0].shape[0]
    return jax.lax.map(one_datum, (first_position + jnp.arange(num_data), xs))


def mean_bound(
    key: Key,
    params: Params,
    images: Array,
    *,
    model: LatentVariableModel,
    estimator: Estimator,
    num_samples: int,
    observe: Callable[[Key, Array], PyTree],
    max_pairs: int = 2000,
) -> tuple[Array, Array]:
    """The bound that is trained, averaged over a set, with its effective sample size.

    Args:
      key: key of the evaluation, ``[]``.
      params: theta and phi.
      images: ``[N, ...]``, as the data set stores them.
      model: the model.
      estimator: the estimator whose value is the bound.
      num_samples: K.
      observe: ``(key, image) -> x``, what the model sees of an image.
      max_pairs: largest number of (datum, sample) pairs at a time.

    Returns:
      Mean bound, ``[]``, in nats, and mean effective sample size, ``[]``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import estimators, evaluation, models, training
      >>> model, params = models.vae(jax.random.key(0), event_shape=(8, 8), hidden_sizes=(8,))
      >>> bound, size = evaluation.mean_bound(
      ...     jax.random.key(1), params, jnp.zeros((4, 8, 8), jnp.uint8), model=model,
      ...     estimator=estimators.pathwise, num_samples=5, observe=training.dynamic_binarisation)
      >>> 1.0 <= float(size) <= 5.0
      True

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
    """

    def one_image(position_and_image: tuple[Array, Array]) -> tuple[Array, Array]:
        position, image = position_and_image
        example_key = keys.example(key, position)
        x = observe(example_key, image)
        bound, log_weights = estimator(example_key, params, x, model=model, num_samples=num_samples)
        return bound, diagnostics.effective_sample_size(log_weights.reshape(-1))

    at_a_time = max(1, min(len(images), max_pairs // num_samples))
    bounds, sizes = jax.lax.map(one_image, (jnp.arange(len(images)), images), batch_size=at_a_time)
    return jnp.mean(bounds), jnp.mean(sizes)


def active_units(
    key: Key,
    params: Params,
    xs: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int = 100,
    threshold: float = 0.01,
) -> PyTree:
    r"""Which latent units the posterior uses.

    .. math:: A_u = \mathrm{Var}_x(E_{q(z \mid x)} z_u) > \mathrm{threshold}

    The variance is estimated, unbiased, as the covariance over the data of two independent means
    of half the samples each, so that it holds for any model and any layer of it.

    Args:
      key: key of the evaluation, ``[]``.
      params: theta and phi.
      xs: N data, stacked on the first axis; a thousand are plenty.
      model: the model.
      num_samples: draws of z for each datum, at least 2.
      threshold: least variance of an active unit, in the latent's own unit squared.

    Returns:
      A pytree like z, of bools: whether each unit is active.

    Raises:
      ValueError: `num_samples` is under 2, or there are fewer than 2 data.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import evaluation, models
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> silent = params._replace(inference=jax.tree.map(jnp.zeros_like, params.inference))
      >>> xs = jax.random.normal(jax.random.key(1), (500, 3))
      >>> evaluation.active_units(jax.random.key(2), silent, xs, model=model)
      Array([False, False], dtype=bool)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5.2,
      arXiv:1509.00519.
    """
    num_data = jax.tree.leaves(xs)[0].shape[0]
    if num_samples < 2 or num_data < 2:
        raise ValueError(
            "num_samples and the number of data must be at least 2; "
            f"got {num_samples} and {num_data}."
        )
    half = num_samples // 2

    def two_means(position_and_x: tuple[Array, PyTree]) -> tuple[PyTree, PyTree]:
        position, x = position_and_x
        q = model.inference.encode(params.inference, x)
        draw = lambda key: model.inference.sample_and_log_prob(key, params.inference, q)[0]
        z = jax.vmap(draw)(keys.samples(keys.example(key, position), 2 * half))
        first = jax.tree.map(lambda leaf: leaf[:half].mean(0), z)
        second = jax.tree.map(lambda leaf: leaf[half:].mean(0), z)
        return first, second

    first, second = jax.lax.map(two_means, (jnp.arange(num_data), xs))

    def active(a: Array, b: Array) -> Array:
        covariance = jnp.mean((a - a.mean(0)) * (b - b.mean(0)), axis=0)
        return covariance * (num_data / (num_data - 1)) > threshold

    return jax.tree.map(active, first, second)
