"""Every estimator against the exact gradient of its bound, through its own code."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds, estimators, exact, models
from iwae_jax.estimators._surrogate import normalised, score_terms, take_samples, with_gradient_of
from tests.oracles import enumerated_bound, quadrature_bound, scalar_gaussian, three_states

NO_BASELINE = {"baseline": lambda control, x: control}
BOTH, NONE = ("generative", "inference"), ()

# name -> estimator, its bound of two samples, the halves of Params whose gradient is that bound's
REPARAMETERISED = {
    "pathwise": (estimators.pathwise, bounds.iwae, BOTH),
    "sticking_the_landing": (estimators.sticking_the_landing, bounds.iwae, ("generative",)),
    "dreg": (estimators.dreg, bounds.iwae, BOTH),
    "gdreg": (estimators.gdreg, bounds.iwae, BOTH),
    "vr_iwae": (partial(estimators.vr_iwae, alpha=0.3), lambda w: bounds.vr_iwae(w, 0.3), BOTH),
    "vr_iwae_dreg": (
        partial(estimators.vr_iwae_dreg, alpha=0.3), lambda w: bounds.vr_iwae(w, 0.3), BOTH,
    ),
    "ciwae": (partial(estimators.ciwae, beta=0.3), lambda w: bounds.ciwae(w, 0.3), BOTH),
    "miwae(2, 1)": (
        lambda *args, num_samples, **options: estimators.miwae(
            *args, num_samples=1, num_outer=num_samples, **options
        ),
        bounds.elbo, BOTH,
    ),
    "miwae(1, 2)": (partial(estimators.miwae, num_outer=1), bounds.iwae, BOTH),
    "piwae(2, 1)": (
        lambda *args, num_samples, **options: estimators.piwae(
            *args, num_samples=1, num_outer=num_samples, **options
        ),
        bounds.iwae, ("generative",),
    ),
}  # fmt: skip
SCORE_FUNCTION = {
    "score_function": (estimators.score_function, bounds.iwae),
    "leave_one_out": (estimators.leave_one_out, bounds.elbo),
    "vimco_arithmetic": (estimators.vimco_arithmetic, bounds.iwae),
    "vimco_geometric": (estimators.vimco_geometric, bounds.iwae),
    "nvil": (partial(estimators.nvil, **NO_BASELINE), bounds.iwae),
    "ovis(0)": (partial(estimators.ovis, gamma=0.0), bounds.iwae),
}


def table(rows):
    return pytest.mark.parametrize("row", rows.values(), ids=rows)


def linear_gaussian(data_size, latent_size):
    model, params = models.linear_gaussian(
        jax.random.key(5), data_size=data_size, latent_size=latent_size
    )
    # Off the posterior, but near enough for a small rule to be exact to rounding.
    params = jax.tree.map(lambda leaf: 0.4 * leaf, params)
    params.inference["tril"] += 0.2 * jnp.eye(latent_size)
    params.inference["bias"] += 0.3
    return model, params, jnp.arange(1.0, data_size + 1.0)


def from_noise(phi, q, noise):
    return q + (jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))) @ noise


def assert_trees_close(actual, expected, tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0.0, atol=tolerance), actual, expected
    )


def expected_of_two(estimator, setting):
    model, params, x = setting
    return jax.jit(
        partial(
            exact.gaussian_expectation, estimator=estimator, model=model, num_samples=2,
            from_noise=from_noise, noise_size=1, rule=exact.trapezoid(200),
        )
    )(params, x)  # fmt: skip


def gradient_of_two(bound, setting):
    model, params, x = setting
    return jax.jit(jax.value_and_grad(partial(quadrature_bound, model=model, bound=bound)))(
        params, x
    )


@table(REPARAMETERISED)
def test_two_samples_have_the_exact_gradient(float64, row):
    estimator, bound, halves = row
    setting = linear_gaussian(data_size=2, latent_size=1)
    value, gradient = expected_of_two(estimator, setting)
    expected, expected_gradient = gradient_of_two(bound, setting)
    np.testing.assert_allclose(value, expected, atol=1e-9)
    for half in halves:
        slopes = getattr(expected_gradient, half)
        # A gradient that is zero would hide a wrong sign.
        assert all(jnp.max(jnp.abs(leaf)) > 0.02 for leaf in jax.tree.leaves(slopes))
        assert_trees_close(getattr(gradient, half), slopes, 1e-8)


@table({"dreg": estimators.dreg, "gdreg": estimators.gdreg, "pathwise": estimators.pathwise})
def test_one_sample_has_the_exact_gradient_of_the_elbo(float64, row):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    value, gradient = jax.jit(
        partial(
            exact.gaussian_expectation, estimator=row, model=model, num_samples=1,
            from_noise=from_noise, noise_size=2, rule=exact.gauss_hermite(5),
        )
    )(params, x)  # fmt: skip
    expected, expected_gradient = jax.value_and_grad(exact.linear_gaussian_elbo)(params, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_trees_close(gradient, expected_gradient, 1e-10)


def test_sticking_the_landing_is_off_by_the_wake_gradient(float64):
    """Its mean is the gradient of L_K plus E sum w~ grad log q: that is its exact bias."""

    def wake(key, params, x, *, model, num_samples):
        log_joint, log_q = take_samples(
            score_terms, key, params, x, model, num_samples, lambda f, *a: jax.vmap(
                f, (0, *(None for _ in a[1:]))
            )(*a)
        )  # fmt: skip
        surrogate = jnp.sum(normalised(log_joint - log_q) * log_q)
        return with_gradient_of(jnp.zeros(()), surrogate), log_q

    setting = linear_gaussian(data_size=2, latent_size=1)
    _, landed = expected_of_two(estimators.sticking_the_landing, setting)
    _, bias = expected_of_two(wake, setting)
    _, unbiased = gradient_of_two(bounds.iwae, setting)
    total = jax.tree.map(jnp.add, unbiased.inference, bias.inference)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(bias.inference)) > 0.1
    assert_trees_close(landed.inference, total, 1e-8)


def test_piwae_gives_phi_the_bound_of_few_samples(float64):
    setting = linear_gaussian(data_size=2, latent_size=1)
    _, gradient = expected_of_two(REPARAMETERISED["piwae(2, 1)"][0], setting)
    _, of_elbo = gradient_of_two(bounds.elbo, setting)
    assert_trees_close(gradient.inference, of_elbo.inference, 1e-8)


@table(SCORE_FUNCTION)
@pytest.mark.parametrize("num_samples", [2, 3, 4, 5])
def test_finite_latents_have_the_exact_gradient(float64, row, num_samples):
    estimator, bound = row
    model, params, x, latents = three_states()
    value, gradient = jax.jit(
        partial(
            exact.finite_expectation, estimator=estimator, model=model, num_samples=num_samples,
            latents=latents,
        )
    )(params, x)  # fmt: skip
    oracle = partial(
        enumerated_bound, model=model, latents=latents, num_samples=num_samples, bound=bound
    )
    expected, expected_gradient = jax.jit(jax.value_and_grad(oracle))(params, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert jnp.all(jnp.abs(expected_gradient.inference) > 0.01)
    assert_trees_close(gradient._replace(control=()), expected_gradient._replace(control=()), 1e-10)


@table(SCORE_FUNCTION)
def test_a_belief_network_has_the_exact_gradient(float64, row):
    estimator, bound = row
    model, params = models.sigmoid_belief_network(
        jax.random.key(3), event_shape=(3,), latent_size=2
    )
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) + 0.2, params)
    params = params._replace(control=jnp.array(-1.7))
    states = jnp.array(list(itertools.product([0.0, 1.0], repeat=2)))
    options = {"model": model, "num_samples": 2, "latents": states}
    run = jax.jit(partial(exact.finite_expectation, estimator=estimator, **options))
    oracle = jax.jit(jax.value_and_grad(partial(enumerated_bound, bound=bound, **options)))
    x = jnp.array([1.0, 0.0, 1.0])
    (value, gradient), (expected, expected_gradient) = run(params, x), oracle(params, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_trees_close(gradient._replace(control=()), expected_gradient._replace(control=()), 1e-10)


@pytest.mark.parametrize(("num_samples", "num_draws"), [(2, 1), (2, 2), (3, 1)])
def test_fresh_draws_leave_the_gradient_exact(float64, num_samples, num_draws):
    model, params, x, latents = three_states()
    run = partial(
        exact.finite_expectation, model=model, num_samples=num_samples, latents=latents,
        estimator=partial(estimators.ovis_monte_carlo, num_draws=num_draws), num_draws=num_draws,
    )  # fmt: skip
    value, gradient = jax.jit(run)(params, x)
    oracle = partial(
        enumerated_bound, model=model, latents=latents, num_samples=num_samples, bound=bounds.iwae
    )
    expected, expected_gradient = jax.jit(jax.value_and_grad(oracle))(params, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert_trees_close(gradient._replace(control=()), expected_gradient._replace(control=()), 1e-10)


def test_nvil_trains_its_baseline_towards_the_bound(float64):
    """d/db of -E (L - b)^2 / 2 is E L - b."""
    model, params, x, latents = three_states()
    value, gradient = exact.finite_expectation(
        params, x, estimator=SCORE_FUNCTION["nvil"][0], model=model, num_samples=2, latents=latents
    )
    np.testing.assert_allclose(gradient.control, value - params.control, rtol=1e-10)


@pytest.mark.parametrize("name", ["pathwise", "dreg", "gdreg"])
def test_a_learnt_prior_keeps_its_gradient(float64, name):
    """Scalar Gaussian, K = 8: .373, where a weight of w~^2 on lambda would give .031."""
    model, params, x = scalar_gaussian()
    run = partial(getattr(estimators, name), model=model, num_samples=8)
    slope = jax.vmap(jax.grad(lambda p, key: run(key, p, x)[0]), (None, 0))
    draws = jax.jit(slope)(params, jax.random.split(jax.random.key(0), 40_000)).generative
    error = float(draws.std()) / 200.0
    assert abs(float(draws.mean()) - 0.3732) < 4.0 * error + 4e-4
    deviation = 0.237 if name == "gdreg" else 0.252
    np.testing.assert_allclose(draws.std(), deviation, atol=0.004)


def test_gdreg_moves_the_layers_of_a_prior(float64):
    """On a hierarchy, the same mean as dreg for every parameter: paired differences vanish."""
    model, params = models.hierarchical_vae(
        jax.random.key(0), event_shape=(3,), latent_sizes=(2, 1), hidden_sizes=((4,), (3,))
    )
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) + 0.1, params)
    x = jnp.array([1.0, 0.0, 1.0])

    def slope(estimator, key):
        run = lambda p: estimator(key, p, x, model=model, num_samples=4)[0]
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(jax.grad(run)(params))])

    both = jax.jit(
        jax.vmap(lambda key: (slope(estimators.dreg, key), slope(estimators.gdreg, key)))
    )
    dreg, gdreg = map(np.asarray, both(jax.random.split(jax.random.key(1), 20_000)))
    difference, moved = gdreg - dreg, np.abs(gdreg - dreg).max(0) > 1e-9
    assert moved.sum() == sum(leaf.size for leaf in jax.tree.leaves(params.generative["prior"]))
    error = difference.std(0) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(0)[moved]) < 4.5 * error[moved])


@pytest.mark.parametrize("name", ["sticking_the_landing", "dreg", "gdreg", "vr_iwae_dreg"])
def test_phi_is_still_where_q_is_the_posterior(float64, name):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    params = params._replace(inference=exact.linear_gaussian_posterior(params.generative))
    run = partial(REPARAMETERISED[name][0], model=model, num_samples=3)
    slope = jax.vmap(jax.grad(lambda p, key: run(key, p, x)[0]), (None, 0))
    gradient = jax.jit(slope)(params, jax.random.split(jax.random.key(0), 20))
    assert_trees_close(gradient.inference, jax.tree.map(jnp.zeros_like, gradient.inference), 1e-12)
