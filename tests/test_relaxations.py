"""Relaxations of discrete latents: what their directions are, and how far from the ELBO's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds, densities, estimators, exact
from tests.oracles import bernoulli_latents, categorical_latent
from tests.test_estimators import assert_trees_close
from tests.test_relaxed_estimators import assert_exact, bound_gradient, expectation, probabilities


def relaxed_bernoulli_gradient(setting, temperature):
    """Derivative in q's logit of E f at the relaxed sample, by a rule of its own."""
    model, params, x, _ = setting
    log_q = lambda z: densities.bernoulli_log_prob(params.inference * x, z)
    t, width = jnp.linspace(-40.0, 40.0, 8001, retstep=True)
    mass = jax.nn.sigmoid(t) * jax.nn.sigmoid(-t) * width

    def mean(phi):
        z = jax.nn.sigmoid((phi * x + t[:, None]) / temperature)
        f = lambda z: model.generative.log_joint(params.generative, x, z) - log_q(z)
        return mass @ jax.vmap(f)(z)

    return jax.grad(mean)(params.inference)


def test_gumbel_softmax_has_the_gradient_of_the_relaxed_objective(float64):
    """Its exact bias against the gradient of the ELBO, which vanishes with the temperature."""
    setting = bernoulli_latents(1)
    rules = [[exact.tanh_sinh(80, breakpoints=[1.0 - p]) for p in probabilities(setting)]]
    value, unbiased = bound_gradient(bounds.elbo, 1, setting)
    biases = []
    for temperature in (1.0, 0.25, 0.1):
        run = partial(estimators.gumbel_softmax, temperature=temperature)
        result = expectation(run, 1, setting, rules)
        np.testing.assert_allclose(result[0], value, rtol=1e-10)
        assert_trees_close(result[1].generative, unbiased.generative, 1e-10)
        expected = relaxed_bernoulli_gradient(setting, temperature)
        assert_trees_close(result[1].inference, expected, 1e-8)
        biases.append(float((result[1].inference - unbiased.inference)[0]))
    np.testing.assert_allclose(biases, [-0.0984582007, 0.0223766861, 0.0144362352], rtol=1e-6)


def test_gumbel_softmax_of_categorical_latents(float64):
    """Two states: the softmax of two Gumbel variables is the sigmoid of one logistic."""
    model, params, x, _ = setting = categorical_latent(2)
    run = partial(estimators.gumbel_softmax, temperature=0.5)
    _, gradient = expectation(run, 1, setting, [[exact.tanh_sinh(160)] * 2])
    t, width = jnp.linspace(-40.0, 40.0, 8001, retstep=True)
    mass = jax.nn.sigmoid(t) * jax.nn.sigmoid(-t) * width

    def mean(phi):
        first = jax.nn.sigmoid((x * (phi[0] - phi[1]) + t) / 0.5)
        z = jnp.stack([first, 1.0 - first], axis=-1)[:, None]
        log_q = lambda z: densities.categorical_log_prob(x * params.inference[None], z)
        f = lambda z: model.generative.log_joint(params.generative, x, z) - log_q(z)
        return mass @ jax.vmap(f)(z)

    assert_trees_close(gradient.inference, jax.grad(mean)(params.inference), 1e-6)


def test_gumbel_softmax_samples_the_categorical_latent():
    """theta sees states drawn with their probabilities: a chi-squared test of three cells."""
    model, params, x, _ = categorical_latent(3)
    run = partial(estimators.gumbel_softmax, model=model, num_samples=20_000, temperature=0.5)
    log_weights = run(jax.random.key(0), params, x)[1]
    states = jnp.eye(3)[:, None]
    q = model.inference.encode(params.inference, x)
    of_state = jnp.stack(
        [
            model.generative.log_joint(params.generative, x, z)
            - densities.categorical_log_prob(q.logits, z)
            for z in states
        ]
    )
    counts = jnp.sum(jnp.abs(log_weights[:, None] - of_state) < 1e-4, axis=0).astype(x.dtype)
    expected = 20_000 * jax.nn.softmax(q.logits[0])
    assert counts.sum() == 20_000
    assert float(jnp.sum((counts - expected) ** 2 / expected)) < 13.8  # p = 0.001


@pytest.mark.parametrize(
    ("build", "size", "num_samples", "expected_bias"),
    [(bernoulli_latents, 2, 2, 0.0970272719), (categorical_latent, 3, 1, 0.2466511067)],
)
def test_straight_through_has_its_exact_bias(float64, build, size, num_samples, expected_bias):
    setting = build(size)
    model, params, x, latents = setting
    value, gradient = exact.finite_expectation(
        params, x, estimator=estimators.straight_through, model=model, num_samples=num_samples,
        latents=latents,
    )  # fmt: skip
    expected = bound_gradient(bounds.elbo, num_samples, setting)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    assert_trees_close(gradient.generative, expected[1].generative, 1e-10)
    bias = jnp.linalg.norm(gradient.inference - expected[1].inference)
    np.testing.assert_allclose(bias, expected_bias, rtol=1e-8)


def test_straight_through_is_exact_where_the_weight_is_linear(float64):
    """A posterior known up to its logits: f is linear in z."""
    model, params, x, states = bernoulli_latents(2)
    linear = lambda theta, x, z: x * theta["prior"] @ z
    setting = (
        model._replace(generative=model.generative._replace(log_joint=linear)), params, x, states
    )  # fmt: skip
    result = exact.finite_expectation(
        params, x, estimator=estimators.straight_through, model=setting[0], num_samples=1,
        latents=states,
    )  # fmt: skip
    assert_exact(result, bound_gradient(bounds.elbo, 1, setting))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(temperature):
    model, params, x, _ = bernoulli_latents(2)
    with pytest.raises(ValueError, match="temperature"):
        estimators.gumbel_softmax(
            jax.random.key(0), params, x, model=model, num_samples=2, temperature=temperature
        )
