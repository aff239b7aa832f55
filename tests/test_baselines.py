"""What the expectation does not see: the size of the baselines of score-function estimators."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import estimators, keys, models, weights

K = 4
LEARNT, GAMMA, DRAWS = 0.7, 0.3, 2


def log_mean_exp(values):
    return np.logaddexp.reduce(values) - np.log(len(values))


def geometric(others):
    return log_mean_exp(np.append(others, np.mean(others)))


def with_fresh(others, fresh):
    """The control variate of OVIS: what the signal would be with each fresh draw instead."""
    moved = [np.append(others, one) for one in fresh]
    return np.mean(
        [log_mean_exp(log_w) - np.exp(log_w[-1]) / np.exp(log_w).sum() for log_w in moved]
    )


# name -> estimator, and what multiplies grad log q(z_k) but for the weight of the sample, from all
# log-weights [K], those of the others [K - 1], and those of fresh draws of the sample [DRAWS]
TABLE = {
    "score_function": (
        estimators.score_function,
        lambda log_w, others, fresh: log_mean_exp(log_w),
    ),
    "nvil": (
        partial(estimators.nvil, baseline=lambda control, x: control),
        lambda log_w, others, fresh: log_mean_exp(log_w) - LEARNT,
    ),
    "leave_one_out": (
        estimators.leave_one_out,
        lambda log_w, others, fresh: (np.sum(log_w) - np.sum(others) - np.mean(others)) / K,
    ),
    "vimco_arithmetic": (
        estimators.vimco_arithmetic,
        lambda log_w, others, fresh: log_mean_exp(log_w) - log_mean_exp(others),
    ),
    "vimco_geometric": (
        estimators.vimco_geometric,
        lambda log_w, others, fresh: log_mean_exp(log_w) - geometric(others),
    ),
    "ovis": (
        partial(estimators.ovis, gamma=GAMMA),
        lambda log_w, others, fresh: (
            log_mean_exp(log_w)
            - log_mean_exp(others)
            - (1.0 - GAMMA) * np.log(1.0 - 1.0 / K)
            + GAMMA * (1.0 - np.exp(others).sum() / np.exp(log_w).sum())
        ),
    ),
    "ovis_monte_carlo": (
        partial(estimators.ovis_monte_carlo, num_draws=DRAWS),
        lambda log_w, others, fresh: log_mean_exp(log_w) - with_fresh(others, fresh),
    ),
}


@pytest.fixture(scope="module")
def setting():
    model, params = models.linear_gaussian(jax.random.key(5), data_size=3, latent_size=2)
    params = jax.tree.map(lambda leaf: 0.4 * leaf, params)
    return model, params._replace(control=jnp.array(LEARNT)), jnp.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", TABLE)
def test_each_sample_has_the_signal_of_the_formula(setting, name):
    model, params, x = setting
    estimator, signal = TABLE[name]
    key = jax.random.key(0)

    @jax.jit
    def both(phi):
        objective = lambda phi: estimator(
            key, params._replace(inference=phi), x, model=model, num_samples=K
        )[0]
        q = model.inference.encode(phi, x)
        draw = lambda key: model.inference.sample_and_log_prob(key, phi, q)[0]
        zs = jax.vmap(draw)(keys.samples(key, K))
        log_q = lambda phi, z: model.inference.log_prob(phi, model.inference.encode(phi, x), z)
        scores = jax.vmap(jax.grad(log_q), (None, 0))(phi, zs)
        return jax.grad(objective)(phi), scores

    found, scores = both(params.inference)
    log_w = np.asarray(weights.log_weights(key, params, x, model=model, num_samples=K), float)
    extra = jax.vmap(jax.vmap(keys.extra, (None, None, 0)), (None, 0, None))
    q = model.inference.encode(params.inference, x)
    again = lambda key: weights.sample_log_weight(key, params, x, q, model=model)
    fresh = jax.vmap(jax.vmap(again))(extra(key, jnp.arange(K), jnp.arange(DRAWS)))
    others = [np.delete(log_w, k) for k in range(K)]
    signals = np.array([signal(log_w, others[k], fresh[k]) for k in range(K)])
    if name != "leave_one_out":  # whose bound is the ELBO
        signals -= np.exp(log_w - np.logaddexp.reduce(log_w))
    expected = jax.tree.map(lambda leaf: np.tensordot(signals, leaf, 1), scores)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected
    )
