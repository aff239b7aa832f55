"""Estimates on log-weights that are not bounds, against enumeration and closed forms."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds

LOG_WEIGHTS = np.array([0.3, -1.2, 2.0, 0.1, -0.4])

SUMO_AND_GRADIENT = jax.jit(
    jax.value_and_grad(lambda x, number: bounds.sumo(x, num_terms=number, max_terms=3))
)


def log_mean(log_weights):
    return np.log(np.exp(log_weights).mean())


def paper_survival(max_terms):
    return np.array([1 / k if k < 80 else 0.9 ** (k - 80) / 80 for k in range(1, max_terms + 1)])


def log_normal_draws(number, num_samples):
    """Log-weights of variance 1 with log p(x) = 0."""
    return jax.random.normal(jax.random.key(0), (number, num_samples)) - 0.5


def test_jackknife_is_its_formula_over_all_subsets(float64):
    log_weights, size = LOG_WEIGHTS[:4], 4
    for order in range(size):
        expected = 0.0
        for j in range(order + 1):
            subsets = itertools.combinations(log_weights, size - j)
            scale = (-1) ** j * (size - j) ** order / math.factorial(order - j) / math.factorial(j)
            expected += scale * np.mean([log_mean(np.array(subset)) for subset in subsets])
        value = jax.jit(partial(bounds.jackknife, order=order))(log_weights)
        np.testing.assert_allclose(value, expected, rtol=1e-11)


@pytest.mark.parametrize("order", range(3))
def test_jackknife_leaves_a_bias_of_one_order_higher(float64, order):
    """Exactly: weights are 2 with probability 0.9 and 1 otherwise, and only their number counts."""

    def bias(num_samples):
        twos = np.arange(num_samples + 1)
        log_weights = math.log(2) * (np.arange(num_samples) < twos[:, None])
        ways = np.array([math.comb(num_samples, number) for number in twos])
        probability = ways * 0.9**twos * 0.1 ** (num_samples - twos)
        estimate = jax.jit(jax.vmap(partial(bounds.jackknife, order=order)))(log_weights)
        return probability @ np.asarray(estimate) - math.log(1.9)

    assert 1.0 < bias(8) / bias(16) / 2 ** (order + 1) < 1.7
    if order == 1:
        assert bias(8) > 0


def test_jackknife_of_order_zero_is_the_bound():
    log_weights = jnp.array(LOG_WEIGHTS)
    assert bounds.jackknife(log_weights, order=0) == bounds.iwae(log_weights)


@pytest.mark.parametrize(("order", "size"), [(1, 5000), (2, 100)])
def test_jackknife_loses_few_digits_to_its_coefficients(order, size):
    log_weights = np.asarray(jax.random.normal(jax.random.key(0), (size,)) - 100.0)
    single = jax.jit(partial(bounds.jackknife, order=order))(log_weights)
    with jax.enable_x64(True):
        double = jax.jit(partial(bounds.jackknife, order=order))(np.float64(log_weights))
    np.testing.assert_allclose(single, double, atol=1e-4)


@pytest.mark.parametrize("order", [-1, 5])
def test_jackknife_refuses_orders_without_a_sample_left(order):
    with pytest.raises(ValueError, match="from 0 to K - 1 = 4"):
        bounds.jackknife(jnp.array(LOG_WEIGHTS), order=order)


@pytest.mark.parametrize(("order", "size"), [(2, 2049), (3, 163)])
def test_jackknife_refuses_orders_that_cost_too_much(order, size):
    with pytest.raises(ValueError, match="lower the order or take fewer samples"):
        bounds.jackknife(jnp.zeros(size), order=order)
    jax.eval_shape(partial(bounds.jackknife, order=order), jnp.zeros(size - 1))


@pytest.mark.parametrize("first", [1, 3])
def test_sumo_averages_over_its_terms_to_the_bound_of_all_samples(float64, first):
    """Exactly, over every number of terms with its probability."""
    max_terms = 120
    log_weights = jax.random.normal(jax.random.key(0), (first + max_terms,))
    survival = np.ceil(paper_survival(max_terms) * 2**23) / 2**23
    probability = survival - np.append(survival[1:], 0.0)
    sumo = lambda number: bounds.sumo(log_weights, num_terms=number, max_terms=max_terms)
    values = jax.jit(jax.vmap(sumo))(np.arange(1, max_terms + 1))
    assert np.ptp(values) > 0.1
    np.testing.assert_allclose(probability @ values, bounds.iwae(log_weights), atol=1e-12)


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("num_terms", [1, 2, 3])
def test_sumo_is_its_formula(float64, first, num_terms):
    running = [log_mean(LOG_WEIGHTS[:size]) for size in range(first, first + num_terms + 1)]
    expected = running[0] + np.diff(running) @ np.arange(1, num_terms + 1)
    value, gradient = SUMO_AND_GRADIENT(LOG_WEIGHTS[: first + 3], num_terms)
    np.testing.assert_allclose(value, expected, atol=1e-6)
    np.testing.assert_array_equal(gradient[first + num_terms :], 0.0)
    assert np.all(gradient[: first + num_terms] != 0.0)


def test_sumo_is_infinite_where_its_first_samples_are_impossible():
    log_weights = np.array([-np.inf, -np.inf, -np.inf, 0.0])
    for num_terms, expected in ((1, -np.inf), (2, -np.inf), (3, np.inf)):
        value, gradient = SUMO_AND_GRADIENT(log_weights, num_terms)
        assert value == expected
        np.testing.assert_array_equal(gradient, 0.0)


def test_the_roulette_has_the_tail_of_the_paper():
    number, max_terms = 40_000, 120
    keys = jax.random.split(jax.random.key(0), number)
    draw = lambda max_terms: jax.jit(jax.vmap(partial(bounds.sumo_num_terms, max_terms=max_terms)))(
        keys
    )
    terms = np.asarray(draw(max_terms))
    for k in (1, 2, 3, 5, 20, 79, 80, 85, 100):
        expected = paper_survival(max_terms)[k - 1]
        gate = 4.5 * np.sqrt(expected * (1 - expected) / number)
        assert abs(np.mean(terms >= k) - expected) <= gate
    assert abs(terms.mean() - 5.08) < 4.5 * terms.std() / np.sqrt(number)
    np.testing.assert_array_equal(draw(7), np.minimum(terms, 7))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(draw(max_terms), terms)


@pytest.mark.parametrize("max_terms", [0, 5])
def test_roulettes_without_terms_or_samples_are_refused(max_terms):
    with pytest.raises(ValueError, match="max_terms must be positive and less than"):
        bounds.sumo(jnp.array(LOG_WEIGHTS), num_terms=1, max_terms=max_terms)
    with pytest.raises(ValueError, match="max_terms must be positive"):
        bounds.sumo_num_terms(jax.random.key(0), max_terms=0)


def test_riemann_sums_are_those_of_the_formula(float64):
    partition = np.array([0.0, 0.02, 0.3, 1.0])
    powers = np.exp(partition[:, None] * LOG_WEIGHTS)
    means = powers @ LOG_WEIGHTS / powers.sum(axis=1)
    sums = lambda bound: bound(jnp.array(LOG_WEIGHTS), partition=partition)
    np.testing.assert_allclose(sums(bounds.tvo_lower), np.diff(partition) @ means[:-1])
    np.testing.assert_allclose(sums(bounds.tvo_upper), np.diff(partition) @ means[1:])
    np.testing.assert_allclose(bounds.eubo(jnp.array(LOG_WEIGHTS)), means[-1])


def test_riemann_sums_enclose_the_bound_of_the_samples_ever_closer(float64):
    """On every sample; their distance is the step times the rise of the integrand."""
    draws = 3.0 * np.random.default_rng(0).normal(size=(100, 5))

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def chain(x, partition):
        sums = [bound(x, partition=partition) for bound in (bounds.tvo_lower, bounds.tvo_upper)]
        return bounds.elbo(x), sums[0], bounds.iwae(x), sums[1], bounds.eubo(x)

    for steps in (1, 4, 256):
        elbo, lower, iwae, upper, eubo = map(np.asarray, chain(draws, np.arange(steps + 1) / steps))
        assert np.all(lower < iwae)
        assert np.all(iwae < upper)
        np.testing.assert_allclose(upper - lower, (eubo - elbo) / steps, rtol=1e-9)
        if steps == 1:
            np.testing.assert_allclose(lower, elbo, atol=1e-12)
            np.testing.assert_allclose(upper, eubo, atol=1e-12)


@pytest.mark.parametrize(
    "partition", [[0.0], [0.1, 1.0], [0.0, 0.9], [0.0, 0.6, 0.5, 1.0], [0.0, 0.0, 1.0]]
)
@pytest.mark.parametrize("bound", [bounds.tvo_lower, bounds.tvo_upper])
def test_partitions_that_do_not_rise_from_zero_to_one_are_refused(bound, partition):
    with pytest.raises(ValueError, match="must rise from 0 to 1"):
        bound(jnp.array(LOG_WEIGHTS), partition=jnp.array(partition))


def test_partitions_may_be_traced():
    partition = jnp.array([0.0, 0.5, 1.0])
    for bound in (bounds.tvo_lower, bounds.tvo_upper):
        traced = jax.jit(lambda x, b, bound=bound: bound(x, partition=b))
        expected = bound(jnp.array(LOG_WEIGHTS), partition=partition)
        np.testing.assert_allclose(traced(LOG_WEIGHTS, partition), expected, rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3.5])
def test_cubo_is_its_formula(order):
    value = bounds.cubo(jnp.array(LOG_WEIGHTS), order=order)
    np.testing.assert_allclose(value, log_mean(order * LOG_WEIGHTS) / order, rtol=1e-6)


@pytest.mark.parametrize(("num_samples", "mean"), [(1, -0.50), (2, -0.18), (8, 0.20)])
def test_cubo_of_few_samples_lies_under_the_bound_it_estimates(num_samples, mean):
    """The exact bound is 0.5 and log p(x) is 0; `mean` is right to half its last digit."""
    estimate = jax.jit(jax.vmap(partial(bounds.cubo, order=2)))(
        log_normal_draws(40_000, num_samples)
    )
    error = estimate.std() / np.sqrt(estimate.size)
    assert abs(estimate.mean() - mean) < 0.005 + 4.0 * error
    assert estimate.mean() + 20.0 * error < 0.5
    assert (estimate.mean() + 20.0 * error < 0.0) == (num_samples < 8)


def test_eubo_of_few_samples_may_lie_under_log_evidence():
    estimate = jax.jit(jax.vmap(bounds.eubo))(log_normal_draws(40_000, 2))
    assert estimate.mean() + 10.0 * estimate.std() / np.sqrt(estimate.size) < 0.0


@pytest.mark.parametrize("order", [0, 0.5, -1])
def test_cubo_refuses_orders_under_one(order):
    with pytest.raises(ValueError, match="at least 1"):
        bounds.cubo(jnp.array(LOG_WEIGHTS), order=order)
