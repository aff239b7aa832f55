"""Estimators that know q: their exact expectation over the noise, through their own code."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds, estimators, exact
from tests.oracles import (
    bernoulli_latents,
    enumerated_bound,
    gaussian_latents,
)
from tests.test_estimators import assert_trees_close

REBAR_CONTROL = {"log_temperature": np.log(0.5), "scale": np.array(0.8)}
RELAX_CONTROL = {"slope": np.array([0.7, -0.4]), "curve": np.array(0.3)}


def control_variate(psi, x, z):
    relaxed = jax.nn.sigmoid(z)
    return x * psi["slope"][: z.size] @ relaxed + psi["curve"] * jnp.sum(relaxed**2)


relax = partial(estimators.relax, control_variate=control_variate)


def bound_gradient(bound, num_samples, setting):
    model, params, x, latents = setting
    oracle = partial(
        enumerated_bound, model=model, latents=latents, num_samples=num_samples, bound=bound
    )
    value, gradient = jax.jit(jax.value_and_grad(oracle))(params, x)
    assert jnp.all(jnp.abs(gradient.inference) > 0.01)
    return value, gradient


def expectation(estimator, num_samples, setting, rules):
    model, params, x, _ = setting
    run = partial(
        exact.uniform_expectation, estimator=estimator, model=model, num_samples=num_samples,
        rules=rules,
    )  # fmt: skip
    return jax.jit(run)(params, x)


def probabilities(setting):
    model, params, x, _ = setting
    return np.asarray(jax.nn.sigmoid(model.inference.encode(params.inference, x).logits))


def assert_exact(result, expected, tolerance=1e-10):
    np.testing.assert_allclose(result[0], expected[0], atol=tolerance)
    assert_trees_close(result[1]._replace(control=()), expected[1]._replace(control=()), tolerance)


@pytest.mark.parametrize(
    ("estimator", "num_samples", "bound"),
    [
        (estimators.disarm, 2, bounds.elbo),
        (estimators.disarm, 4, bounds.elbo),
        (estimators.disarm_iwae, 1, bounds.elbo),
        (estimators.disarm_iwae, 2, bounds.iwae),
        (estimators.disarm_iwae, 3, bounds.iwae),
    ],
)
def test_antithetic_pairs_have_the_exact_gradient(float64, estimator, num_samples, bound):
    setting = bernoulli_latents(2)
    rules = [[exact.gauss_legendre(1, breakpoints=[p, 1.0 - p]) for p in probabilities(setting)]]
    result = expectation(estimator, num_samples, setting, rules)
    assert_exact(result, bound_gradient(bound, num_samples, setting))


def relaxed_rules(setting, num_nodes):
    own = [exact.gauss_legendre(num_nodes, breakpoints=[1.0 - p]) for p in probabilities(setting)]
    return [own, [exact.gauss_legendre(num_nodes)] * len(own)]


CONTROLLED = {
    "rebar": (estimators.rebar, REBAR_CONTROL),
    "relax": (relax, RELAX_CONTROL),
}


@pytest.mark.parametrize("name", CONTROLLED)
@pytest.mark.parametrize(("size", "num_nodes"), [(1, 24), (2, 9)])
def test_control_variates_leave_the_gradient_exact(float64, name, size, num_nodes):
    estimator, control = CONTROLLED[name]
    model, params, x, states = bernoulli_latents(size)
    setting = (model, params._replace(control=jax.tree.map(jnp.asarray, control)), x, states)
    result = expectation(estimator, 1, setting, relaxed_rules(setting, num_nodes))
    assert_exact(result, bound_gradient(bounds.elbo, 1, setting), 1e-10 if size == 1 else 1e-7)


@pytest.mark.parametrize("name", CONTROLLED)
def test_control_variates_climb_minus_the_mean_square(float64, name):
    """Their direction against differences of E |g|^2, each g a gradient through the estimator."""
    estimator, control = CONTROLLED[name]
    model, params, x, states = bernoulli_latents(1)

    def square(key, params, x, **options):
        logit_gradient = jax.grad(
            lambda phi: estimator(key, params._replace(inference=phi), x, **options)[0]
        )(params.inference)
        return jnp.sum((logit_gradient / x) ** 2), ()

    rules = relaxed_rules((model, params, x, states), 24)
    leaves, structure = jax.tree.flatten(control)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    @jax.jit
    def mean_square(leaves):
        moved = params._replace(control=jax.tree.unflatten(structure, leaves))
        return exact.uniform_expectation(
            moved, x, estimator=square, model=model, num_samples=1, rules=rules
        )[0]

    _, gradient = expectation(
        estimator,
        1,
        (model, params._replace(control=jax.tree.map(jnp.asarray, control)), x, states),
        rules,
    )
    step = 1e-4
    for index, direction in enumerate(jax.tree.leaves(gradient.control)):
        entry = jnp.zeros(leaves[index].shape).ravel().at[:1].set(step).reshape(leaves[index].shape)
        up, down = list(leaves), list(leaves)
        up[index], down[index] = leaves[index] + entry, leaves[index] - entry
        slope = (mean_square(up) - mean_square(down)) / (2.0 * step)
        assert abs(slope) > 1e-3
        np.testing.assert_allclose(direction.ravel()[0], -slope, rtol=1e-5)


def gaussian_elbo_gradient(setting):
    model, params, x = setting
    rule = exact.gauss_hermite(12)
    from_noise = lambda phi, q, noise: q.mean + jnp.exp(q.log_scale) * noise
    run = partial(
        exact.gaussian_expectation, estimator=estimators.pathwise, model=model, num_samples=1,
        from_noise=from_noise, noise_size=params.inference["mean"].size, rule=rule,
    )  # fmt: skip
    return jax.jit(run)(params, x)


def test_measure_valued_has_the_exact_gradient(float64):
    """One latent: the Rayleigh half of the noise serves the mean, the Maxwell half the scale."""
    setting = model, params, x = gaussian_latents(1)
    _, expected = gaussian_elbo_gradient(setting)
    fine, one = exact.tanh_sinh(40), exact.gauss_legendre(1)
    run = partial(expectation, estimators.measure_valued, 1, (model, params, x, None))
    # The sample's own noise is the model's: any will do.
    for_mean = run([[one], [fine, one, one, one]])[1].inference["mean"]
    for_scale = run([[one], [one, fine, fine, exact.gauss_legendre(4)]])[1].inference["log_scale"]
    np.testing.assert_allclose(for_mean, expected.inference["mean"], atol=1e-8)
    np.testing.assert_allclose(for_scale, expected.inference["log_scale"], atol=1e-8)


def test_measure_valued_leaves_the_other_components(float64):
    setting = model, params, x = gaussian_latents(2)
    value, expected = gaussian_elbo_gradient(setting)
    run = lambda key: jax.value_and_grad(
        lambda params: estimators.measure_valued(key, params, x, model=model, num_samples=2)[0]
    )(params)
    values, draws = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 40_000))

    def assert_near(draws, expected):
        error = draws.std(0) / np.sqrt(len(draws))
        assert np.all(error < 0.05)
        assert np.all(np.abs(draws.mean(0) - expected) < 4.0 * error)

    assert_near(values, value)
    jax.tree.map(assert_near, draws, expected)


NAMES = ("disarm", "disarm_iwae", "rebar", "relax", "gumbel_softmax", "straight_through")


@pytest.mark.parametrize("name", [*NAMES, "measure_valued"])
def test_another_distribution_is_refused(name):
    options = {
        "relax": {"control_variate": control_variate},
        "gumbel_softmax": {"temperature": 1.0},
    }
    model, params, x = gaussian_latents(2)
    if name == "measure_valued":
        model, params, x, _ = bernoulli_latents(2)
    with pytest.raises(ValueError, match=rf"{name} needs .*Latents.*vimco_arithmetic"):
        getattr(estimators, name)(
            jax.random.key(0), params, x, model=model, num_samples=2, **options.get(name, {})
        )


@pytest.mark.parametrize("num_samples", [0, 1, 3])
def test_disarm_takes_pairs(num_samples):
    model, params, x, _ = bernoulli_latents(2)
    with pytest.raises(ValueError, match="even"):
        estimators.disarm(jax.random.key(0), params, x, model=model, num_samples=num_samples)
