"""The maxima over theta of log p(x) and of exact L_K, on data of probabilistic PCA."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import tightness_laws
from iwae_jax import LatentVariableModel, Params, exact
from iwae_jax.types import Array, PyTree

NUM_NODES, REACH = 24, 6.5
TOLERANCE, MOST_STEPS = 1e-7, 1000  # the bound is off by about the square of the gradient

FITS = {
    "full": "full covariance",
    "diagonal": "diagonal",
    "full_fixed": "full covariance, axes of z fixed",
    "diagonal_fixed": "diagonal, axes of z fixed",
}


class Fit(NamedTuple):
    """A maximum over theta and phi.

    Attributes:
      params: where it is.
      bound: mean L_K of the data there, in nats.
      log_likelihood: mean log p(x) of the data at its theta, in nats.
      gradient: the largest entry of the gradient that is left.
      steps: updates of L-BFGS.
    """

    params: Params
    bound: float
    log_likelihood: float
    gradient: float
    steps: int


def free_entries(name: str, like: Params) -> Params:
    """Ones where a fit may move its parameters, zeros where they stay at zero.

    Every W W' has a lower triangular W, so fixing the axes of z like this costs no likelihood.
    """
    ones = jax.tree.map(jnp.ones_like, like)
    if name.endswith("_fixed"):
        ones.generative["weight"] = jnp.tril(ones.generative["weight"])
    if name.startswith("diagonal"):
        ones.inference["tril"] = jnp.diag(jnp.diag(ones.inference["tril"]))
    return ones


def principal_components(xs: Array, latent_size: int) -> PyTree:
    """The theta of the highest likelihood: Tipping and Bishop (1999), eq. 7-8."""
    bias = xs.mean(0)
    variances, axes = jnp.linalg.eigh((xs - bias).T @ (xs - bias) / len(xs))
    noise = variances[:-latent_size].mean()
    weight = axes[:, -latent_size:] * jnp.sqrt(variances[-latent_size:] - noise)
    return {"weight": weight, "bias": bias, "log_scale": jnp.log(noise) / 2.0}


def mean_bound(
    params: Params,
    xs: Array,
    *,
    model: LatentVariableModel,
    num_samples: int,
    num_nodes: int = NUM_NODES,
) -> Array:
    """The mean of exact L_K over the data; in closed form for K = 1."""
    if num_samples == 1:
        return jnp.mean(jax.vmap(exact.linear_gaussian_elbo, (None, 0))(params, xs))

    def bound(x: Array) -> Array:
        law = tightness_laws.weight_law(params, x, model=model, num_nodes=num_nodes, reach=REACH)
        return exact.iwae(law, num_samples=num_samples)

    return jnp.mean(jax.vmap(bound)(xs))


def mean_log_likelihood(theta: PyTree, xs: Array) -> Array:
    """The mean of log p(x) over the data."""
    return jnp.mean(jax.vmap(exact.linear_gaussian_log_likelihood, (None, 0))(theta, xs))


def maximiser(
    xs: Array, *, model: LatentVariableModel, num_samples: int
) -> Callable[[str, Params], Fit]:
    """A function ``(name, start) -> Fit``; all fits share its compiled step."""
    optimizer = optax.lbfgs()

    def loss(params: Params, free: Params) -> Array:
        params = jax.tree.map(jnp.multiply, params, free)
        return -mean_bound(params, xs, model=model, num_samples=num_samples)

    @jax.jit
    def step(params: Params, state: PyTree, free: Params) -> tuple[Params, PyTree, Array]:
        value, gradient = optax.value_and_grad_from_state(loss)(params, free, state=state)
        updates, state = optimizer.update(
            gradient, state, params, value=value, grad=gradient, value_fn=partial(loss, free=free)
        )
        return optax.apply_updates(params, updates), state, optax.tree.norm(gradient, ord=jnp.inf)

    # Its line search adds int32 to int64 where float64 is on.
    @jax.numpy_dtype_promotion("standard")
    def maximise(name: str, start: Params) -> Fit:
        free = free_entries(name, start)
        params = jax.tree.map(jnp.multiply, start, free)
        state, steps, gradient = optimizer.init(params), 0, np.inf
        while gradient > TOLERANCE:
            if steps == MOST_STEPS:
                raise FloatingPointError(f"{name} has a gradient of {gradient:.1e} left.")
            # Out of NumPy no type is weak, so that the step is compiled once.
            state = jax.tree.map(np.asarray, state)
            params, state, gradient = step(params, state, free)
            steps += 1
        bound = -float(optax.tree.get(state, "value"))
        log_likelihood = float(mean_log_likelihood(params.generative, xs))
        return Fit(params, bound, log_likelihood, float(gradient), steps)

    return maximise
