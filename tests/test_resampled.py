"""Few backward passes: unbiased given the samples, by integration over the one uniform number."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import estimators, exact, keys, models
from tests.test_estimators import assert_trees_close, linear_gaussian

FEW = {
    "one": (partial(estimators.resampled_systematic, num_resampled=1), 1),
    "systematic": (partial(estimators.resampled_systematic, num_resampled=3), 3),
    "top": (partial(estimators.resampled_top, num_top=2), None),
}


def jumps(w, num_resampled):
    """Where the choice changes, as u goes from 0 to 1."""
    if num_resampled is None:
        rest = np.where(w < np.sort(w)[-2], w, 0.0)
        return np.cumsum(rest)[:-1] / rest.sum()
    return (num_resampled * np.cumsum(w)[:-1]) % 1.0


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_mean_over_the_choice_is_the_pathwise_gradient(float64, name, seed):
    estimator, num_resampled = FEW[name]
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    key = jax.random.key(seed)
    options = {"model": model, "num_samples": 5}
    pathwise = lambda params: estimators.pathwise(key, params, x, **options)
    (bound, log_weights), expected = jax.jit(
        lambda params: (pathwise(params), jax.grad(lambda p: pathwise(p)[0])(params))
    )(params)
    breakpoints = jumps(np.asarray(jax.nn.softmax(log_weights)), num_resampled)
    points = [point for point in breakpoints if 1e-12 < point < 1.0 - 1e-12]
    nodes, probs = exact.gauss_legendre(1, breakpoints=points)
    assert len(nodes) > 2

    def at(u):
        def noise(drawn_with, shape, dtype):
            right = keys.tagged(key, keys.RESAMPLING)
            same = jnp.all(jax.random.key_data(drawn_with) == jax.random.key_data(right))
            return jnp.where(same, u, jnp.nan).astype(dtype).reshape(shape)

        run = lambda params: estimator(key, params, x, noise=noise, **options)
        (value, of_all), gradient = jax.value_and_grad(run, has_aux=True)(params)
        return value, of_all, gradient

    values, of_all, gradients = jax.jit(jax.vmap(at))(jnp.array(nodes))
    np.testing.assert_allclose(values, bound, rtol=1e-12)
    np.testing.assert_allclose(of_all, jnp.broadcast_to(log_weights, of_all.shape), rtol=1e-12)
    mean = jax.tree.map(lambda leaf: jnp.tensordot(jnp.array(probs), leaf, 1), gradients)
    spread = jax.tree.map(lambda leaf: leaf.std(0).max(), gradients)
    assert max(jax.tree.leaves(spread)) > 1e-3
    assert_trees_close(mean, expected, 1e-12)


def test_the_heaviest_samples_leave_little_to_chance(float64):
    """All but the lightest sample taken exactly: nothing is left to chance at all."""
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    key, options = jax.random.key(0), {"model": model, "num_samples": 4}
    run = lambda estimator: jax.grad(lambda p: estimator(key, p, x, **options)[0])(params)
    few = run(partial(estimators.resampled_top, num_top=3))
    assert_trees_close(few, run(estimators.pathwise), 1e-12)


@pytest.mark.parametrize("name", FEW)
def test_few_backward_passes_cost_less(name):
    """Arithmetic of the compiled gradient at K = 50: a third of `pathwise` is its forward pass."""
    model, params = models.vae(jax.random.key(0), event_shape=(50,), latent_size=4)
    x = jnp.zeros(50)

    def operations(estimator):
        objective = lambda p: estimator(jax.random.key(1), p, x, model=model, num_samples=50)[0]
        return jax.jit(jax.grad(objective)).lower(params).compile().cost_analysis()["flops"]

    assert operations(FEW[name][0]) < 0.5 * operations(estimators.pathwise)


@pytest.mark.parametrize("count", [0, 6])
def test_a_number_of_backward_passes_out_of_range_is_refused(count):
    model, params, x = linear_gaussian(data_size=3, latent_size=2)
    run = {"model": model, "num_samples": 5}
    with pytest.raises(ValueError, match="num_resampled"):
        estimators.resampled_systematic(jax.random.key(0), params, x, num_resampled=count, **run)
    with pytest.raises(ValueError, match="num_top"):
        estimators.resampled_top(jax.random.key(0), params, x, num_top=count and count - 1, **run)
