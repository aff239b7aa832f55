"""Posteriors of one datum over a plane, families of q, and the law of their weights."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iwae_jax import (
    GenerativeModel,
    InferenceModel,
    LatentVariableModel,
    Params,
    densities,
    estimators,
    exact,
    flows,
    keys,
)
from iwae_jax.types import Array, Key, PyTree

LATENT = (2,)
WIDTH = (32,)


def _curved(z: Array) -> Array:
    """log N(z; 0, I) + log N(2.5; z_1^2 + z_2, 0.4^2): two arms of a parabola."""
    mean = z[0] ** 2 + z[1]
    likelihood = densities.gaussian_log_prob(mean, jnp.log(0.4), jnp.asarray(2.5, z.dtype))
    return densities.standard_gaussian_log_prob(z) + likelihood


def _linear(z: Array) -> Array:
    """log N(z; 0, I) + log N(1; z_1 + z_2, 0.3^2): a Gaussian of high correlation."""
    likelihood = densities.gaussian_log_prob(z[0] + z[1], jnp.log(0.3), jnp.asarray(1.0, z.dtype))
    return densities.standard_gaussian_log_prob(z) + likelihood


POSTERIORS: dict[str, Callable[[Array], Array]] = {"curved": _curved, "linear": _linear}


def _couplings(key: Key, num_blocks: int) -> list:
    mask, network = flows.halves(LATENT), flows.mlp(hidden_sizes=WIDTH, activation=jnp.tanh)
    # A smooth activation keeps the quadrature exact.
    return [
        flows.coupling(own, mask if index % 2 else ~mask, network=network)
        for index, own in enumerate(jax.random.split(key, 2 * num_blocks))
    ]


def _autoregressive(key: Key, num_layers: int) -> list:
    layers = []
    for own in jax.random.split(key, num_layers):
        layer = flows.inverse_autoregressive(own, LATENT, hidden_sizes=WIDTH, activation=jnp.tanh)
        layers += [layer, flows.permutation([1, 0])]
    return layers


def family(name: str, key: Key) -> tuple[flows.Flow, PyTree]:
    """A family of densities over the plane, at the start a unit Gaussian about a random place."""
    affine = flows.act_norm(LATENT)
    affine[1]["shift"] = jax.random.normal(key, LATENT, jnp.float32)
    layers = {
        "diagonal": lambda: [affine],
        "full": lambda: [flows.lu_linear(key, LATENT), affine],
        "realnvp": lambda: [*_couplings(key, 4), affine],
        "iaf": lambda: [*_autoregressive(key, 6), affine],
    }[name]()
    return flows.transformed(flows.standard_normal(LATENT), flows.chain(layers))


FAMILIES = ("diagonal", "full", "realnvp", "iaf")


def model_of(flow: flows.Flow, log_joint: Callable[[Array], Array]) -> LatentVariableModel:
    """The model of one datum, whose q is the flow."""
    return LatentVariableModel(
        GenerativeModel(log_joint=lambda theta, x, z: log_joint(z)),
        InferenceModel(
            encode=lambda phi, x: (),
            sample_and_log_prob=lambda key, phi, q: flow.sample_and_log_prob(key, phi),
            log_prob=lambda phi, q, z: flow.log_prob(phi, z),
            reparameterised=True,
        ),
    )


class Fitted(NamedTuple):
    """A q that has been trained.

    Attributes:
      flow: the flow.
      phi: its parameters.
    """

    flow: flows.Flow
    phi: PyTree


def fit(
    name: str,
    log_joint: Callable[[Array], Array],
    *,
    seed: int,
    num_samples: int,
    num_steps: int,
    batch_size: int,
    num_restarts: int,
) -> Fitted:
    """Raises L_K of one datum by its doubly reparameterised gradient; the best of some starts."""
    starts = jax.random.split(keys.tagged(jax.random.key(seed), keys.INITIALISATION), num_restarts)
    built = [family(name, start) for start in starts]
    flow, phis = built[0][0], [phi for _, phi in built]
    run = partial(estimators.dreg, model=model_of(flow, log_joint), num_samples=num_samples)
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, num_steps))

    def loss(phi: PyTree, key: Key) -> Array:
        draws = jax.vmap(keys.example, (None, 0))(key, jnp.arange(batch_size))
        return -jnp.mean(jax.vmap(lambda draw: run(draw, Params((), phi), ())[0])(draws))

    def train(phi: PyTree, start: Key) -> tuple[PyTree, Array]:
        def update(state: tuple, step: Array) -> tuple[tuple, Array]:
            phi, optimizer_state = state
            value, slope = jax.value_and_grad(loss)(phi, keys.step(start, step))
            updates, optimizer_state = optimizer.update(slope, optimizer_state)
            return (optax.apply_updates(phi, updates), optimizer_state), value

        steps = jnp.arange(num_steps)
        (phi, _), values = jax.lax.scan(update, (phi, optimizer.init(phi)), steps)
        return phi, jnp.mean(values[-(num_steps // 10 + 1) :])

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *phis)
    trained, losses = jax.jit(jax.vmap(train))(stacked, starts)
    best = int(jnp.nanargmin(losses))
    return Fitted(flow, jax.tree.map(lambda leaf: leaf[best], trained))


def weight_law(
    flow: flows.Flow, phi: PyTree, log_joint: Callable[[Array], Array], *, num_nodes: int
) -> exact.WeightLaw:
    """The law of log w, by a rule over the flow's own latent, where q is always a normal."""
    nodes, probs = exact.trapezoid(num_nodes)
    latents = jnp.asarray(np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2))
    log_probs = np.log(probs)
    mass = jnp.asarray((log_probs[:, None] + log_probs).ravel())

    def log_weight(u: Array) -> Array:
        z, log_det = flow.forward_and_log_det(phi, u)
        return log_joint(z) - densities.standard_gaussian_log_prob(u) + log_det

    return exact.WeightLaw(jax.lax.map(log_weight, latents, batch_size=4096), mass)
