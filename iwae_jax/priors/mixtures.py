"""Mixtures as priors: of free Gaussians, and of posteriors at learnt inputs."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from iwae_jax import _draws, densities
from iwae_jax.priors.gaussians import bounded_log_scale
from iwae_jax.priors.structures import Prior, PriorAndParams
from iwae_jax.types import Array, Estimator, InferenceModel, Key, Params, PyTree


def gaussian_mixture(key: Key, *, num_components: int, size: int) -> PriorAndParams:
    r"""A mixture of diagonal Gaussians, with weights, means and scales learnt.

    .. math:: r_\lambda(z) = \sum_c \pi_c\, N(z;\, m_c, \mathrm{diag}\, s_c^2)

    Args:
      key: key of the initial means, which are drawn from N(0, I), ``[]``.
      num_components: C.
      size: D, length of z.

    Returns:
      The prior, and lambda: {"logits" ``[C]``, "mean" ``[C, D]``, "raw_scale" ``[C, D]``}, with
      log s = `bounded_log_scale` of the last.

    Raises:
      ValueError: a size is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import priors
      >>> prior, lambda_ = priors.gaussian_mixture(jax.random.key(0), num_components=3, size=2)
      >>> prior.sample(jax.random.key(1), lambda_).shape
      (2,)

    References:
      Dilokthanakul et al. (2016), Deep Unsupervised Clustering with Gaussian Mixture Variational
      Autoencoders, arXiv:1611.02648.
    """
    if num_components < 1 or size < 1:
        raise ValueError(
            "num_components and size must be at least 1; got "
            f"num_components={num_components}, size={size}."
        )
    shape = (num_components, size)
    lambda_ = {
        "logits": jnp.zeros(num_components, jnp.float32),
        "mean": jax.random.normal(key, shape, jnp.float32),
        "raw_scale": jnp.zeros(shape, jnp.float32),
    }

    def log_prob(lambda_: PyTree, z: Array) -> Array:
        log_scale = bounded_log_scale(lambda_["raw_scale"])
        of_component = jax.vmap(densities.gaussian_log_prob, (0, 0, None))
        log_probs = of_component(lambda_["mean"], log_scale, z)
        return jax.nn.logsumexp(jax.nn.log_softmax(lambda_["logits"]) + log_probs)

    def sample(key: Key, lambda_: PyTree) -> Array:
        component_key, noise_key = jax.random.split(key)
        component = jax.random.categorical(component_key, lambda_["logits"])
        mean = lambda_["mean"][component]
        scale = jnp.exp(bounded_log_scale(lambda_["raw_scale"][component]))
        return mean + scale * _draws.normal(noise_key, mean.shape, mean.dtype)

    return Prior(log_prob, sample), lambda_


def vamp(posterior: tuple[InferenceModel, PyTree], pseudo_inputs: ArrayLike) -> PriorAndParams:
    r"""A mixture of posteriors at learnt pseudo-inputs.

    .. math:: r_\lambda(z) = \frac1C \sum_c q_\psi(z \mid u_c)

    lambda holds psi, a copy of the posterior's parameters, so that estimators tell lambda from phi
    as of any prior; `tied` makes the two one, as published. The pseudo-inputs are free numbers,
    not pixels between 0 and 1.

    Args:
      posterior: the posterior's half of a model, and its parameters phi.
      pseudo_inputs: ``[C, ...]``, the initial u: data, or their mean and some noise.

    Returns:
      The prior, and lambda: {"pseudo_inputs" u, "encoder" psi}.

    Raises:
      ValueError: there is no pseudo-input.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import models, priors
      >>> posterior = models.gaussian_posterior(
      ...     jax.random.key(0), event_shape=(4, 4), latent_size=2)
      >>> prior, lambda_ = priors.vamp(posterior, jnp.zeros((3, 4, 4)))
      >>> prior.sample(jax.random.key(1), lambda_).shape
      (2,)

    References:
      Tomczak and Welling (2018), VAE with a VampPrior, eq. 9, arXiv:1705.07120.
    """
    inference, phi = posterior
    inputs = jnp.asarray(pseudo_inputs)
    if not inputs.ndim or not len(inputs):
        raise ValueError(f"pseudo_inputs needs one input or more; got the shape {inputs.shape}.")

    def log_prob(lambda_: PyTree, z: PyTree) -> Array:
        psi = lambda_["encoder"]

        def of_input(u: Array) -> Array:
            return inference.log_prob(psi, inference.encode(psi, u), z)

        log_probs = jax.vmap(of_input)(lambda_["pseudo_inputs"])
        return jax.nn.logsumexp(log_probs) - jnp.log(jnp.asarray(len(log_probs), log_probs.dtype))

    def sample(key: Key, lambda_: PyTree) -> PyTree:
        input_key, sample_key = jax.random.split(key)
        inputs, psi = lambda_["pseudo_inputs"], lambda_["encoder"]
        u = inputs[jax.random.randint(input_key, (), 0, len(inputs), jnp.int32)]
        return inference.sample_and_log_prob(sample_key, psi, inference.encode(psi, u))[0]

    return Prior(log_prob, sample), {"pseudo_inputs": inputs, "encoder": phi}


def tied(*, estimator: Estimator) -> Estimator:
    r"""An estimator for a model whose `vamp` prior shares the posterior's parameters.

    phi takes the place of psi before the estimator is called, so that its direction in phi is the
    sum of the directions in phi and in psi. psi itself stays where it is, and is not read.

    * Value, theta: those of the estimator.
    * phi: unbiased where the estimator is so in both theta and phi.

    Args:
      estimator: any estimator; the prior's lambda is ``params.generative["prior"]``.

    Returns:
      The estimator of the tied model.

    Example:
      >>> from iwae_jax import estimators, priors
      >>> estimator = priors.tied(estimator=estimators.dreg)

    References:
      Tomczak and Welling (2018), VAE with a VampPrior, section 3, arXiv:1705.07120.
    """

    def of_tied(key: Key, params: Params, x: PyTree, **static: Any) -> tuple[Array, Array]:
        return estimator(key, tie(params), x, **static)

    return of_tied


def tie(params: Params) -> Params:
    """Puts phi in the place of a `vamp` prior's own parameters.

    Args:
      params: of a model with a `vamp` prior, whose lambda is ``params.generative["prior"]``.

    Returns:
      The parameters, with phi in both places.

    Raises:
      ValueError: the prior is not a `vamp`.

    Example:
      >>> from iwae_jax import Params, priors
      >>> lambda_ = {"pseudo_inputs": 0.0, "encoder": 1.0}
      >>> priors.tie(Params({"prior": lambda_}, 2.0)).generative["prior"]["encoder"]
      2.0

    References:
      Tomczak and Welling (2018), VAE with a VampPrior, section 3, arXiv:1705.07120.
    """
    prior = params.generative.get("prior")
    if not isinstance(prior, dict) or "encoder" not in prior:
        raise ValueError(
            "params.generative['prior'] is not the lambda of a vamp prior: it has no 'encoder'."
        )
    prior = prior | {"encoder": params.inference}
    return params._replace(generative=params.generative | {"prior": prior})
