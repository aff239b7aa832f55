"""Evaluation against exact log-likelihoods, and against the same sums done all at once."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import diagnostics, estimators, evaluation, exact, keys, models, training, weights

NUM_DATA = 5


def linear_gaussian():
    model, params = models.linear_gaussian(jax.random.key(5), data_size=3, latent_size=2)
    params = jax.tree.map(lambda leaf: 0.4 * leaf, params)
    return model, params, jax.random.normal(jax.random.key(1), (NUM_DATA, 3))


@pytest.fixture(scope="module")
def setting():
    return linear_gaussian()


def direct(setting, num_samples):
    """The log-weights that the evaluation streams, ``[N, K]``."""
    model, params, xs = setting
    example_keys = jax.vmap(keys.example, (None, 0))(jax.random.key(7), jnp.arange(NUM_DATA))
    take = partial(weights.log_weights, model=model, num_samples=num_samples)
    return np.asarray(jax.jit(jax.vmap(take, (0, None, 0)))(example_keys, params, xs), np.float64)


def streamed(setting, **options):
    model, params, xs = setting
    run = partial(evaluation.log_likelihood, model=model, **options)
    return jax.jit(run)(jax.random.key(7), params, xs)


@pytest.mark.parametrize("chunk_size", [1, 7, 50, 64])
def test_streaming_gives_the_sums_done_at_once(setting, chunk_size):
    log_w = direct(setting, 50)
    result = streamed(setting, num_samples=50, chunk_size=chunk_size)
    w = np.exp(log_w)
    np.testing.assert_allclose(result.bound, np.log(w.mean(1)), rtol=1e-4)
    relative = w.std(1, ddof=1) / w.mean(1) / np.sqrt(50)
    np.testing.assert_allclose(result.standard_error, relative, rtol=1e-3)
    np.testing.assert_allclose(result.elbo, log_w.mean(1), rtol=1e-4)
    np.testing.assert_allclose(
        result.elbo_standard_error, log_w.std(1, ddof=1) / np.sqrt(50), rtol=1e-3
    )
    np.testing.assert_allclose(
        result.effective_sample_size, w.sum(1) ** 2 / (w**2).sum(1), rtol=1e-4
    )


def test_l_5000_is_within_three_standard_errors_of_log_p(float64):
    model, params, xs = linear_gaussian()
    result = streamed((model, params, xs))
    log_p = jax.vmap(exact.linear_gaussian_log_likelihood, (None, 0))(params.generative, xs)
    assert np.all(np.abs(result.bound - log_p) < 3.0 * result.standard_error)
    assert np.all(result.standard_error < 0.05)


def test_a_posterior_has_log_p_and_no_error(float64):
    model, params, xs = linear_gaussian()
    params = params._replace(inference=exact.linear_gaussian_posterior(params.generative))
    result = streamed((model, params, xs), num_samples=10, chunk_size=3)
    log_p = jax.vmap(exact.linear_gaussian_log_likelihood, (None, 0))(params.generative, xs)
    np.testing.assert_allclose(result.bound, log_p, rtol=1e-12)
    np.testing.assert_allclose(result.elbo, log_p, rtol=1e-12)
    np.testing.assert_allclose(result.standard_error, 0.0, atol=1e-7)
    np.testing.assert_allclose(result.effective_sample_size, 10.0, rtol=1e-9)


def test_a_set_may_be_evaluated_in_pieces(setting):
    model, params, xs = setting
    whole = streamed(setting, num_samples=20)
    piece = streamed((model, params, xs[3:]), num_samples=20, first_position=3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[3:], rtol=1e-5), piece, whole)


def test_memory_does_not_grow_with_the_samples(setting):
    model, params, xs = setting

    def temporary_bytes(num_samples):
        run = partial(
            evaluation.log_likelihood, model=model, num_samples=num_samples, chunk_size=100
        )
        compiled = jax.jit(run).lower(jax.random.key(7), params, xs).compile()
        # The chunks' own numbers are all that there is more of.
        return compiled.memory_analysis().temp_size_in_bytes - 16 * (num_samples // 100)

    assert temporary_bytes(10_000) <= 1.05 * temporary_bytes(1000)


@pytest.mark.parametrize("options", [{"num_samples": 1}, {"chunk_size": 0}])
def test_too_few_samples_are_refused(setting, options):
    with pytest.raises(ValueError, match="num_samples must be at least 2"):
        streamed(setting, **options)


def test_effective_sample_size_counts_equal_weights():
    count = diagnostics.effective_sample_size
    np.testing.assert_allclose(count(jnp.full(6, -550.0)), 6.0, rtol=1e-5)
    np.testing.assert_allclose(count(jnp.array([0.0, -1e4, -jnp.inf])), 1.0, rtol=1e-6)
    np.testing.assert_allclose(count(jnp.log(jnp.array([1.0, 2.0, 3.0]))), 36.0 / 14.0, rtol=1e-5)
    value, gradient = jax.value_and_grad(count)(jnp.full(3, -jnp.inf))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_units_are_active_where_their_mean_moves_with_x():
    model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=3)
    # Posterior means 0, 0.05 x_1 and x_1, of variance 0, 0.0025 and 1; deviations of size 1.
    gain = jnp.zeros((3, 3)).at[1, 0].set(0.05).at[2, 0].set(1.0)
    params = params._replace(
        inference={"weight": gain, "bias": jnp.ones(3), "tril": jnp.zeros((3, 3))}
    )
    xs = jax.random.normal(jax.random.key(1), (2000, 3))
    run = jax.jit(
        partial(evaluation.active_units, model=model), static_argnames=("threshold", "num_samples")
    )
    assert run(jax.random.key(2), params, xs).tolist() == [False, False, True]
    lower = run(jax.random.key(2), params, xs, num_samples=1000, threshold=0.001)
    assert lower.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="at least 2"):
        run(jax.random.key(2), params, xs[:1])


@pytest.mark.parametrize("max_pairs", [1, 8, 1000])
def test_mean_bound_is_the_mean_of_the_bounds(max_pairs):
    model, params = models.vae(jax.random.key(0), event_shape=(4, 4), hidden_sizes=(8,))
    images = jax.random.randint(jax.random.key(1), (5, 4, 4), 0, 256).astype(jnp.uint8)
    run = jax.jit(
        partial(
            evaluation.mean_bound, model=model, estimator=estimators.pathwise, num_samples=4,
            observe=training.dynamic_binarisation, max_pairs=max_pairs,
        )
    )  # fmt: skip
    mean, size = run(jax.random.key(2), params, images)

    @jax.jit
    def one(key, image):
        x = training.dynamic_binarisation(key, image)
        bound, log_w = estimators.pathwise(key, params, x, model=model, num_samples=4)
        return bound, diagnostics.effective_sample_size(log_w)

    pairs = [one(keys.example(jax.random.key(2), i), image) for i, image in enumerate(images)]
    np.testing.assert_allclose(mean, np.mean([bound for bound, _ in pairs]), rtol=1e-5)
    np.testing.assert_allclose(size, np.mean([size for _, size in pairs]), rtol=1e-5)
