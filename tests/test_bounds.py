"""Bounds on log-weights, against arithmetic that is exact or done without logarithms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds

BOUNDS = {"elbo": bounds.elbo, "iwae": bounds.iwae}
LOG_WEIGHTS = np.array([0.3, -1.2, 2.0, 0.1, -0.4])


@pytest.fixture(params=BOUNDS.values(), ids=BOUNDS)
def bound(request):
    return request.param


def test_values_are_those_of_the_formulas():
    np.testing.assert_allclose(bounds.elbo(jnp.array(LOG_WEIGHTS)), LOG_WEIGHTS.mean(), rtol=1e-6)
    np.testing.assert_allclose(
        bounds.iwae(jnp.array(LOG_WEIGHTS)), np.log(np.exp(LOG_WEIGHTS).mean()), rtol=1e-6
    )


def test_gradients_are_the_weights_of_the_samples():
    softmax = np.exp(LOG_WEIGHTS) / np.exp(LOG_WEIGHTS).sum()
    np.testing.assert_allclose(jax.grad(bounds.elbo)(jnp.array(LOG_WEIGHTS)), 0.2, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(bounds.iwae)(jnp.array(LOG_WEIGHTS)), softmax, rtol=1e-6)


def test_one_sample_gives_its_own_log_weight(bound):
    assert bound(jnp.array([-3.5])) == -3.5


def test_equal_weights_give_the_common_log_weight(bound):
    np.testing.assert_allclose(bound(jnp.full(7, -2.5)), -2.5, rtol=1e-6)


def test_a_common_factor_of_the_weights_is_added(bound):
    shifted = bound(jnp.array(LOG_WEIGHTS) - 1e4)
    np.testing.assert_allclose(shifted, bound(jnp.array(LOG_WEIGHTS)) - 1e4, rtol=1e-6)


def test_elbo_is_at_most_iwae():
    draws = 10.0 * jax.random.normal(jax.random.key(0), (1000, 6))
    assert jnp.all(jax.vmap(bounds.elbo)(draws) <= jax.vmap(bounds.iwae)(draws))


@pytest.mark.parametrize("size", range(1, 5))
def test_iwae_does_not_fall_as_samples_are_added(float64, size):
    """Exactly: the average over all subsets of M samples is at most the bound of all K."""
    weights = jnp.array(LOG_WEIGHTS)
    subsets = jnp.array(list(itertools.combinations(range(5), size)))
    assert jnp.mean(jax.vmap(bounds.iwae)(weights[subsets])) < bounds.iwae(weights)


def test_all_weights_zero_is_minus_infinity_with_gradient_zero(bound):
    value, gradient = jax.value_and_grad(bound)(jnp.full(3, -jnp.inf))
    assert value == -jnp.inf
    np.testing.assert_array_equal(gradient, 0.0)


def test_a_weight_of_zero_takes_no_part_in_iwae():
    value, gradient = jax.value_and_grad(bounds.iwae)(jnp.array([-jnp.inf, 0.0, 0.0]))
    np.testing.assert_allclose(value, np.log(2.0 / 3.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.0, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_log_weights_stay_finite(bound, extreme):
    value, gradient = jax.value_and_grad(bound)(jnp.array([extreme, 0.0]))
    assert jnp.isfinite(value)
    np.testing.assert_allclose(gradient.sum(), 1.0, rtol=1e-6)


def test_more_axes_than_the_samples_are_refused(bound):
    with pytest.raises(AssertionError, match="rank"):
        bound(jnp.zeros((2, 3)))


def test_jit_and_vmap_agree_with_the_loop(bound):
    draws = jax.random.normal(jax.random.key(1), (4, 6))
    loop = jnp.stack([bound(row) for row in draws])
    np.testing.assert_allclose(jax.jit(jax.vmap(bound))(draws), loop, rtol=1e-6)
