"""What the estimators share that know which distribution q is."""

from typing import Any

import jax
import jax.numpy as jnp

from iwae_jax import bounds
from iwae_jax.densities import BernoulliLatents, bernoulli_log_prob
from iwae_jax.estimators._surrogate import stop, with_gradient_of
from iwae_jax.types import Array, LatentVariableModel, Params, PyTree


def encoded(
    params: Params, x: PyTree, model: LatentVariableModel, kinds: tuple[type, ...], name: str
) -> Any:
    """q of a datum, which must be one of some kinds."""
    q = model.inference.encode(params.inference, x)
    if not isinstance(q, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"{name} needs model.inference.encode to return densities.{wanted}; got a "
            f"{type(q).__name__}. Use an estimator that takes any q, such as vimco_arithmetic."
        )
    return q


def bernoulli_log_weight(params: Params, x: PyTree, q: BernoulliLatents, z: Array, model) -> Array:
    """log w at a z between 0 and 1, through which alone a gradient flows."""
    params, logits = stop((params, q.logits))
    return model.generative.log_joint(params.generative, x, z) - bernoulli_log_prob(logits, z)


def with_elbo_gradient(
    log_joint: Array, log_weights: Array, q: PyTree, gradients: PyTree, control: Array | float = 0.0
) -> tuple[Array, Array]:
    """The ELBO whose gradient in q is the mean over K of `gradients`, ``[K, ...]`` like q.

    `log_joint` carries theta's gradient, and `control` that of the learnt parts.
    """
    log_weights = stop(log_weights)
    bound = bounds.elbo(log_weights)
    # A bound of -inf is flat.
    mean = lambda g: stop(jnp.where(jnp.isneginf(bound), 0.0, g.mean(0)))
    along = jax.tree.map(lambda g, leaf: jnp.sum(mean(g) * leaf), gradients, q)
    surrogate = jnp.mean(log_joint) + sum(jax.tree.leaves(along)) + control
    return with_gradient_of(bound, surrogate), log_weights
