"""Bounds on log-weights, against arithmetic that is exact or done without logarithms."""

import functools
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds

PARTITION = np.array([0.0, 0.1, 0.5, 1.0])
# Everything public but `sumo_num_terms`, which has no log-weights; "name: case" is a second case.
BOUNDS = {
    "elbo": bounds.elbo,
    "iwae": bounds.iwae,
    "vr_iwae": partial(bounds.vr_iwae, alpha=0.3),
    "vr_iwae: above one": partial(bounds.vr_iwae, alpha=1.7),
    "ciwae": partial(bounds.ciwae, beta=0.3),
    "ciwae: iwae": partial(bounds.ciwae, beta=0.0),
    "miwae": lambda log_weights: bounds.miwae(log_weights[None]),
    "miwae: elbo": lambda log_weights: bounds.miwae(log_weights[:, None]),
    "tvo_lower": lambda log_weights: bounds.tvo_lower(log_weights, partition=PARTITION),
    "tvo_upper": lambda log_weights: bounds.tvo_upper(log_weights, partition=PARTITION),
    "cubo": partial(bounds.cubo, order=2),
    "eubo": bounds.eubo,
    "jackknife": partial(bounds.jackknife, order=1),
    "jackknife: second": partial(bounds.jackknife, order=2),
    "sumo": lambda x: bounds.sumo(x, num_terms=x.size - 1, max_terms=x.size - 1),
    "sumo: stopped": lambda x: bounds.sumo(x, num_terms=1, max_terms=x.size - 1),
}
SEVERAL = {name for name in BOUNDS if name.startswith(("jackknife", "sumo"))}
LOG_WEIGHTS = np.array([0.3, -1.2, 2.0, 0.1, -0.4])


@functools.cache
def compiled(bound):
    """The value and gradient; of five log-weights in most tests, so that it compiles once."""
    return jax.jit(jax.value_and_grad(bound))


@pytest.fixture(params=BOUNDS.values(), ids=BOUNDS)
def bound(request):
    return request.param


def draws(scale=1.0, shape=(50, 5)):
    return scale * np.random.default_rng(0).normal(size=shape)


def test_the_table_holds_everything_public():
    named = {name.partition(":")[0] for name in BOUNDS}
    assert named | {"sumo_num_terms"} == set(bounds.__all__)


def test_values_are_those_of_the_formulas(float64):
    w, log_weights = np.exp(LOG_WEIGHTS), jnp.array(LOG_WEIGHTS)
    expect = partial(np.testing.assert_allclose, rtol=1e-14)
    expect(bounds.elbo(log_weights), LOG_WEIGHTS.mean())
    expect(bounds.iwae(log_weights), np.log(w.mean()))
    expect(bounds.vr_iwae(log_weights, 0.3), np.log((w**0.7).mean()) / 0.7)
    expect(bounds.vr_iwae(log_weights, 1.7), np.log((w**-0.7).mean()) / -0.7)
    mixture = 0.3 * LOG_WEIGHTS.mean() + 0.7 * np.log(w.mean())
    expect(bounds.ciwae(log_weights, 0.3), mixture)


def test_miwae_takes_the_logarithm_of_means_over_its_last_axis():
    log_weights = draws(2.0, (2, 8))
    expected = np.log(np.exp(log_weights).mean(axis=1)).mean()
    np.testing.assert_allclose(bounds.miwae(jnp.array(log_weights)), expected, rtol=1e-6)
    swapped = np.log(np.exp(log_weights).mean(axis=0)).mean()
    assert abs(swapped - expected) > 0.05


def test_gradients_are_the_weights_of_the_samples(float64):
    softmax = lambda x: np.exp(x) / np.exp(x).sum()
    gradient = lambda bound, *order: jax.grad(bound)(jnp.array(LOG_WEIGHTS), *order)
    expect = partial(np.testing.assert_allclose, rtol=1e-12)
    expect(gradient(bounds.elbo), 0.2)
    expect(gradient(bounds.iwae), softmax(LOG_WEIGHTS))
    expect(gradient(bounds.vr_iwae, 0.3), softmax(0.7 * LOG_WEIGHTS))
    expect(gradient(bounds.ciwae, 0.3), 0.06 + 0.7 * softmax(LOG_WEIGHTS))


def test_gradients_are_those_of_finite_differences(float64, bound):
    step = 1e-5 * np.eye(5)
    value = lambda x: float(compiled(bound)(x)[0])
    slopes = [(value(LOG_WEIGHTS + e) - value(LOG_WEIGHTS - e)) / 2e-5 for e in step]
    np.testing.assert_allclose(compiled(bound)(LOG_WEIGHTS)[1], slopes, atol=1e-8)


@pytest.mark.parametrize("name", sorted(BOUNDS.keys() - SEVERAL))
def test_one_sample_gives_its_own_log_weight(name):
    np.testing.assert_allclose(jax.jit(BOUNDS[name])(jnp.array([-3.5])), -3.5, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_one_sample_is_refused_where_several_are_compared(name):
    with pytest.raises(ValueError, match="must be"):
        BOUNDS[name](jnp.array([-3.5]))


def test_equal_weights_give_the_common_log_weight(bound):
    np.testing.assert_allclose(compiled(bound)(np.full(5, -2.5))[0], -2.5, rtol=1e-6)


def test_a_common_factor_of_the_weights_is_added(bound):
    value, shifted = compiled(bound)(LOG_WEIGHTS)[0], compiled(bound)(LOG_WEIGHTS - 1e4)[0]
    np.testing.assert_allclose(shifted, value - 1e4, rtol=1e-6)


def test_the_bounds_are_ordered_on_every_sample(float64):
    @jax.jit
    @jax.vmap
    def rising(x):
        renyi = [bounds.vr_iwae(x, alpha) for alpha in (0.7, 0.3)]
        above = [bounds.cubo(x, order=order) for order in (1.5, 2)]
        chain = [bounds.vr_iwae(x, 1.7), bounds.elbo(x), *renyi, bounds.iwae(x), *above]
        return jnp.array(chain), jnp.array([bounds.elbo(x), bounds.ciwae(x, 0.3), bounds.iwae(x)])

    for scale in (0.1, 1.0, 10.0):
        for chain in rising(draws(scale)):
            assert np.all(np.diff(chain, axis=1) > 0)


def test_alpha_tends_to_the_importance_weighted_bound_and_to_the_elbo(float64):
    log_weights = jnp.array(LOG_WEIGHTS)
    iwae, elbo = bounds.iwae(log_weights), bounds.elbo(log_weights)
    np.testing.assert_allclose(bounds.vr_iwae(log_weights, 0.0), iwae, rtol=1e-15)
    for alpha in (1 - 1e-6, 1 + 1e-6):
        np.testing.assert_allclose(bounds.vr_iwae(log_weights, alpha), elbo, atol=1e-6)
        np.testing.assert_allclose(jax.grad(bounds.vr_iwae)(log_weights, alpha), 0.2, atol=1e-6)


def test_alpha_and_beta_may_be_traced_and_differentiated(float64):
    for weights in (LOG_WEIGHTS, np.array([-np.inf, 0.0, 1.0])):
        for alpha in (0.0, 0.3):
            value, slope = jax.jit(jax.value_and_grad(bounds.vr_iwae, 1))(weights, alpha)
            np.testing.assert_allclose(value, bounds.vr_iwae(jnp.array(weights), alpha))
            assert slope < 0
    for beta in (0.0, 0.3, 1.0):
        value, slope = jax.jit(jax.value_and_grad(bounds.ciwae, 1))(LOG_WEIGHTS, beta)
        np.testing.assert_allclose(value, bounds.ciwae(jnp.array(LOG_WEIGHTS), beta))
        expected = LOG_WEIGHTS.mean() - np.log(np.exp(LOG_WEIGHTS).mean())
        np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_beta_is_the_share_of_the_elbo():
    log_weights = jnp.array(LOG_WEIGHTS)
    assert bounds.ciwae(log_weights, 0.0) == bounds.iwae(log_weights)
    assert bounds.ciwae(log_weights, 1) == bounds.elbo(log_weights)


@pytest.mark.parametrize("alpha", [1, 1.0, np.float32(1.0), jnp.array(1.0)])
def test_alpha_of_one_is_refused(alpha):
    with pytest.raises(ValueError, match=r"bounds\.elbo"):
        jax.jit(lambda x: bounds.vr_iwae(x, alpha))(LOG_WEIGHTS)


@pytest.mark.parametrize("beta", [-0.1, 1.1, np.nan])
def test_beta_outside_its_interval_is_refused(beta):
    with pytest.raises(ValueError, match="from 0 to 1"):
        bounds.ciwae(jnp.array(LOG_WEIGHTS), beta)


@pytest.mark.parametrize("size", range(1, 5))
def test_the_bounds_do_not_fall_as_samples_are_added(float64, size):
    """Exactly: the average over all subsets of M samples is at most the bound of all K.

    Over alpha = 1 it is at least that.
    """
    alphas = (0.3, 0.9, 1.7)
    all_bounds = lambda x: jnp.array([bounds.iwae(x), *(bounds.vr_iwae(x, a) for a in alphas)])
    subsets = LOG_WEIGHTS[np.array(list(itertools.combinations(range(5), size)))]
    gain = jax.jit(all_bounds)(LOG_WEIGHTS) - jax.jit(jax.vmap(all_bounds))(subsets).mean(axis=0)
    np.testing.assert_array_equal(np.sign(gain), [1, 1, 1, -1])


def test_all_weights_zero_is_minus_infinity_with_gradient_zero(bound):
    value, gradient = compiled(bound)(np.full(5, -np.inf))
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, 0.0)


def test_a_weight_of_zero_takes_no_part_in_iwae():
    value, gradient = jax.value_and_grad(bounds.iwae)(jnp.array([-jnp.inf, 0.0, 0.0]))
    np.testing.assert_allclose(value, np.log(2.0 / 3.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.0, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("zero", [*itertools.product([True, False], repeat=5)][:-1])
def test_weights_of_zero_are_the_limit_of_small_weights(float64, zero):
    at = lambda bound, log_weight: compiled(bound)(np.where(zero, log_weight, LOG_WEIGHTS))
    for bound in BOUNDS.values():
        value, gradient = at(bound, -np.inf)
        (near, _), (nearer, slope) = at(bound, -1e6), at(bound, -2e6)
        if np.isfinite(value):
            np.testing.assert_allclose(value, nearer, rtol=1e-9)
            np.testing.assert_allclose(gradient, slope, atol=1e-9)
        else:
            assert np.sign(value) * (nearer - near) > 1.0
            np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_log_weights_stay_finite(bound, extreme):
    value, gradient = compiled(bound)(np.array([extreme, *LOG_WEIGHTS[1:]]))
    assert np.isfinite(value)
    np.testing.assert_allclose(gradient.sum(), 1.0, rtol=1e-5)


def test_float32_agrees_with_float64(bound):
    rows = draws(3.0).astype(np.float32)
    single = [compiled(bound)(row)[0] for row in rows]
    with jax.enable_x64(True):
        double = [compiled(bound)(row.astype(np.float64))[0] for row in rows]
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_dtype_is_that_of_the_log_weights(float64, bound, dtype):
    with jax.numpy_dtype_promotion("strict"):
        assert jax.eval_shape(bound, jnp.array(LOG_WEIGHTS, dtype)).dtype == dtype


def test_more_axes_than_the_samples_are_refused(bound):
    with pytest.raises(AssertionError, match="rank"):
        bound(jnp.zeros((2, 3)))


def test_vmap_without_jit_agrees_with_a_loop_of_jit(bound):
    rows = jnp.array(draws()[:3])
    loop = [compiled(bound)(row)[0] for row in rows]
    np.testing.assert_allclose(jax.vmap(bound)(rows), loop, rtol=1e-6, atol=1e-6)
