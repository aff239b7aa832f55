"""What the score-function estimators share."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax import bounds
from iwae_jax.estimators._surrogate import (
    normalised,
    score_terms,
    stop,
    take_samples,
    with_gradient_of,
)
from iwae_jax.types import Array


class Terms(NamedTuple):
    log_joint: Array
    log_q: Array
    log_weights: Array


def take_terms(key, params, x, model, num_samples, over_samples) -> Terms:
    log_joint, log_q = take_samples(score_terms, key, params, x, model, num_samples, over_samples)
    return Terms(log_joint, log_q, stop(log_joint - log_q))


def with_score_gradient(terms: Terms, excess: Array) -> tuple[Array, Array]:
    """The bound, whose gradient weighs each score by its `excess`: the bound less a baseline."""
    bound = bounds.iwae(terms.log_weights)
    w = normalised(terms.log_weights)
    # A baseline of -inf reads only the other samples, all of weight zero: there is none then.
    signal = finite(jnp.where(jnp.isposinf(excess), bound, excess)) - w
    surrogate = jnp.sum(w * terms.log_joint) + jnp.sum(signal * terms.log_q)
    return with_gradient_of(bound, surrogate), terms.log_weights


def excess_over_replaced(log_weights: Array, log_replacements: Array | float) -> Array:
    """The bound less the bound with one sample's weight replaced, for each sample.

    The difference of the two bounds would lose what is small beside their size: with K samples
    it is of order 1 / K.
    """
    w, share = normalised(log_weights), replaced_share(log_weights, log_replacements)
    others = sum_of_others(w, jnp.add, 0.0)
    change = share - w
    near = jnp.abs(change) < 0.5
    return -jnp.where(near, jnp.log1p(jnp.where(near, change, 0.0)), jnp.log(others + share))


def replaced_share(log_weights: Array, log_replacements: Array | float) -> Array:
    """Weights that replace a sample's, as a share of the sum of all K."""
    return jnp.exp(log_replacements - jax.nn.logsumexp(log_weights))


def finite(signal: Array) -> Array:
    # A bound of -inf is flat.
    return jnp.where(jnp.isfinite(signal), signal, 0.0)


def sum_of_others(values: Array, add: Callable[[Array, Array], Array], zero: float) -> Array:
    # The sum of all less one's own would cancel where one weight is nearly all of it.
    up_to = jax.lax.associative_scan(add, values)
    from_on = jax.lax.associative_scan(add, values, reverse=True)
    nothing = jnp.full((1,), zero, values.dtype)
    return add(jnp.concatenate([nothing, up_to[:-1]]), jnp.concatenate([from_on[1:], nothing]))


def require_others(num_samples: int, name: str) -> None:
    if num_samples < 2:
        raise ValueError(
            f"{name} compares each sample with the others: num_samples must be at least 2; got "
            f"{num_samples}."
        )
