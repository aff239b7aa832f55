"""The exact bounds, against enumeration, closed forms, and numbers known from elsewhere."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import exact
from iwae_jax.exact import WeightLaw

LOG_WEIGHTS = np.array([0.3, -2.0, 1.1])
LOG_PROBS = np.log([0.2, 0.5, 0.3])

expect = np.testing.assert_allclose


def three_states(log_weights=LOG_WEIGHTS, log_probs=LOG_PROBS):
    return WeightLaw(jnp.array(log_weights), jnp.array(log_probs))


@partial(jax.jit, static_argnums=2)
def enumerated(law, alpha, num_samples):
    """The VR-IWAE bound as a sum over all tuples of states."""
    states = range(law.log_probs.size)
    tuples = jnp.array(list(itertools.product(states, repeat=num_samples)))
    probs = jnp.exp(jax.nn.log_softmax(law.log_probs)[tuples].sum(axis=1))
    powers = (1.0 - alpha) * law.log_weights[tuples]
    return probs @ (jax.nn.logsumexp(powers, axis=1) - jnp.log(num_samples)) / (1.0 - alpha)


@jax.jit
def iwae(law, num_samples):
    return exact.iwae(law, num_samples=num_samples)


@jax.jit
def vr_iwae(law, alpha, num_samples):
    return exact.vr_iwae(law, alpha=alpha, num_samples=num_samples)


@jax.jit
def bounds(law):
    """All of them; of those with K samples, K = 3."""
    return jnp.array(
        [
            exact.elbo(law),
            exact.iwae(law, num_samples=3),
            exact.vr_iwae(law, alpha=2.0, num_samples=3),
            exact.log_evidence(law),
            exact.cubo(law, order=2),
            exact.eubo(law),
        ]
    )


iwae_gradient = jax.jit(jax.grad(iwae))
enumerated_and_gradient = jax.jit(jax.value_and_grad(enumerated), static_argnums=2)
vr_iwae_gradient = jax.jit(jax.grad(vr_iwae))
bounds_gradients = jax.jit(jax.jacrev(bounds))


@pytest.mark.parametrize("num_samples", [1, 2, 3, 4, 5])
def test_value_and_gradient_are_those_of_enumeration(float64, num_samples):
    law = three_states()
    for alpha in (0.0, 0.5, -1.0, 1.7):
        value, gradient = enumerated_and_gradient(law, alpha, num_samples)
        expect(vr_iwae(law, alpha, num_samples), value, atol=1e-13)
        found = vr_iwae_gradient(law, alpha, num_samples)
        expect(found.log_weights, gradient.log_weights, atol=1e-13)
        expect(found.log_probs, gradient.log_probs, atol=1e-13)


def test_second_derivatives_are_those_of_enumeration(float64):
    hessian = lambda bound: jax.jit(jax.jacrev(jax.grad(lambda x: bound(three_states(x)))))
    exactly = hessian(partial(exact.iwae, num_samples=3))(LOG_WEIGHTS)
    expect(exactly, hessian(lambda law: enumerated(law, 0.0, 3))(LOG_WEIGHTS), atol=1e-14)


def test_lognormal_weights(float64):
    law = exact.lognormal_law(-0.5, 1.0)
    known = {2: -0.290485, 8: -0.089948, 64: -0.012941, 1024: -0.000837}
    for num_samples, value in known.items():
        expect(iwae(law, num_samples), value, atol=5e-7)
    for scale in (0.1, 1.0, 8.0):
        law = exact.lognormal_law(0.7, scale)
        half = 0.5 * scale**2
        expect(exact.elbo(law), 0.7, atol=1e-14)
        expect(iwae(law, 1), 0.7, atol=1e-13)
        expect(exact.log_evidence(law), 0.7 + half, rtol=1e-14)
        expect(exact.cubo(law, order=2), 0.7 + 2.0 * half, rtol=1e-14)
        expect(exact.eubo(law), 0.7 + 2.0 * half, rtol=1e-14)


@partial(jax.jit, static_argnums=2)
@partial(jax.grad, argnums=(0, 1))
def lognormal_gradient(mean, scale, num_nodes):
    return exact.iwae(exact.lognormal_law(mean, scale, num_nodes=num_nodes), num_samples=5)


@pytest.mark.parametrize("scale", [0.5, 3.0, 8.0])
def test_lognormal_gradient_does_not_depend_on_the_nodes(float64, scale):
    coarse, fine = (lognormal_gradient(0.2, scale, num_nodes) for num_nodes in (512, 1000))
    expect(coarse, fine, atol=1e-12)
    expect(coarse[0], 1.0, atol=1e-12)


def test_the_bounds_rise_with_the_samples_and_fall_with_alpha(float64):
    law = three_states()
    rising = [iwae(law, num_samples) for num_samples in (1, 2, 3, 10, 100, 10_000, 1_000_000)]
    assert np.all(np.diff(rising) > 0)
    renyi = [vr_iwae(law, alpha, 10) for alpha in (0.999, 0.7, 0.3, 1e-3)]
    assert np.all(np.diff([exact.elbo(law), *renyi, iwae(law, 10), exact.log_evidence(law)]) > 0)
    upper = [exact.cubo(law, order=order) for order in (1.0, 1.5, 2, 50.0)]
    assert np.all(np.diff(upper) > 0)
    assert exact.log_evidence(law) < exact.eubo(law)
    assert upper[-1] < LOG_WEIGHTS.max()


def test_limits(float64):
    law = three_states()
    expect(exact.elbo(law), np.exp(LOG_PROBS) @ LOG_WEIGHTS, rtol=1e-15)
    expect(iwae(law, 1), exact.elbo(law), rtol=1e-13)
    weights = np.exp(LOG_WEIGHTS)
    evidence = np.exp(LOG_PROBS) @ weights
    expect(exact.log_evidence(law), np.log(evidence), rtol=1e-15)
    shares = np.exp(LOG_PROBS) * weights / evidence
    expect(exact.eubo(law), shares @ LOG_WEIGHTS, rtol=1e-14)
    expect(exact.cubo(law, order=2), np.log(np.exp(LOG_PROBS) @ weights**2) / 2, rtol=1e-14)
    # The gap closes as the variance of w / E w over 2 K, which leaves six of its digits at 1e6.
    variance = np.exp(LOG_PROBS) @ weights**2 / evidence**2 - 1.0
    gap = exact.log_evidence(law) - iwae(law, 1_000_000)
    expect(2e6 * gap, variance, rtol=1e-5)


def test_the_law_may_be_unnormalised_and_shifted_far_away(float64):
    law = three_states()
    for shift in (-1e3, 1e3):
        shifted = three_states(LOG_WEIGHTS + shift, LOG_PROBS - shift)
        expect(bounds(shifted) - shift, bounds(law), atol=2e-12)
        found, expected = bounds_gradients(shifted), bounds_gradients(law)
        jax.tree.map(partial(expect, atol=2e-12), found, expected)


def test_weights_may_differ_by_any_factor(float64):
    law = three_states([0.0, -2e3, 1e3], [-0.5, -1.0, -50.0])
    value, gradient = enumerated_and_gradient(law, 0.0, 3)
    expect(iwae(law, 3), value, rtol=1e-13)
    found = iwae_gradient(law, 3)
    expect(found.log_weights, gradient.log_weights, atol=1e-13)
    expect(found.log_probs, gradient.log_probs, atol=1e-10)


def test_weights_too_far_apart_give_no_wrong_answer(float64):
    for log_weight in (-1e9, -1e30, np.nan):
        assert jnp.isnan(iwae(three_states([0.3, log_weight, 1.1]), 3))


def test_a_weight_of_zero(float64):
    """The lower bounds do not exist, the others do, and no gradient is nan."""
    law = three_states([0.3, -np.inf, 1.1])
    reduced = bounds(three_states(LOG_WEIGHTS[::2], LOG_PROBS[::2]))
    half = np.log(0.5)
    expect(bounds(law), [*[-np.inf] * 3, reduced[3] + half, reduced[4] + half / 2, reduced[5]])
    for gradient in bounds_gradients(law):
        assert not np.any(gradient[:3])
        assert np.all(np.isfinite(gradient[3:]))


def test_nothing_but_zero_weights(float64):
    law = three_states(np.full(3, -np.inf))
    assert np.all(np.isneginf(bounds(law)))
    assert not np.any(np.array(bounds_gradients(law)))


@pytest.mark.parametrize("log_weight", [-np.inf, 0.0, 1e4, np.inf, np.nan])
def test_an_atom_that_is_never_drawn_does_not_matter(float64, log_weight):
    law = three_states([*LOG_WEIGHTS, log_weight], [*LOG_PROBS, -np.inf])
    expect(bounds(law), bounds(three_states()), rtol=1e-14)
    for found, expected in zip(
        bounds_gradients(law), bounds_gradients(three_states()), strict=True
    ):
        expect(found, np.pad(expected, ((0, 0), (0, 1))), atol=1e-14)


def test_the_number_of_samples_may_be_mapped_over_and_so_may_the_law(float64):
    counts, scales = jnp.array([1, 3, 1000]), jnp.array([0.5, 2.0, 3.0])
    laws = jax.vmap(partial(exact.lognormal_law, 0.0))(scales)
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(iwae)))(laws, counts)
    for index, count in enumerate(counts):
        law = exact.lognormal_law(0.0, scales[index])
        expect(values[index], iwae(law, count), atol=1e-14)
        for found, expected in zip(gradients, iwae_gradient(law, count), strict=True):
            expect(found[index], expected, atol=1e-14)


def test_nothing_leaks_and_compiled_is_eager(float64):
    with jax.checking_leaks():
        value, gradient = jax.value_and_grad(partial(exact.iwae, num_samples=3))(three_states())
    expect(value, iwae(three_states(), 3), rtol=1e-14)
    expect(gradient.log_weights, iwae_gradient(three_states(), 3).log_weights, atol=1e-15)


def test_memory_is_that_of_the_law(float64):
    law = WeightLaw(jnp.linspace(-3.0, 5.0, 20_000), jnp.zeros(20_000))
    memory = iwae_gradient.lower(law, 64).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 5e6  # 300 nodes at once would be 5e7


def test_wrong_use_is_refused(float64):
    law = three_states()
    with pytest.raises(ValueError, match=r"exact\.elbo"):
        exact.vr_iwae(law, alpha=1, num_samples=2)
    with pytest.raises(ValueError, match="at least 1"):
        exact.iwae(law, num_samples=0)
    with pytest.raises(ValueError, match="order >= 1"):
        exact.cubo(law, order=0.5)
    with pytest.raises(ValueError, match="num_nodes"):
        exact.lognormal_law(0.0, 8.0, num_nodes=100)
    coarse = jax.jit(lambda scale: exact.lognormal_law(0.0, scale, num_nodes=100))
    assert jnp.isnan(exact.elbo(coarse(8.0)))
    with pytest.raises(AssertionError):
        exact.elbo(WeightLaw(jnp.zeros(3), jnp.zeros(2)))


def test_float32_is_refused():
    with jax.enable_x64(False):
        law = three_states(LOG_WEIGHTS.astype(np.float32), LOG_PROBS.astype(np.float32))
        bounds = [exact.elbo, exact.eubo, exact.log_evidence]
        bounds += [partial(exact.iwae, num_samples=2), partial(exact.cubo, order=2)]
        for bound in bounds:
            with pytest.raises(TypeError, match="float64"):
                bound(law)
        with pytest.raises(TypeError, match="float64"):
            exact.lognormal_law(0.0, 1.0)
        with pytest.raises(TypeError, match="float64"):
            exact.lognormal_law(0, 1)
