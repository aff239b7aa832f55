"""Float32 against float64 at K = 10,000 and log-weights near -550."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds, estimators, models
from iwae_jax.densities import standard_gaussian_log_prob

NUM_SAMPLES = 10_000


@pytest.mark.parametrize("spread", [0.1, 2.0, 10.0])
def test_gradients_of_the_same_log_weights(float64, spread):
    """The softmax and what it weighs, relative to the largest entry of either."""
    rng = np.random.default_rng(0)
    log_weights = (-550.0 + spread * rng.normal(size=NUM_SAMPLES)).astype(np.float32)
    slopes = rng.normal(size=(NUM_SAMPLES, 7)).astype(np.float32)

    def gradients(dtype):
        weighted = lambda shift: bounds.iwae(jnp.asarray(log_weights, dtype) + shift)
        in_weights = jax.grad(weighted)(jnp.zeros(NUM_SAMPLES, dtype))
        along = lambda t: bounds.iwae(
            jnp.asarray(log_weights, dtype) + jnp.asarray(slopes, dtype) @ t
        )
        return in_weights, jax.grad(along)(jnp.zeros(7, dtype))

    for single, double in zip(gradients(jnp.float32), gradients(jnp.float64), strict=True):
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, double, rtol=0.0, atol=1e-5 * float(abs(double).max()))


@pytest.mark.parametrize("name", ["pathwise", "dreg", "vimco_arithmetic"])
def test_gradients_through_a_likelihood_of_784_pixels(float64, name):
    model, params = models.vae(
        jax.random.key(0), event_shape=(784,), latent_size=4, hidden_sizes=(16,)
    )

    def same_noise(key, phi, q):
        # Each precision draws normals of its own: these are single, and cast.
        noise = jax.random.normal(key, q.mean.shape, jnp.float32).astype(q.mean.dtype)
        log_q = standard_gaussian_log_prob(noise) - q.log_scale.sum()
        return q.mean + jnp.exp(q.log_scale) * noise, log_q

    model = model._replace(inference=model.inference._replace(sample_and_log_prob=same_noise))
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (784,))

    @jax.jit
    def gradient(params, x):
        run = lambda params: getattr(estimators, name)(
            jax.random.key(2), params, x, model=model, num_samples=NUM_SAMPLES
        )
        return jax.value_and_grad(run, has_aux=True)(params)

    cast = lambda tree, dtype: jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
    (_, log_weights), double = gradient(*cast((params, x), jnp.float64))
    _, single = gradient(*cast((params, x), jnp.float32))
    assert -650.0 < log_weights.mean() < -500.0
    for leaf, exact in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        assert leaf.dtype == jnp.float32
        np.testing.assert_allclose(leaf, exact, rtol=0.0, atol=5e-4 * float(abs(exact).max()))
