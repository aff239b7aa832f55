"""The shapes of things: parameters, models, estimators."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
from jax.typing import DTypeLike

Array = jax.Array
Key = jax.Array
PyTree = Any
OptionalFunction = Any  # a function, or None where the model has no such thing


class Params(NamedTuple):
    """Everything that is trained.

    Attributes:
      generative: theta, with the prior's lambda inside it; any pytree.
      inference: phi; any pytree.
      control: learnt control variates, where an estimator has them; any pytree.
    """

    generative: PyTree
    inference: PyTree
    control: PyTree = ()


class GenerativeModel(NamedTuple):
    """The half of a model that reads ``params.generative``: p_theta(x, z).

    Only `log_joint` is required. An estimator that needs another field says so by name.

    Attributes:
      log_joint: ``(theta, x, z) -> []``, log p_theta(x | z) + log r_lambda(z) in nats.
      log_likelihood: ``(theta, x, z) -> []``, log p_theta(x | z).
      log_prior: ``(theta, z) -> []``, log r_lambda(z).
      sample_prior: ``(key, theta) -> z``.
      sample_likelihood: ``(key, theta, z) -> x``.
      prior_to_noise: ``(theta, z) -> eps``.
      prior_from_noise: ``(theta, eps) -> z``, the inverse of `prior_to_noise`.
      gaussian_prior: ``(theta) -> GaussianLatents`` or ``FullGaussianLatents``, where the prior
        is a Gaussian.
    """

    log_joint: Callable[..., Array]
    log_likelihood: OptionalFunction = None
    log_prior: OptionalFunction = None
    sample_prior: OptionalFunction = None
    sample_likelihood: OptionalFunction = None
    prior_to_noise: OptionalFunction = None
    prior_from_noise: OptionalFunction = None
    gaussian_prior: OptionalFunction = None


class InferenceModel(NamedTuple):
    """The half of a model that reads ``params.inference``: q_phi(z | x).

    Attributes:
      encode: ``(phi, x) -> q``, run once per datum; q is any pytree.
      sample_and_log_prob: ``(key, phi, q) -> (z, [])``, a sample and its log-density.
      log_prob: ``(phi, q, z) -> []``, log q_phi(z | x) in nats.
      reparameterised: whether gradients flow through z: one bool, or one per leaf of z.
    """

    encode: Callable[..., PyTree]
    sample_and_log_prob: Callable[..., tuple[PyTree, Array]]
    log_prob: Callable[..., Array]
    reparameterised: PyTree


class LatentVariableModel(NamedTuple):
    """A model of one datum x with latent z; mirrors `Params`, each half reads its half.

    Attributes:
      generative: p_theta(x, z).
      inference: q_phi(z | x).
    """

    generative: GenerativeModel
    inference: InferenceModel


class OverSamples(Protocol):
    """How a function of one sample is run over K of them."""

    def __call__(self, function: Callable[..., PyTree], samples: PyTree, *shared: PyTree) -> PyTree:
        """Returns ``function(samples[k], *shared)`` stacked over ``k``."""
        ...


class Noise(Protocol):
    """Where uniform noise comes from."""

    def __call__(self, key: Key, shape: Sequence[int], dtype: DTypeLike, /) -> Array:
        """Returns noise between 0 and 1, of that shape and dtype."""
        ...


class Estimator(Protocol):
    """A bound's estimate whose `jax.grad` is the named ascent direction."""

    def __call__(
        self,
        key: Key,
        params: Params,
        x: PyTree,
        *,
        model: LatentVariableModel,
        num_samples: int,
        over_samples: OverSamples = ...,
    ) -> tuple[Array, Array]:
        """Returns the bound ``[]`` and the log-weights ``[K]`` of one datum."""
        ...


def latent_variable_model(
    *,
    log_joint: Callable[[PyTree, PyTree, PyTree], Array],
    sample_posterior: Callable[[Key, PyTree, PyTree], PyTree],
    log_posterior: Callable[[PyTree, PyTree, PyTree], Array],
    reparameterised: PyTree,
) -> LatentVariableModel:
    """Builds a model from three formulas, without an encoder of its own.

    Args:
      log_joint: ``(theta, x, z) -> []``, log p_theta(x, z) in nats.
      sample_posterior: ``(key, phi, x) -> z``, one draw of q_phi(z | x).
      log_posterior: ``(phi, x, z) -> []``, log q_phi(z | x) in nats.
      reparameterised: whether the gradient with respect to phi flows through
        `sample_posterior`: one bool, or a pytree of bools, one per leaf of z.

    Returns:
      A `LatentVariableModel` whose ``encode`` returns x itself.

    Raises:
      TypeError: `reparameterised` holds something else than bools.

    Example:
      >>> import jax
      >>> from iwae_jax import densities, latent_variable_model
      >>> model = latent_variable_model(
      ...     log_joint=lambda theta, x, z: densities.gaussian_log_prob(theta, 0.0, z)
      ...     + densities.gaussian_log_prob(z, 0.0, x),
      ...     sample_posterior=lambda key, phi, x: phi + jax.random.normal(key),
      ...     log_posterior=lambda phi, x, z: densities.gaussian_log_prob(phi, 0.0, z),
      ...     reparameterised=True,
      ... )
      >>> float(model.inference.log_prob(0.0, None, 0.0)).__round__(4)
      -0.9189

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.1, arXiv:1312.6114.
    """
    flags = jax.tree.leaves(reparameterised)
    if not flags or not all(isinstance(flag, bool) for flag in flags):
        raise TypeError(
            "reparameterised must be True or False, or a pytree of them with one per leaf of z; "
            f"got {reparameterised!r}."
        )

    def sample_and_log_prob(key: Key, phi: PyTree, x: PyTree) -> tuple[PyTree, Array]:
        z = sample_posterior(key, phi, x)
        return z, log_posterior(phi, x, z)

    return LatentVariableModel(
        generative=GenerativeModel(log_joint=log_joint),
        inference=InferenceModel(
            encode=lambda phi, x: x,
            sample_and_log_prob=sample_and_log_prob,
            log_prob=log_posterior,
            reparameterised=reparameterised,
        ),
    )
