"""Exact expectations of estimators, through the estimators' own code."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import keys


def gauss_hermite(num_nodes):
    """Nodes and weights of an expectation under N(0, 1), exact for polynomials."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    return nodes, weights / weights.sum()


def trapezoid(num_nodes, half_width=9.0):
    """Nodes and weights under N(0, 1), best where a logarithm has poles near the real line."""
    nodes = np.linspace(-half_width, half_width, num_nodes)
    weights = np.exp(-0.5 * nodes**2)
    return nodes, weights / weights.sum()


def expected_gradient(estimator, params, x, *, model, num_samples, latent_size, rule):
    """Expectation of an estimator's value and gradient over the K * k normals it draws.

    The model's sampler is handed its noise: it looks its key up among the keys that the key tree
    gives to the samples, and returns nan for any other key, so that a reused or invented key
    cannot go unseen.
    """
    example_key = jax.random.key(17)
    known = jax.random.key_data(keys.samples(example_key, num_samples))
    nodes, node_weights = rule
    dimension = num_samples * latent_size
    grid = np.array(list(itertools.product(range(len(nodes)), repeat=dimension)))
    noises = jnp.array(nodes[grid].reshape(len(grid), num_samples, latent_size))
    grid_weights = jnp.array(node_weights[grid].prod(axis=1))

    def value_and_gradient(noise):
        def sample_and_log_prob(key, phi, q):
            is_known = jnp.all(known == jax.random.key_data(key), axis=-1)
            epsilon = jnp.where(jnp.any(is_known), noise[jnp.argmax(is_known)], jnp.nan)
            scale_tril = jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))
            z = q + scale_tril @ epsilon
            return z, model.inference.log_prob(phi, q, z)

        inference = model.inference._replace(sample_and_log_prob=sample_and_log_prob)
        run = partial(estimator, model=model._replace(inference=inference), num_samples=num_samples)
        return jax.value_and_grad(lambda params: run(example_key, params, x)[0])(params)

    @jax.jit
    def expectation():
        values = jax.lax.map(value_and_gradient, noises, batch_size=1024)
        return jax.tree.map(lambda leaf: jnp.tensordot(grid_weights, leaf, 1), values)

    return expectation()


def quadrature_bound(params, x, *, model, num_samples, half_width=9.0, num_points=600):
    """L_K of a model with one scalar latent, by quadrature over z: nothing is reparameterised."""
    q = model.inference.encode(params.inference, x)
    scale = jnp.exp(params.inference["tril"][0, 0])
    center, width = jax.lax.stop_gradient(q[0]), jax.lax.stop_gradient(scale)
    z = center + width * jnp.linspace(-half_width, half_width, num_points)
    log_q = jax.vmap(lambda z: model.inference.log_prob(params.inference, q, z[None]))(z)
    log_joint = jax.vmap(lambda z: model.generative.log_joint(params.generative, x, z[None]))(z)
    mass, log_w = jnp.exp(log_q) * (z[1] - z[0]), log_joint - log_q
    if num_samples == 1:
        return mass @ log_w
    pairs = jnp.logaddexp(log_w[:, None], log_w[None, :]) - jnp.log(2.0)
    return mass @ pairs @ mass
