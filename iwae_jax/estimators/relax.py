"""Score-function estimators for Bernoulli latents with a relaxed, learnt control variate."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iwae_jax import densities, weights
from iwae_jax import keys as key_tree
from iwae_jax.densities import BernoulliLatents
from iwae_jax.estimators._latents import bernoulli_log_weight, encoded, with_elbo_gradient
from iwae_jax.estimators._score import finite
from iwae_jax.estimators._surrogate import stop
from iwae_jax.types import Array, Key, LatentVariableModel, Noise, OverSamples, Params, PyTree


def relax(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    control_variate: Callable[[PyTree, PyTree, Array], Array],
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient of the ELBO with a learnt control variate of relaxed latents.

    .. math:: \nabla_l: (f(b) - c_\psi(z')) \nabla_l \log q(b) + \nabla_l c_\psi(z)
       - \nabla_l c_\psi(z'), \quad f = \log w, \quad z = l + \mathrm{logit}(u), \quad b = 1[z > 0]

    for the logits l of q, averaged over the K samples; z' is a fresh z given b, both functions of l
    and of noise.

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO.
    * phi: unbiased for the gradient of the ELBO, whatever c. psi, in ``params.control``, climbs
      minus the mean squared norm of the gradient in l, and so minus its variance.

    Cost: the encoder once, one forward and one backward pass of K samples, and two of c with its
    second derivatives.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi, and psi in ``control``.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents`.
      num_samples: K.
      control_variate: ``(control, x, z) -> []``, c, of real z ``[D]`` whose sign is the latent, in
        nats.
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
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(3,), latent_size=2
      ... )
      >>> params = params._replace(control=jax.numpy.zeros(2))
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.relax(
      ...         jax.random.key(1), params, x, model=model, num_samples=4,
      ...         control_variate=lambda psi, x, z: psi @ jax.nn.sigmoid(z)
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Grathwohl et al. (2018), Backpropagation through the Void, arXiv:1711.00123.
    """
    return _relax(
        key, params, x, lambda params, x, q, z: control_variate(params.control, x, z), "relax",
        model, num_samples, noise, over_samples,
    )  # fmt: skip


def rebar(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    noise: Noise = densities.uniform_noise,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The score-function gradient of the ELBO with its own relaxation as control variate.

    .. math:: c(z) = \eta\, f(\sigma(z / \tau)), \quad f = \log w

    in the place of the learnt function of `relax`.

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO.
    * phi: unbiased for the gradient of the ELBO. eta and log tau, in ``params.control``, climb
      minus the mean squared norm of the gradient in q's logits, and so minus its variance.

    Cost: the encoder once, three forward and up to five backward passes of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi; ``control`` = {"log_temperature": log tau ``[]``, "scale": eta ``[]``}.
      x: one datum.
      model: a model whose encoder returns `iwae_jax.densities.BernoulliLatents`.
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
      >>> model, params = models.sigmoid_belief_network(
      ...     jax.random.key(0), event_shape=(3,), latent_size=2
      ... )
      >>> control = {"log_temperature": jax.numpy.zeros(()), "scale": jax.numpy.ones(())}
      >>> params = params._replace(control=control)
      >>> x = jax.numpy.ones(3)
      >>> def objective(params):
      ...     return estimators.rebar(
      ...         jax.random.key(1), params, x, model=model, num_samples=4
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Tucker et al. (2017), REBAR: Low-variance, unbiased gradient estimates for discrete latent
      variable models, arXiv:1703.07370.
    """

    def relaxed(params: Params, x: PyTree, q: BernoulliLatents, z: Array) -> Array:
        z = jax.nn.sigmoid(z * jnp.exp(-params.control["log_temperature"]))
        # Any control variate will do where the weight is zero.
        return params.control["scale"] * finite(bernoulli_log_weight(params, x, q, z, model))

    return _relax(key, params, x, relaxed, "rebar", model, num_samples, noise, over_samples)


def _relax(
    key, params, x, control_variate, name, model, num_samples, noise, over_samples
) -> tuple[Array, Array]:
    q = encoded(params, x, model, (BernoulliLatents,), name)

    def sample(sample_and_extra_key, params, x, q) -> tuple[Array, ...]:
        logits = stop(q.logits)
        u, v = (noise(key, logits.shape, logits.dtype) for key in sample_and_extra_key)
        b = (u > jax.nn.sigmoid(-logits)).astype(logits.dtype)
        log_joint = model.generative.log_joint(params.generative, x, b)
        log_weight = stop(log_joint) - densities.bernoulli_log_prob(logits, b)

        def c(z: Array) -> Array:
            return control_variate(params._replace(generative=stop(params.generative)), x, q, z)

        relaxed = lambda logits: c(logits + jax.scipy.special.logit(u))
        at_conditional, back = jax.vjp(lambda logits: c(_conditional(logits, b, v)), logits)
        (along_conditional,) = back(jnp.ones_like(at_conditional))
        score = b - jax.nn.sigmoid(logits)
        gradient = (finite(log_weight) - at_conditional) * score
        gradient += jax.grad(relaxed)(logits) - along_conditional
        return log_joint, log_weight, gradient

    sample_keys = key_tree.samples(key, num_samples)
    extra_keys = jax.vmap(key_tree.extra, (None, 0, None))(key, jnp.arange(num_samples), 0)
    log_joint, log_weights, gradients = over_samples(
        sample, (sample_keys, extra_keys), params, x, q
    )
    # Of the mean square, whose gradient is that of the variance: the mean does not move.
    control = -jnp.mean(jnp.sum(gradients**2, axis=-1))
    return with_elbo_gradient(log_joint, log_weights, q, BernoulliLatents(gradients), control)


def _conditional(logits: Array, b: Array, v: Array) -> Array:
    """A draw of z = l + logit(u), given whether it is positive."""
    positive = jnp.logaddexp(0.0, logits + jnp.log(v)) - jnp.log1p(-v)
    negative = jnp.log(v) - jnp.logaddexp(0.0, jnp.log1p(-v) - logits)
    return jnp.where(b > 0.5, positive, negative)
