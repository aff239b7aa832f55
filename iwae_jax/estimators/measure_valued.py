"""The measure-valued estimator for Gaussian latents."""

import jax
import jax.numpy as jnp

from iwae_jax import densities, weights
from iwae_jax import keys as key_tree
from iwae_jax.densities import GaussianLatents
from iwae_jax.estimators._latents import encoded, with_elbo_gradient
from iwae_jax.estimators._surrogate import stop
from iwae_jax.types import Array, Key, LatentVariableModel, Noise, OverSamples, Params, PyTree


def measure_valued(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The gradient of the ELBO as a difference of expectations, for Gaussian latents.

    .. math:: \partial_{m_d}: \frac{1}{s_d \sqrt{2\pi}} [f(m_d + s_d R) - f(m_d - s_d R)], \quad
       \partial_{\log s_d}: f(m_d + s_d M) - f(m_d + s_d M U), \quad f = \log w

    averaged over the K samples: component d of z is replaced, the others are left. R is a Rayleigh
    variable, M a double-sided Maxwell one, and U is uniform, so that M U is standard normal.

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO.
    * phi: unbiased for the gradient of the ELBO; f need not be differentiable in z.

    Cost: the encoder once, a forward pass of (4 D + 1) K samples for D components, and the
    backward pass of theta in K.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.GaussianLatents`, the law of z.
      num_samples: K.
      noise: ``(key, shape, dtype) -> uniform``, where the uniform noise comes from;
        `iwae_jax.exact.uniform_expectation` puts its nodes there.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: q is another distribution, or `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import estimators, models
      >>> model, params = models.vae(jax.random.key(0), event_shape=(3,), latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.measure_valued(
      ...         jax.random.key(1), params, x, model=model, num_samples=4
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning, section 6,
      arXiv:1906.10652.
    """
    q = encoded(params, x, model, (GaussianLatents,), "measure_valued")

    def sample(sample_and_extra_key, params, x, q) -> tuple[Array, Array, GaussianLatents]:
        sample_key, extra_key = sample_and_extra_key
        q = stop(q)
        z = stop(model.inference.sample_and_log_prob(sample_key, params.inference, q)[0])
        log_joint = model.generative.log_joint(params.generative, x, z)
        scale = jnp.exp(q.log_scale)
        rayleigh, maxwell, normal = _components(extra_key, z, noise)

        def f(component: Array, value: Array) -> Array:
            moved = z.at[component].set(value)
            log_q = densities.gaussian_log_prob(q.mean, q.log_scale, moved)
            return model.generative.log_joint(stop(params.generative), x, moved) - log_q

        at = lambda values: jax.vmap(f)(jnp.arange(z.size), q.mean + scale * values)
        in_mean = (at(rayleigh) - at(-rayleigh)) / (scale * jnp.sqrt(2.0 * jnp.pi))
        in_log_scale = at(maxwell) - at(normal)
        log_weight = stop(log_joint) - densities.gaussian_log_prob(q.mean, q.log_scale, z)
        return log_joint, log_weight, GaussianLatents(in_mean, in_log_scale)

    sample_keys = key_tree.samples(key, num_samples)
    extra_keys = jax.vmap(key_tree.extra, (None, 0, None))(key, jnp.arange(num_samples), 0)
    log_joint, log_weights, gradients = over_samples(
        sample, (sample_keys, extra_keys), params, x, q
    )
    return with_elbo_gradient(log_joint, log_weights, q, gradients)


def _components(key: Key, z: Array, noise: Noise) -> tuple[Array, Array, Array]:
    u = noise(key, (4, *z.shape), z.dtype)
    squares = -2.0 * jnp.log(u[:2])
    signed = jax.scipy.special.ndtri(u[2])
    # The sum of three squared normals: two of them are an exponential.
    maxwell = jnp.sign(signed) * jnp.sqrt(squares[1] + signed**2)
    return jnp.sqrt(squares[0]), maxwell, maxwell * u[3]
