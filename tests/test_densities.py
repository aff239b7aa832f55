"""Log-densities against scipy, and their gradients against the closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from iwae_jax import densities

MEAN = np.array([0.5, -1.0, 2.0], np.float32)
LOG_SCALE = np.array([0.2, -0.7, 0.9], np.float32)
X = np.array([1.5, -0.2, -1.0], np.float32)


def test_gaussian_log_prob_is_scipys():
    ours = densities.gaussian_log_prob(*map(jnp.array, (MEAN, LOG_SCALE, X)))
    theirs = scipy.stats.norm(MEAN, np.exp(LOG_SCALE)).logpdf(X).sum()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_standard_gaussian_log_prob_is_scipys():
    ours = densities.standard_gaussian_log_prob(jnp.array(X))
    np.testing.assert_allclose(ours, scipy.stats.norm.logpdf(X).sum(), rtol=1e-5)


def test_gaussian_sample_comes_with_its_own_log_prob():
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    z, log_q = densities.gaussian_sample_and_log_prob(jax.random.key(0), latents)
    np.testing.assert_allclose(log_q, densities.gaussian_log_prob(*latents, z), rtol=1e-5)


def test_gaussian_samples_have_the_mean_and_scale():
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    draw = jax.vmap(lambda key: densities.gaussian_sample_and_log_prob(key, latents)[0])
    z = np.asarray(draw(jax.random.split(jax.random.key(0), 20_000)))
    scale = np.exp(LOG_SCALE)
    assert np.all(np.abs(z.mean(0) - MEAN) < 4.0 * scale / np.sqrt(len(z)))
    assert np.all(np.abs(z.std(0) - scale) < 4.0 * scale / np.sqrt(2 * len(z)))


def test_gaussian_samples_are_reparameterised():
    """dz/dmean = 1 and dz/dlog_scale = z - mean."""
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    sample = lambda q: densities.gaussian_sample_and_log_prob(jax.random.key(0), q)[0]
    jacobian = jax.jacobian(sample)(latents)
    np.testing.assert_allclose(jacobian.mean, np.eye(3), rtol=1e-6)
    np.testing.assert_allclose(
        jacobian.log_scale, np.diag(sample(latents) - MEAN), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("x", [[0.0, 1.0, 1.0], [1.0, 0.0, 0.25]])
def test_bernoulli_log_prob_and_gradient_are_the_closed_forms(x):
    logits, x = jnp.array([-1.3, 0.4, 2.0]), jnp.array(x)
    p = 1.0 / (1.0 + np.exp(-np.asarray(logits)))
    value, gradient = jax.value_and_grad(densities.bernoulli_log_prob)(logits, x)
    np.testing.assert_allclose(value, np.sum(x * np.log(p) + (1 - x) * np.log1p(-p)), rtol=1e-5)
    np.testing.assert_allclose(gradient, x - p, rtol=1e-5)


def test_bernoulli_differentiates_twice_forward_and_in_x():
    logits, x = jnp.array([-1.3, 0.4]), jnp.array([0.0, 1.0])
    p = jax.nn.sigmoid(logits)
    hessian = jax.hessian(densities.bernoulli_log_prob)(logits, x)
    np.testing.assert_allclose(hessian, np.diag(-p * (1 - p)), rtol=1e-5)
    forward = jax.jacfwd(densities.bernoulli_log_prob, argnums=1)(logits, x)
    np.testing.assert_allclose(forward, logits, rtol=1e-6)


@pytest.mark.parametrize("logit", [1e4, -1e4, 88.0, -88.0])
def test_bernoulli_is_finite_at_extreme_logits(logit):
    right, wrong = (1.0, 0.0) if logit > 0 else (0.0, 1.0)
    log_prob = lambda x: densities.bernoulli_log_prob(jnp.array([logit]), jnp.array([x]))
    np.testing.assert_allclose(log_prob(right), 0.0, atol=1e-30)
    np.testing.assert_allclose(log_prob(wrong), -abs(logit), rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, jnp.uint8, jnp.int32])
def test_bernoulli_reads_bits_of_any_dtype(dtype):
    logits, x = jnp.array([-1.3, 0.4]), jnp.array([0, 1])
    expected = densities.bernoulli_log_prob(logits, x.astype(logits.dtype))
    assert densities.bernoulli_log_prob(logits, x.astype(dtype)) == expected


def test_shapes_must_agree():
    with pytest.raises(AssertionError, match="shape"):
        densities.bernoulli_log_prob(jnp.zeros(3), jnp.zeros(2))
