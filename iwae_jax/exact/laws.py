"""The law of the log-weight of one sample, as atoms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.exact import _quadrature, precision
from iwae_jax.types import Array, LatentVariableModel, Params, PyTree


class WeightLaw(NamedTuple):
    """The distribution of log w under q, as S atoms: states, or nodes of a quadrature rule.

    Attributes:
      log_weights: ``[S]``, log p(x, z_s) - log q(z_s | x), in nats.
      log_probs: ``[S]``, log-probabilities up to a common constant. An atom of -inf is never
        drawn, and whatever its log-weight is does not matter.
    """

    log_weights: Array
    log_probs: Array


def finite_law(
    params: Params, x: PyTree, *, model: LatentVariableModel, latents: PyTree
) -> WeightLaw:
    r"""The law of a model whose latents take finitely many values, one atom for each.

    .. math:: \log w_s = \log p_\theta(x, z_s) - \log q_\phi(z_s \mid x), \quad
       P(s) = q_\phi(z_s \mid x)

    The law moves with theta and phi, so `jax.grad` of a bound of it is the exact gradient, of
    discrete latents too.

    Args:
      params: theta and phi; float64.
      x: one datum.
      model: the model.
      latents: all states of z, stacked along a first axis of length S.

    Returns:
      The law, of S atoms. Where the latents do not make up q and the values are traced, so that
      nothing can be raised, its log-probabilities are nan.

    Raises:
      TypeError: the parameters are not float64.
      ValueError: the probabilities of the latents do not sum to one.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from iwae_jax import Params, densities, exact, latent_variable_model
      >>> bernoulli = lambda phi, z: densities.bernoulli_log_prob(phi, z)
      >>> model = latent_variable_model(
      ...     log_joint=lambda theta, x, z: bernoulli(theta, z)
      ...     + densities.gaussian_log_prob(2.0 * z, 0.0, x),
      ...     sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
      ...     log_posterior=lambda phi, x, z: bernoulli(phi, z),
      ...     reparameterised=False,
      ... )
      >>> def bound(phi):
      ...     params = Params(jnp.array(0.3), phi)
      ...     latents = jnp.array([0.0, 1.0])
      ...     law = exact.finite_law(params, 1.5, model=model, latents=latents)
      ...     return exact.iwae(law, num_samples=2)
      >>> with jax.enable_x64(True):
      ...     float(jax.grad(bound)(jnp.array(-0.5))).__round__(7)
      0.2960954

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
    """
    states = jax.tree.leaves(latents)[0].shape[0]
    return quadrature_law(params, x, model=model, nodes=latents, log_volumes=jnp.zeros(states))


def quadrature_law(
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    nodes: PyTree,
    log_volumes: Array,
) -> WeightLaw:
    r"""The law of a model with few continuous latents, one atom for each node of a rule over z.

    .. math:: \int f(z)\, dz \approx \sum_s v_s f(z_s), \quad P(s) = v_s\, q_\phi(z_s \mid x)

    A grid of equal steps, wide enough for q to vanish at its ends, is exact to rounding as soon as
    it is fine enough. The nodes stay where they are, so the gradient is right whether or not q can
    be reparameterised.

    Args:
      params: theta and phi; float64.
      x: one datum.
      model: the model.
      nodes: values of z, stacked along a first axis of length S.
      log_volumes: ``[S]``, log v, the logarithms of the rule's weights.

    Returns:
      The law, of S atoms. Where the rule does not integrate q to one and the values are traced, so
      that nothing can be raised, its log-probabilities are nan.

    Raises:
      TypeError: the parameters are not float64.
      ValueError: the rule does not integrate q to one within 1e-8.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=1)
      ...     nodes = jnp.linspace(-20.0, 20.0, 1001)[:, None]
      ...     volumes = jnp.full(1001, jnp.log(40.0 / 1000))
      ...     law = exact.quadrature_law(
      ...         params, jnp.ones(3), model=model, nodes=nodes, log_volumes=volumes
      ...     )
      ...     log_p = exact.linear_gaussian_log_likelihood(params.generative, jnp.ones(3))
      ...     bool(abs(exact.log_evidence(law) - log_p) < 1e-12)
      True

    References:
      Trefethen and Weideman (2014), The Exponentially Convergent Trapezoidal Rule, section 5.
    """
    precision.require_float64(params)
    q = model.inference.encode(params.inference, x)
    log_q = jax.vmap(lambda z: model.inference.log_prob(params.inference, q, z))(nodes)
    log_joint = jax.vmap(lambda z: model.generative.log_joint(params.generative, x, z))(nodes)
    log_probs = log_q + log_volumes
    mass = jnp.exp(jax.nn.logsumexp(log_probs))
    fault = (
        f"the probabilities sum to {mass}, not to 1: a state or a part of the support of q is "
        "missing or counted twice, or the steps are too coarse."
    )
    log_probs = _quadrature.checked(log_probs, jnp.abs(mass - 1.0) < 1e-8, fault)
    return WeightLaw(log_joint - log_q, log_probs)


def lognormal_law(mean: Array | float, scale: Array | float, *, num_nodes: int = 512) -> WeightLaw:
    r"""The law of a Gaussian log-weight, as it is where q has the covariance of the posterior.

    .. math:: \log w \sim N(m, s^2)

    Then the ELBO is :math:`m`, the log-evidence :math:`m + s^2 / 2`, and the chi upper bound of
    order n is :math:`m + n s^2 / 2`.

    Args:
      mean: m, ``[]``, in nats; float64.
      scale: s, ``[]``, in nats; float64.
      num_nodes: atoms; 512 are enough for a scale of 8, and 2048 for 20.

    Returns:
      The law, of `num_nodes` atoms, exact to 1e-12 in everything but upper bounds of an order
      above 2. Where the nodes are too few and the scale is traced, so that nothing can be raised,
      its log-probabilities are nan.

    Raises:
      TypeError: the mean or the scale is not float64.
      ValueError: the nodes are too few for the scale.

    Example:
      >>> import jax
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     float(exact.iwae(exact.lognormal_law(-0.5, 1.0), num_samples=2)).__round__(6)
      -0.290485

    References:
      Daudel, Benton, Shi and Doucet (2023), Alpha-divergence Variational Inference Meets
      Importance Weighted Auto-Encoders, arXiv:2210.06226.
    """
    mean, scale = 1.0 * mean, 1.0 * scale
    precision.require_float64((mean, scale))
    # Under the masses p w^n, for n up to 2, the nodes have their mean at n s.
    reach = jnp.abs(jax.lax.stop_gradient(scale))
    nodes = jnp.linspace(-9.0, 9.0 + 2.0 * reach, num_nodes)
    # The error is about exp(-22 / step), with the step in nats of log w.
    step = reach * (nodes[1] - nodes[0])
    fault = f"a step of {step} nats in log w is too coarse: num_nodes must grow to be below 0.75."
    log_probs = _quadrature.checked(-0.5 * nodes**2, step < 0.75, fault)
    return WeightLaw(mean + scale * nodes, log_probs)
