"""Every estimator against the exact gradient of its bound, through its own code."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import Params, densities, estimators, exact, latent_variable_model, models, weights
from tests.oracles import expected_gradient, gauss_hermite, quadrature_bound, trapezoid

UNBIASED = {"pathwise": estimators.pathwise}


@pytest.fixture(params=UNBIASED.values(), ids=UNBIASED)
def estimator(request):
    return request.param


def linear_gaussian(data_size, latent_size):
    model, params = models.linear_gaussian(
        jax.random.key(5), data_size=data_size, latent_size=latent_size
    )
    # Off the posterior, but near enough for a Gauss-Hermite rule to be exact to rounding.
    params = jax.tree.map(lambda leaf: 0.4 * leaf, params)
    return model, params, jnp.arange(1.0, data_size + 1.0)


def assert_trees_close(actual, expected, tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0.0, atol=tolerance), actual, expected
    )


@pytest.mark.usefixtures("float64")
def test_one_sample_has_the_exact_gradient_of_the_elbo(estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    value, gradient = expected_gradient(
        estimator, params, x, model=model, num_samples=1, latent_size=2, rule=gauss_hermite(5)
    )
    expected = jax.value_and_grad(exact.linear_gaussian_elbo)(params, x)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    # A gradient that is zero would hide a wrong sign.
    assert all(jnp.any(jnp.abs(leaf) > 0.05) for leaf in jax.tree.leaves(expected[1]))
    assert_trees_close(gradient, expected[1], 1e-10)


@pytest.mark.usefixtures("float64")
def test_two_samples_have_the_exact_gradient_of_the_bound(estimator):
    model, params, x = linear_gaussian(data_size=2, latent_size=1)
    value, gradient = expected_gradient(
        estimator, params, x, model=model, num_samples=2, latent_size=1, rule=trapezoid(200)
    )
    bound = partial(quadrature_bound, model=model, num_samples=2)
    expected = jax.jit(jax.value_and_grad(bound))(params, x)
    np.testing.assert_allclose(value, expected[0], atol=1e-9)
    assert_trees_close(gradient, expected[1], 1e-8)


def test_the_bound_lies_under_log_p_rises_with_k_and_nears_it(float64, estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
    draws = jax.random.split(jax.random.key(0), 20_000)
    means, errors = [], []
    for num_samples in (1, 2, 8, 32):
        run = partial(estimator, model=model, num_samples=num_samples)
        bounds = jax.jit(jax.vmap(lambda key, run=run: run(key, params, x)[0]))(draws)
        means.append(float(bounds.mean()))
        errors.append(float(bounds.std()) / np.sqrt(len(draws)))
    np.testing.assert_allclose(
        means[0], exact.linear_gaussian_elbo(params, x), atol=4.0 * errors[0]
    )
    assert np.all(np.diff(means) > 4.0 * np.hypot(errors[1:], errors[:-1]))
    assert means[-1] < log_p
    assert log_p - means[-1] < 0.1 * (log_p - means[0])


def test_a_posterior_gives_log_p_at_every_k_with_no_variance(float64, estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    params = params._replace(inference=exact.linear_gaussian_posterior(params.generative))
    log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
    for num_samples in (1, 2, 7):
        run = jax.vmap(partial(estimator, model=model, num_samples=num_samples), (0, None, None))
        bounds, log_weights = run(jax.random.split(jax.random.key(0), 50), params, x)
        np.testing.assert_allclose(bounds, log_p, rtol=1e-12)
        np.testing.assert_allclose(log_weights, log_p, rtol=1e-12)


def test_value_and_log_weights_belong_together(estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    bound, log_weights = estimator(jax.random.key(0), params, x, model=model, num_samples=4)
    assert bound.shape == ()
    assert log_weights.shape == (4,)
    np.testing.assert_allclose(bound, np.log(np.mean(np.exp(log_weights))), rtol=1e-5)


def test_every_way_of_taking_samples_gives_the_same_gradient(estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    gradients = [
        jax.jit(
            jax.grad(
                lambda params, way=way: estimator(
                    jax.random.key(0), params, x, model=model, num_samples=6, over_samples=way
                )[0]
            )
        )(params)
        for way in (weights.at_once, weights.chunked(4))
    ]
    assert_trees_close(*gradients, 1e-5)


def test_gradient_of_a_batch_is_the_mean_of_the_gradients(estimator):
    model, params, _ = linear_gaussian(data_size=3, latent_size=2)
    xs, draws = jax.random.normal(jax.random.key(1), (4, 3)), jax.random.split(jax.random.key(2), 4)
    run = partial(estimator, model=model, num_samples=5)
    objective = lambda params: jnp.mean(jax.vmap(run, (0, None, 0))(draws, params, xs)[0])
    loop = [
        jax.grad(lambda params, key=key, x=x: run(key, params, x)[0])(params)
        for key, x in zip(draws, xs, strict=True)
    ]
    mean = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), axis=0), *loop)
    assert_trees_close(jax.jit(jax.grad(objective))(params), mean, 1e-4)


def test_no_tracer_leaks_and_float32_stays_float32(estimator):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, x))
    objective = lambda params: estimator(jax.random.key(0), params, x, model=model, num_samples=3)[
        0
    ]
    with jax.checking_leaks():
        value, gradient = jax.jit(jax.value_and_grad(objective))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((value, gradient))} == {jnp.dtype("float32")}


@pytest.mark.parametrize("reparameterised", [False, (True, False), {"a": True, "b": False}])
def test_samples_that_are_not_reparameterised_are_refused(reparameterised):
    model = latent_variable_model(
        log_joint=lambda theta, x, z: densities.bernoulli_log_prob(theta, z),
        sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
        log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
        reparameterised=reparameterised,
    )
    params = Params(jnp.zeros(2), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"pathwise.*score-function"):
        estimators.pathwise(jax.random.key(0), params, None, model=model, num_samples=3)


@pytest.mark.parametrize("reparameterised", [1, None, "yes", (), (True, 0)])
def test_a_model_says_whether_it_is_reparameterised_in_bools(reparameterised):
    formula = lambda *args: jnp.zeros(())
    with pytest.raises(TypeError, match="reparameterised"):
        latent_variable_model(
            log_joint=formula,
            sample_posterior=formula,
            log_posterior=formula,
            reparameterised=reparameterised,
        )
