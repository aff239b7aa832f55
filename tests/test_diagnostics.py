"""Weights' tails and gradients' noise, against formulas, NumPy and known distributions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import diagnostics


def written_out_k_hat(log_weights):
    """Zhang and Stephens' fit in their own parameters, k of the opposite sign, in a loop."""
    log_weights = np.sort(np.asarray(log_weights, np.float64))
    size = int(np.ceil(min(0.2 * len(log_weights), 3 * np.sqrt(len(log_weights)))))
    tail = np.exp(log_weights[-size:] - log_weights[-1])
    x = tail - np.exp(log_weights[-size - 1] - log_weights[-1])
    m = 30 + int(np.sqrt(size))
    thetas, profile = [], []
    for j in range(1, m + 1):
        theta = 1 / x[-1] + (1 - np.sqrt(m / (j - 0.5))) / (3 * x[int(size / 4 + 0.5) - 1])
        k = -np.mean(np.log(1 - theta * x))
        thetas.append(theta)
        profile.append(size * (np.log(theta / k) + k - 1))
    shares = np.array([1 / np.sum(np.exp(np.array(profile) - value)) for value in profile])
    k = -np.mean(np.log(1 - shares @ np.array(thetas) * x))
    return (-k * size + 0.5 * 10) / (size + 10)


@pytest.mark.parametrize("shape", [0.1, 0.6, 1.3])
def test_k_hat_is_the_published_fit(float64, shape):
    log_weights = -shape * jnp.log(jax.random.uniform(jax.random.key(3), (400,))) - 550.0
    k = jax.jit(diagnostics.pareto_k_hat)(log_weights)
    np.testing.assert_allclose(k, written_out_k_hat(log_weights), rtol=1e-9)
    single = diagnostics.pareto_k_hat(log_weights.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, k, atol=2e-3)


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.2])
def test_k_hat_finds_the_shape_of_a_pareto_tail(shape):
    """w = u^-k has a tail of shape k above every threshold; 40 fits, each of 300 weights."""
    uniform = jax.random.uniform(jax.random.key(0), (40, 10_000), minval=1e-30)
    k = jax.jit(jax.vmap(diagnostics.pareto_k_hat))(-shape * jnp.log(uniform))
    prior = (300 * shape + 5.0) / 310
    assert abs(float(k.mean()) - prior) < 4.0 * float(k.std()) / np.sqrt(40) + 0.01
    np.testing.assert_allclose(k.std(), (1.0 + shape) / np.sqrt(300), rtol=0.4)


def test_k_hat_of_weights_without_a_tail():
    assert diagnostics.pareto_k_hat(jnp.full(100, -550.0)) == -jnp.inf
    assert diagnostics.pareto_k_hat(jnp.full(100, -jnp.inf).at[0].set(0.0)) == jnp.inf
    uniform = jnp.log(jnp.linspace(0.5, 1.0, 1000))
    assert diagnostics.pareto_k_hat(uniform) < -0.5  # a uniform tail has k = -1
    with pytest.raises(ValueError, match="at least 25"):
        diagnostics.pareto_k_hat(jnp.zeros(24))


@pytest.fixture(scope="module")
def gradients():
    """Of two leaves, far from zero: sums of squares would lose their digits in float32."""
    noise = np.random.default_rng(0).normal(size=(60, 4))
    noise = 1000.0 + np.array([1.0, 2.0, 0.5, 0.1]) * noise
    return {"a": jnp.asarray(noise[:, :1], jnp.float32), "b": jnp.asarray(noise[:, 1:], "float32")}


DIRECTION = {"a": jnp.float32([0.5]), "b": jnp.float32([1.0, -2.0, 0.3])}


def flat(tree):
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(*leaf.shape[:-1], -1) for leaf in leaves], axis=-1)


@pytest.mark.parametrize("cuts", [(), (20, 40), (1, 2, 57)])
def test_a_stream_has_the_moments_of_the_whole(gradients, cuts):
    pieces = jax.tree.map(lambda leaf: jnp.split(leaf, cuts), gradients)
    batches = [pieces_of(pieces, index) for index in range(len(cuts) + 1)]
    moments = functools.reduce(
        diagnostics.merge_moments,
        [diagnostics.gradient_moments(batch, direction=DIRECTION) for batch in batches],
        diagnostics.no_moments(DIRECTION),
    )
    whole = flat(gradients)
    assert moments.num_gradients == 60.0
    np.testing.assert_allclose(flat(moments.mean), whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose(flat(diagnostics.variance(moments)), whole.var(0, ddof=1), rtol=2e-3)
    np.testing.assert_allclose(
        flat(diagnostics.standard_error(moments)),
        whole.std(0, ddof=1) / np.sqrt(60),
        rtol=1e-3,
    )
    d = flat(DIRECTION)
    along = np.outer(whole @ d / (d @ d), d)
    ratios = np.linalg.norm(along, axis=1) / np.linalg.norm(whole - along, axis=1)
    np.testing.assert_allclose(diagnostics.directional_snr(moments), ratios.mean(), rtol=1e-4)
    np.testing.assert_allclose(
        flat(diagnostics.naive_snr(moments)), whole.mean(0) / whole.std(0, ddof=1), rtol=1e-3
    )


def pieces_of(pieces, index):
    return {name: parts[index] for name, parts in pieces.items()}


def draws(key, signal, noise, count=2000):
    return signal + noise * jax.random.normal(key, (count, signal.size))


def moments_of(gradients, signal):
    return diagnostics.gradient_moments(gradients, direction=signal)


def test_the_naive_ratio_has_a_floor_and_the_others_have_none():
    """A signal of 1e-3 standard deviations, R = 2000: sqrt(2 / (pi R)) = .018."""
    signal = jnp.full(400, 1e-3)
    noisy = moments_of(draws(jax.random.key(0), signal, 1.0), signal)
    quiet = moments_of(draws(jax.random.key(1), signal, 1e-3), signal)
    floor = np.sqrt(2.0 / (np.pi * 2000))
    np.testing.assert_allclose(diagnostics.naive_snr(noisy).mean(), floor, rtol=0.1)
    np.testing.assert_allclose(diagnostics.exact_signal_snr(noisy, signal=signal), 1e-3, rtol=0.01)
    pooled = diagnostics.pooled_signal_snr(noisy, unbiased=[noisy, quiet])
    np.testing.assert_allclose(pooled, 1e-3, rtol=0.01)


def test_the_pooled_signal_is_corrected_for_its_noise():
    """Its square, over 300 repeats, against the true one: 0.02^2 beside a noise of 1 / 100."""
    signal = jnp.full(5, 0.02)

    def squared_ratio(key):
        first, second = (draws(k, signal, 1.0, count=100) for k in jax.random.split(key))
        unbiased = [moments_of(first, signal), moments_of(second, signal)]
        return diagnostics.pooled_signal_snr(unbiased[0], unbiased=unbiased) ** 2

    squares = jax.jit(jax.vmap(squared_ratio))(jax.random.split(jax.random.key(0), 300))
    # Values below zero are cut off, so the mean lies above the truth, but far below 1 / 200.
    assert float(squares.mean()) < 0.5 * (0.02**2 + 1.0 / 200)
    with pytest.raises(ValueError, match="unbiased"):
        diagnostics.pooled_signal_snr(moments_of(jnp.ones((2, 1)), jnp.ones(1)), unbiased=[])


@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_the_pooled_signal_knows_entries_without_noise(constant):
    """As of weights of a pixel that is black in every image."""
    signal = jnp.array([0.5, constant])
    noise = jnp.array([1.0, 0.0])
    some, more = (draws(jax.random.key(seed), signal, noise) for seed in (0, 1))
    # An estimator may have no noise where another one has.
    more = more.at[:, 1].add(0.1 * jax.random.normal(jax.random.key(2), 2000))
    unbiased = [moments_of(gradients, signal) for gradients in (some, more)]
    noisy = [moments_of(gradients[:, :1], signal[:1]) for gradients in (some, more)]
    of_noisy = diagnostics.pooled_signal_snr(noisy[0], unbiased=noisy)
    variance = diagnostics.variance(noisy[0])[0]
    expected = jnp.sqrt(of_noisy**2 + constant**2 / variance)
    found = diagnostics.pooled_signal_snr(unbiased[0], unbiased=unbiased)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_gradient_has_no_variance():
    assert jnp.isnan(diagnostics.variance(moments_of(jnp.ones((1, 1)), jnp.ones(1)))).all()
