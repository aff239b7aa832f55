"""The pieces that every estimator is made of: stop-gradient surgery on one shape."""

from functools import partial

import jax
import jax.numpy as jnp

from iwae_jax import keys as key_tree
from iwae_jax.types import Array, Key, LatentVariableModel, Params, PyTree

stop = jax.lax.stop_gradient


@jax.custom_jvp
def with_gradient_of(value: Array, surrogate: Array) -> Array:
    """Returns `value`, differentiated as `surrogate` (which may itself be infinite)."""
    return value


@with_gradient_of.defjvp
def _with_gradient_of_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return primals[0], tangents[1]


@jax.custom_vjp
def scale_cotangent(z: PyTree, scale: Array) -> PyTree:
    """Returns `z`; what flows back to it is multiplied by `scale`."""
    return z


scale_cotangent.defvjp(
    lambda z, scale: (z, scale),
    lambda scale, cotangent: (
        jax.tree.map(lambda leaf: scale.astype(leaf.dtype) * leaf, cotangent),
        jnp.zeros_like(scale),
    ),
)


def normalised(log_weights: Array) -> Array:
    """Weights that sum to one over the last axis, without gradient; 0 where all are zero."""
    log_weights = stop(log_weights)
    impossible = jnp.all(jnp.isneginf(log_weights), axis=-1, keepdims=True)
    # The softmax of nothing but -inf is nan.
    weights = jax.nn.softmax(jnp.where(impossible, 0.0, log_weights), axis=-1)
    return jnp.where(impossible, 0.0, weights)


def path_log_weight(
    key: Key, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> Array:
    """Log-weight that phi moves through z alone: the parameters of log q are stopped, z is not."""
    z, _ = model.inference.sample_and_log_prob(key, params.inference, q)
    return _path_log_weight_at(z, params, x, q, model=model)


def scaled_path_log_weight(
    sample: tuple[Key, Array], params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> Array:
    """`path_log_weight`, in which what flows back into z is scaled."""
    key, scale = sample
    z, _ = model.inference.sample_and_log_prob(key, params.inference, q)
    return _path_log_weight_at(scale_cotangent(z, scale), params, x, q, model=model)


def _path_log_weight_at(
    z: PyTree, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> Array:
    log_q = model.inference.log_prob(stop(params.inference), stop(q), z)
    return model.generative.log_joint(params.generative, x, z) - log_q


def score_terms(
    key: Key, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> tuple[Array, Array]:
    """log p(x, z) and log q(z | x) of a sample that no gradient flows through."""
    z = stop(model.inference.sample_and_log_prob(key, params.inference, q)[0])
    log_joint = model.generative.log_joint(params.generative, x, z)
    return log_joint, model.inference.log_prob(params.inference, q, z)


def require_reparameterised(model: LatentVariableModel, name: str) -> None:
    """Refuses, in an estimator's name, a model whose samples pass no gradient on to phi."""
    flags = jax.tree.leaves(model.inference.reparameterised)
    if not flags or not all(flags):
        raise ValueError(
            f"{name} differentiates through the samples, but model.inference.reparameterised is "
            f"{model.inference.reparameterised!r}: its gradient in phi would be silently wrong. "
            "Use an estimator of the score-function family, such as vimco_arithmetic."
        )


def take_samples(function, key, params, x, model, num_samples, over_samples) -> PyTree:
    """Runs a function of one sample over K of them, with the encoder once before."""
    q = model.inference.encode(params.inference, x)
    sample_keys = key_tree.samples(key, num_samples)
    return over_samples(partial(function, model=model), sample_keys, params, x, q)


def doubly_reparameterised(
    key, params, x, shares, model, num_samples, over_samples
) -> tuple[Array, Array]:
    """The log-weights, and what has a gradient that meets theta and z in different shares.

    ``shares(log_weights)`` gives what theta meets, and what that is multiplied by on its way to z.
    """
    q = model.inference.encode(params.inference, x)
    sample_keys = key_tree.samples(key, num_samples)
    first = over_samples(partial(path_log_weight, model=model), sample_keys, params, x, q)
    log_weights = stop(first)
    for_theta, scale = shares(log_weights)
    samples = (sample_keys, scale)
    scaled = over_samples(partial(scaled_path_log_weight, model=model), samples, params, x, q)
    return log_weights, jnp.sum(for_theta * scaled)


def squared(log_weights: Array) -> tuple[Array, Array]:
    """DReG's shares: theta meets the normalised weights, z their squares."""
    w = normalised(log_weights)
    return w, w
