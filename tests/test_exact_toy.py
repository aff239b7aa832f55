"""The Gaussian toy: its builder, and the law of its log-weight."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import Params, exact, models

expect = np.testing.assert_allclose

KNOWN = {
    1: -31.580200,
    4: -31.236962,
    16: -31.150569,
    64: -31.129123,
    256: -31.123780,
    1024: -31.122445,
    5000: -31.122092,
    1_000_000: -31.122001,
}


def deterministic_toy(size=20, shift=0.0):
    """A toy with 8 data, all from formulas; `shift` takes q away from the posterior."""
    n, d, e = np.arange(8)[:, None], np.arange(size), np.arange(size)
    mean = 0.1 * np.cos(d)
    weight = 0.5 * np.eye(size) + 0.01 * np.cos(d[:, None] + 2 * e)
    phi = {"weight": weight, "bias": 0.5 * mean + 0.01 * np.sin(d) + shift}
    params = jax.tree.map(jnp.array, Params({"mean": mean}, phi))
    return params, jnp.array(1.5 * np.sin(1 + 3 * n + 7 * d))


@jax.jit
def bound(params, x, num_samples):
    return exact.iwae(exact.gaussian_toy_law(params, x), num_samples=num_samples)


@jax.jit
def mean_bound(params, xs, num_samples):
    return jnp.mean(jax.lax.map(lambda x: bound(params, x, num_samples), xs))


gradient_of_bound = jax.jit(jax.grad(bound))


def test_the_bounds_of_the_deterministic_toy(float64):
    params, xs = deterministic_toy()
    for num_samples, value in KNOWN.items():
        expect(mean_bound(params, xs, num_samples), value, atol=1e-6)
    log_p = jax.vmap(partial(exact.gaussian_toy_log_likelihood, params.generative))(xs)
    expect(jnp.mean(log_p), -31.122001, atol=1e-6)
    evidence = jax.jit(lambda x: exact.log_evidence(exact.gaussian_toy_law(params, x)))
    for n in range(8):
        expect(evidence(xs[n]), log_p[n], rtol=1e-14)


@pytest.mark.parametrize("size", [1, 2])
def test_the_law_is_that_of_the_model(float64, size):
    """Against a grid over z, which knows nothing of chi-squared or of reparameterisation."""
    model, _ = models.gaussian_toy(jax.random.key(0), size=size)
    params, xs = deterministic_toy(size, shift=0.5)
    x = xs[1]
    side = jnp.linspace(-12.0, 12.0, 601 if size == 1 else 121)
    nodes = jnp.stack(jnp.meshgrid(*[side] * size), axis=-1).reshape(-1, size)
    volumes = jnp.full(len(nodes), size * jnp.log(side[1] - side[0]))

    @jax.jit
    @jax.value_and_grad
    def by_grid(params):
        law = exact.quadrature_law(params, x, model=model, nodes=nodes, log_volumes=volumes)
        return exact.iwae(law, num_samples=5)

    value, gradient = by_grid(params)
    expect(bound(params, x, 5), value, rtol=1e-13)
    jax.tree.map(partial(expect, atol=1e-12), gradient_of_bound(params, x, 5), gradient)


@pytest.mark.parametrize("num_samples", [3, 1_000_000])
def test_gradient_is_that_of_finite_differences(float64, num_samples):
    params, xs = deterministic_toy(6, shift=0.2)
    value = lambda params: bound(params, xs[0], num_samples)
    gradient = gradient_of_bound(params, xs[0], num_samples)
    leaves, structure = jax.tree.flatten(params)
    for index, leaf in enumerate(leaves):
        direction = jnp.cos(1.0 + np.arange(leaf.size)).reshape(leaf.shape)
        moved = lambda step, index=index, leaf=leaf, direction=direction: structure.unflatten(
            [*leaves[:index], leaf + step * direction, *leaves[index + 1 :]]
        )
        slope = (value(moved(1e-5)) - value(moved(-1e-5))) / 2e-5
        found = jnp.sum(jax.tree.leaves(gradient)[index] * direction)
        expect(found, slope, rtol=1e-7, atol=1e-9)


def test_the_best_phi_is_a_stationary_point(float64):
    """There the means agree, where a distance has no derivative of its own."""
    params, xs = deterministic_toy(6)
    best = {"weight": 0.5 * jnp.eye(6), "bias": 0.5 * params.generative["mean"]}
    params = params._replace(inference=best)
    gradient = gradient_of_bound(params, xs[0], 10)
    for leaf in jax.tree.leaves(gradient.inference):
        expect(leaf, 0.0, atol=1e-14)
    log_p = lambda theta: exact.gaussian_toy_log_likelihood(theta, xs[0])
    value, slope = jax.jit(jax.value_and_grad(log_p))(params.generative)
    expect(gradient.generative["mean"], slope["mean"], atol=1e-13)
    assert bound(params, xs[0], 10) < value


@partial(jax.jit, static_argnums=2)
def bounds(params, x, num_nodes):
    law = exact.gaussian_toy_law(params, x, num_nodes=num_nodes)
    exactly = [exact.iwae(law, num_samples=2), exact.cubo(law, order=2), exact.log_evidence(law)]
    return jnp.array(exactly)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.3])
@pytest.mark.parametrize("size", [2, 20, 200])
def test_the_rule_does_not_depend_on_its_nodes(float64, size, distance):
    params = Params(
        {"mean": jnp.zeros(size)},
        {"weight": 0.5 * jnp.eye(size), "bias": jnp.zeros(size).at[0].set(distance)},
    )
    x = jnp.ones(size)
    coarse = bounds(params, x, 128)
    expect(coarse, bounds(params, x, 200), atol=2e-11)
    # log E w^2 from the normal integrals: 5/6 and 1/2 are halves of the precisions of g and r.
    cubo = -0.5 * size * jnp.log(5.0 / 3.0) + size * jnp.log(4.0 / 3.0) + 1.2 * distance**2
    log_p = exact.gaussian_toy_log_likelihood(params.generative, x)
    expect(coarse[1:], [log_p + 0.5 * cubo, log_p], rtol=1e-13)


def test_a_rule_that_is_too_coarse_is_refused(float64):
    params, xs = deterministic_toy(3, shift=5.0)
    with pytest.raises(ValueError, match="num_nodes"):
        exact.gaussian_toy_law(params, xs[0])
    assert jnp.isnan(bound(params, xs[0], 2))
    fine = exact.gaussian_toy_law(params, xs[0], num_nodes=800)
    assert jnp.isfinite(exact.elbo(fine))


def test_the_toy_has_sane_parts(float64):
    model, params = models.gaussian_toy(jax.random.key(0), size=3)
    x = jnp.array([0.5, -1.0, 2.0])
    theta, phi, _ = params
    assert jnp.abs(phi["weight"] - 0.5 * jnp.eye(3)).max() < 0.1
    assert jnp.abs(phi["bias"] - 0.5 * theta["mean"]).max() < 0.1
    q = model.inference.encode(phi, x)
    z, log_q = model.inference.sample_and_log_prob(jax.random.key(2), phi, q)
    expect(log_q, model.inference.log_prob(phi, q, z), rtol=1e-12)
    generative = model.generative
    parts = generative.log_likelihood(theta, x, z) + generative.log_prior(theta, z)
    expect(generative.log_joint(theta, x, z), parts, rtol=1e-14)
    noise = generative.prior_to_noise(theta, z)
    expect(generative.prior_from_noise(theta, noise), z, rtol=1e-14)
    for sample in (
        generative.sample_prior(jax.random.key(3), theta),
        generative.sample_likelihood(jax.random.key(3), theta, z),
    ):
        assert sample.shape == x.shape
    with pytest.raises(ValueError, match="size"):
        models.gaussian_toy(jax.random.key(0), size=0)


def test_float32_is_refused():
    with jax.enable_x64(False):
        params, xs = deterministic_toy(3)
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
        with pytest.raises(TypeError, match="float64"):
            exact.gaussian_toy_law(params, xs[0])
        with pytest.raises(TypeError, match="float64"):
            exact.gaussian_toy_log_likelihood(params.generative, xs[0])
