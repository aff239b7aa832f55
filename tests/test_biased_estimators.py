"""Directions that are no bound's gradient: each against what it is, and its exact bias."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import (
    GenerativeModel,
    Params,
    bounds,
    densities,
    estimators,
    exact,
    keys,
    latent_variable_model,
)
from tests.oracles import enumerated_bound, state_log_probs, three_states, tuples_of_states
from tests.test_estimators import assert_trees_close, expected_of_two, linear_gaussian


def expectation(estimator, num_samples, setting):
    model, params, x, latents = setting
    run = partial(
        exact.finite_expectation, estimator=estimator, model=model, num_samples=num_samples,
        latents=latents,
    )  # fmt: skip
    return jax.jit(run)(params, x)


def bound_gradient(bound, num_samples, setting):
    model, params, x, latents = setting
    oracle = partial(
        enumerated_bound, model=model, latents=latents, num_samples=num_samples, bound=bound
    )
    return jax.jit(jax.value_and_grad(oracle))(params, x)


def averaged(direction, num_samples, setting):
    """Gradient of ``direction(log_joint [K], log_q [K]) -> []``, averaged over all tuples."""
    model, params, x, latents = setting

    def total(params):
        log_joint, log_q = state_log_probs(params, x, model, latents)
        probs, tuples = tuples_of_states(jax.lax.stop_gradient(log_q), num_samples)
        return probs @ jax.vmap(direction)(log_joint[tuples], log_q[tuples])

    return jax.jit(jax.grad(total))(params)


def wake_phi(log_joint, log_q):
    return jnp.sum(jax.lax.stop_gradient(jax.nn.softmax(log_joint - log_q)) * log_q)


def imitation(setting):
    """Gradient in phi of E log q(z | x) under the posterior."""
    model, params, x, latents = setting

    def mean_log_q(phi):
        log_joint, log_q = state_log_probs(params._replace(inference=phi), x, model, latents)
        return jax.nn.softmax(jax.lax.stop_gradient(log_joint)) @ log_q

    return jax.grad(mean_log_q)(params.inference)


@pytest.mark.parametrize("num_samples", [2, 5])
def test_wake_wake_has_the_wake_gradient(float64, num_samples):
    setting = three_states()
    value, gradient = expectation(estimators.wake_wake, num_samples, setting)
    bound, unbiased = bound_gradient(bounds.iwae, num_samples, setting)
    np.testing.assert_allclose(value, bound, rtol=1e-12)
    assert_trees_close(gradient.generative, unbiased.generative, 1e-10)
    wake = averaged(wake_phi, num_samples, setting).inference
    assert jnp.max(jnp.abs(wake)) > 0.1
    assert_trees_close(gradient.inference, wake, 1e-10)


def test_bias_of_wake_wake_falls_with_the_samples(float64):
    """Against the gradient of -KL(posterior || q): all of it at K = 1, then about 1 / K."""
    setting = three_states()
    target = imitation(setting)
    bias = lambda k: expectation(estimators.wake_wake, k, setting)[1].inference - target
    np.testing.assert_allclose(bias(1), -target, atol=1e-12)
    sizes = [float(jnp.linalg.norm(bias(k))) for k in (1, 2, 4)]
    np.testing.assert_allclose(sizes, [0.5502100298, 0.3131070566, 0.1637196936], rtol=1e-8)


def test_wake_wake_of_the_bernoulli_case(float64):
    """The case in which a library gives minus this number for the gradient of the bound."""
    model = latent_variable_model(
        log_joint=lambda theta, x, z: (
            densities.bernoulli_log_prob(theta, z) + densities.gaussian_log_prob(2.0 * z, 0.0, x)
        ),
        sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
        log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
        reparameterised=False,
    )
    setting = (
        model, Params(jnp.array(0.3), jnp.array(-0.5)), jnp.array(1.5), jnp.array([0.0, 1.0])
    )  # fmt: skip
    gradient = expectation(estimators.wake_wake, 2, setting)[1]
    np.testing.assert_allclose(gradient.inference, 0.1683327, atol=5e-8)
    gradient = expectation(partial(estimators.ovis, gamma=0.0), 2, setting)[1]
    np.testing.assert_allclose(gradient.inference, 0.2960954, atol=5e-8)


def test_wake_wake_dreg_has_the_expectation_of_wake_wake(float64):
    setting = linear_gaussian(data_size=2, latent_size=1)
    _, wake = expected_of_two(estimators.wake_wake, setting)
    _, dreg = expected_of_two(estimators.wake_wake_dreg, setting)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wake.inference)) > 0.1
    assert_trees_close(dreg, wake, 1e-8)


@pytest.mark.parametrize(("num_samples", "gamma"), [(2, 1.0), (5, 0.3)])
def test_ovis_is_off_by_its_share_of_the_wake_gradient(float64, num_samples, gamma):
    setting = three_states()
    _, unbiased = bound_gradient(bounds.iwae, num_samples, setting)
    wake = averaged(wake_phi, num_samples, setting).inference
    _, gradient = expectation(partial(estimators.ovis, gamma=gamma), num_samples, setting)
    assert_trees_close(gradient.generative, unbiased.generative, 1e-10)
    assert_trees_close(gradient.inference, unbiased.inference + gamma * wake, 1e-10)


@pytest.mark.parametrize("gamma", [-0.1, 1.1])
def test_a_share_lies_between_none_and_all(gamma):
    model, params, x, _ = three_states()
    with pytest.raises(ValueError, match="gamma"):
        estimators.ovis(jax.random.key(0), params, x, model=model, num_samples=2, gamma=gamma)


def test_ovis_monte_carlo_needs_a_fresh_draw():
    model, params, x, _ = three_states()
    with pytest.raises(ValueError, match="num_draws"):
        estimators.ovis_monte_carlo(
            jax.random.key(0), params, x, model=model, num_samples=2, num_draws=0
        )


TVO_BIAS = {
    "generative": [0.2673766951, 0.1130076145],
    "inference": [0.1089020161, 0.0630163393],
}
PARTITION = np.array([0.0, 0.25, 0.75, 1.0])


def test_tvo_of_one_step_is_the_elbo(float64):
    setting = three_states()
    value, gradient = expectation(
        partial(estimators.tvo, partition=jnp.array([0.0, 1.0])), 3, setting
    )
    bound, unbiased = bound_gradient(bounds.elbo, 3, setting)
    np.testing.assert_allclose(value, bound, rtol=1e-12)
    assert_trees_close(gradient._replace(control=()), unbiased._replace(control=()), 1e-10)


def left_sum(log_joint, log_q):
    """Self-normalised left sum whose derivative at fixed samples is a mean and a covariance."""
    bessel = len(log_q) / (len(log_q) - 1)
    log_w, total = log_joint - log_q, 0.0
    for beta, following in pairwise(PARTITION):
        proposal = jax.lax.stop_gradient(log_q)
        w = jax.nn.softmax(beta * log_joint + (1.0 - beta) * log_q - proposal)
        mean = jax.lax.stop_gradient(w) @ log_w + bessel * w @ jax.lax.stop_gradient(log_w)
        total += (following - beta) * mean
    return total


@pytest.mark.parametrize("num_samples", [3])
def test_tvo_has_the_covariance_gradient(float64, num_samples):
    setting = three_states()
    value, gradient = expectation(
        partial(estimators.tvo, partition=PARTITION), num_samples, setting
    )
    bound, _ = bound_gradient(partial(bounds.tvo_lower, partition=PARTITION), num_samples, setting)
    np.testing.assert_allclose(value, bound, rtol=1e-12)
    expected = averaged(left_sum, num_samples, setting)
    assert_trees_close(gradient._replace(control=()), expected._replace(control=()), 1e-10)


def test_bias_of_tvo_falls_with_the_samples(float64):
    """Against the gradient of the left sum under the exact tempered posteriors."""
    setting = model, params, x, latents = three_states()

    def exact_left_sum(params):
        log_joint, log_q = state_log_probs(params, x, model, latents)
        betas = PARTITION[:-1, None]
        tempered = jax.nn.softmax(betas * log_joint + (1.0 - betas) * log_q)
        return jnp.diff(PARTITION) @ tempered @ (log_joint - log_q)

    target = jax.grad(exact_left_sum)(params)
    run = partial(estimators.tvo, partition=PARTITION)
    for half, expected in TVO_BIAS.items():
        bias = [getattr(expectation(run, k, setting)[1], half) for k in (2, 4)]
        sizes = [float(distance(leaf, getattr(target, half))) for leaf in bias]
        np.testing.assert_allclose(sizes, expected, rtol=1e-8)


def distance(a, b):
    squares = jax.tree.map(lambda left, right: jnp.sum((left - right) ** 2), a, b)
    return jnp.sqrt(sum(jax.tree.leaves(squares)))


def dreaming(choices):
    """Three states and a binary datum; dream k is state and datum ``choices[k]`` of the six."""
    states = jnp.eye(3)
    dream_keys = keys.samples(keys.tagged(jax.random.key(0), keys.DREAM), len(choices))

    def drawn(key, draw):
        place = jax.vmap(keys.sample, (0, None))(dream_keys, draw)
        same = jnp.all(jax.random.key_data(place) == jax.random.key_data(key), axis=-1)
        # A key that is not a dream's poisons what it draws.
        return jnp.where(jnp.any(same), choices[jnp.argmax(same)], -1), jnp.any(same)

    def sample_prior(key, theta):
        choice, known = drawn(key, 0)
        return jnp.where(known, states[choice // 2], jnp.nan)

    def sample_likelihood(key, theta, z):
        choice, known = drawn(key, 1)
        return jnp.where(known, (choice % 2).astype(z.dtype), jnp.nan)

    def log_likelihood(theta, x, z):
        return densities.bernoulli_log_prob(theta["likelihood"] @ z, x)

    log_posterior = lambda phi, x, z: z @ jax.nn.log_softmax(phi[0] + phi[1] * x)
    model = latent_variable_model(
        log_joint=lambda theta, x, z: (
            z @ jax.nn.log_softmax(theta["prior"]) + log_likelihood(theta, x, z)
        ),
        sample_posterior=lambda key, phi, x: jax.nn.one_hot(
            jax.random.categorical(key, phi[0] + phi[1] * x), 3, dtype=phi.dtype
        ),
        log_posterior=log_posterior,
        reparameterised=False,
    )
    generative = GenerativeModel(
        model.generative.log_joint, sample_prior=sample_prior, sample_likelihood=sample_likelihood
    )
    return model._replace(generative=generative)


def test_wake_sleep_averages_log_q_over_the_dreams(float64):
    """phi's direction is the gradient of E log q(z | x) over the model's own (x, z)."""
    theta = {"prior": jnp.array([0.5, -0.2, 0.1]), "likelihood": jnp.array([1.0, -2.0, 0.3])}
    params = Params(theta, jnp.array([[0.3, -0.9, 0.6], [0.2, 0.7, -0.4]]))
    x, states, data = jnp.array(1.0), jnp.eye(3), jnp.array([0.0, 1.0])

    def direction(choices):
        run = partial(estimators.wake_sleep, model=dreaming(choices), num_samples=2)
        return jax.grad(lambda params: run(jax.random.key(0), params, x)[0])(params).inference

    log_p = jax.nn.log_softmax(theta["prior"])[:, None] + jax.vmap(
        lambda state: jax.vmap(
            lambda x: densities.bernoulli_log_prob(theta["likelihood"] @ state, x)
        )(data)
    )(states)
    probs = jnp.exp(log_p).reshape(-1)
    pairs = jnp.stack(jnp.meshgrid(jnp.arange(6), jnp.arange(6)), -1).reshape(-1, 2)
    mean = jnp.einsum("n,n...->...", probs[pairs].prod(-1), jax.jit(jax.vmap(direction))(pairs))

    def expected(phi):
        log_q = lambda x: jax.nn.log_softmax(phi[0] + phi[1] * x)
        return jnp.sum(jnp.exp(log_p) * jax.vmap(log_q)(data).T)

    assert_trees_close(mean, jax.grad(expected)(params.inference), 1e-12)


def test_wake_sleep_trains_theta_on_the_bound(float64):
    """theta climbs the bound of the datum: no gradient flows through a dream."""
    model, params, x, latents = three_states()
    dreams = model.generative._replace(
        sample_prior=lambda key, theta: jax.nn.softmax(theta["prior"]),
        sample_likelihood=lambda key, theta, z: z @ theta["mean"],
    )
    setting = (model._replace(generative=dreams), params, x, latents)
    value, gradient = expectation(estimators.wake_sleep, 3, setting)
    bound, unbiased = bound_gradient(bounds.iwae, 3, setting)
    np.testing.assert_allclose(value, bound, rtol=1e-12)
    assert_trees_close(gradient.generative, unbiased.generative, 1e-10)


@pytest.mark.parametrize("name", ["sample_prior", "sample_likelihood"])
def test_wake_sleep_names_the_function_it_misses(name):
    model, params, x, _ = three_states()
    draws = {"sample_prior": lambda *_: None, "sample_likelihood": lambda *_: None, name: None}
    lacking = model._replace(generative=model.generative._replace(**draws))
    with pytest.raises(ValueError, match=f"wake_sleep needs .*{name}"):
        estimators.wake_sleep(jax.random.key(0), params, x, model=lacking, num_samples=2)
