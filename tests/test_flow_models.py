"""Whole flows: they integrate to one, draw what they say, train, and are NICE's where asked."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import expit

from iwae_jax import estimators, evaluation, flows, keys, training

KEY = jax.random.key(0)
PLANE, PIXELS = (2,), (2, 3)
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def disturbed(params, scale=0.2, seed=1):
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    noise = [jnp.asarray(scale * rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(tree, [a + b for a, b in zip(leaves, noise, strict=True)])


def spline_flow(key):
    transformer = flows.rational_quadratic(num_bins=4)
    return flows.realnvp(key, PLANE, hidden_sizes=(8,), transformer=transformer)


def autoregressive_flow(key):
    layer = flows.masked_autoregressive(key, PLANE, hidden_sizes=(8,), activation=jnp.tanh)
    return flows.transformed(
        flows.logistic(PLANE), flows.chain([layer, flows.lu_linear(key, (2,))])
    )


def planar_flow(key):
    build = lambda key: flows.planar(key, PLANE, scale=1.0)
    base = flows.gaussian_mixture(num_components=3, size=2)
    return flows.transformed(base, flows.repeat(key, build, num_layers=2))


PLANE_FLOWS = {
    "realnvp": lambda key: flows.realnvp(key, PLANE, num_blocks=2, hidden_sizes=(8,)),
    "spline": spline_flow,
    "nice": lambda key: flows.nice(key, PLANE, hidden_sizes=(8,)),
    "autoregressive": autoregressive_flow,
    "planar": planar_flow,
}


def plane_flow(name):
    flow, params = PLANE_FLOWS[name](KEY)
    # A spline can be steep, and a grid must see its peaks.
    params = disturbed(params, 0.07 if name == "spline" else 0.2)
    for leaf in jax.tree.leaves(params, is_leaf=lambda node: "directions" in node
                                if isinstance(node, dict) else False):  # fmt: skip
        if isinstance(leaf, dict):
            leaf["directions"] = jnp.eye(2)
    return flow, params


@pytest.fixture(scope="module", params=PLANE_FLOWS, name="plane")
def plane_flows(request):
    flow, params = plane_flow(request.param)
    log_probs = jax.jit(jax.vmap(flow.log_prob, (None, 0)))
    samples = jax.jit(jax.vmap(flow.sample_and_log_prob, (0, None)))
    return flow, params, log_probs, samples(jax.random.split(jax.random.key(2), 4000), params)


def test_the_density_of_the_plane_integrates_to_one(plane):
    """On a grid that reaches well past where samples lie, with steps well below what it shows."""
    _, params, log_probs, (xs, _) = plane
    low, high = np.min(xs, 0), np.max(xs, 0)
    low, high = 1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low
    axes = [np.linspace(a, b, 500) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2).astype(np.float32)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert abs(np.sum(np.exp(np.asarray(log_probs(params, grid), np.float64))) * cell - 1.0) < 0.005


def test_a_sample_comes_with_its_own_log_prob(plane):
    _, params, log_probs, (xs, log_q) = plane
    np.testing.assert_allclose(log_q[:100], log_probs(params, xs[:100]), rtol=1e-3, atol=2e-3)


def test_sample_is_the_sample_of_sample_and_log_prob(plane):
    flow, params, _, (xs, _) = plane
    own = jax.random.split(jax.random.key(2), 4000)[0]
    np.testing.assert_allclose(flow.sample(own, params), xs[0], rtol=1e-4, atol=1e-5)


def test_temperature_scales_the_noise():
    flow, params = plane_flow("realnvp")

    @jax.jit
    def latent(temperature):
        x = flow.sample(jax.random.key(3), params, temperature=temperature)
        return flow.inverse_and_log_det(params, x)[0]

    np.testing.assert_allclose(latent(0.0), 0.0, atol=1e-5)
    np.testing.assert_allclose(latent(0.5), 0.5 * latent(1.0), rtol=1e-3, atol=1e-4)
    assert np.all(np.abs(latent(1.0)) > 0.01)


def test_an_initialised_realnvp_is_the_gaussian_of_the_data():
    xs = np.random.default_rng(0).normal(size=(500, 2)) @ np.array([[2.0, 0.3], [0.0, 0.1]]) + 3.0
    xs = jnp.asarray(xs, jnp.float32)
    flow, params = flows.realnvp(KEY, PLANE, hidden_sizes=(8,))
    log_probs = jax.jit(jax.vmap(flow.log_prob, (None, 0)), compiler_options=QUICK)
    ours = log_probs(flow.initialise(params, xs), xs)
    theirs = scipy.stats.multivariate_normal(np.mean(xs, 0), np.cov(xs.T, ddof=0)).logpdf(xs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("event_shape", "num_scales", "latent_shapes"),
    [
        ((4, 2, 1), 2, ((2, 1, 2), (2, 1, 2))),
        ((8, 4, 1), 3, (((2, 1, 4), (2, 1, 4)), (4, 2, 2))),
    ],
)
def test_multi_scale_undoes_itself_and_normalises(event_shape, num_scales, latent_shapes):
    flow, params = flows.multi_scale_realnvp(
        KEY, event_shape, num_scales=num_scales, width=2, num_residual_blocks=1
    )

    @functools.partial(jax.jit, compiler_options=QUICK)
    def both(xs):
        fitted = disturbed(flow.initialise(params, xs), 0.05)
        z, log_det = flow.inverse_and_log_det(fitted, xs[0])
        again, other = flow.forward_and_log_det(fitted, z)
        return z, again, log_det + other

    xs = 3.0 * jax.random.normal(KEY, (6, *event_shape)) + 1.0
    z, again, total = both(xs)
    assert jax.tree.map(jnp.shape, z) == latent_shapes
    np.testing.assert_allclose(again, xs[0], atol=1e-4)
    np.testing.assert_allclose(total, 0.0, atol=1e-4)


def test_pixels_keep_their_probability():
    """The logit and the log-density of the plain Gaussian, written out in numpy."""
    alpha = 0.05
    flow, params = flows.transformed(
        flows.standard_normal(PIXELS), flows.logit_pixels(PIXELS, alpha=alpha)
    )
    x = np.random.default_rng(0).uniform(0.0, 256.0, PIXELS)
    p = alpha + (1.0 - 2.0 * alpha) * x / 256.0
    y = np.log(p / (1.0 - p))
    expected = scipy.stats.norm.logpdf(y) + np.log((1.0 - 2.0 * alpha) / 256.0 / (p * (1.0 - p)))
    ours = flow.log_prob(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(ours, expected.sum(), rtol=1e-5)
    sample = flow.sample(KEY, params)
    np.testing.assert_allclose(
        sample, 256.0 * (expit(jax.random.normal(KEY, PIXELS)) - alpha) / 0.9, rtol=1e-4
    )


def test_outside_the_pixels_the_density_is_zero_and_nan_stays_nan():
    flow, params = flows.transformed(flows.standard_normal((2,)), flows.logit_pixels((2,)))
    assert flow.log_prob(params, jnp.array([10.0, 900.0])) == -jnp.inf
    assert np.isnan(flow.log_prob(params, jnp.array([10.0, jnp.nan])))
    with pytest.raises(TypeError, match="dequantise"):
        flow.log_prob(params, jnp.array([10, 20], jnp.uint8))


def test_bits_of_a_uniform_density():
    np.testing.assert_allclose(flows.bits_per_dim(-12 * math.log(256.0), size=12), 8.0)
    with pytest.raises(ValueError, match="size"):
        flows.bits_per_dim(0.0, size=0)


def conditional_noise():
    noise, phi = flows.realnvp(
        jax.random.key(5), PIXELS, num_blocks=1, hidden_sizes=(5,), context_size=6
    )
    return noise, disturbed(phi, 0.2)


@functools.cache
def dequantised(kind):
    layer = flows.logit_pixels(PIXELS)
    flow, params = flows.realnvp(KEY, PIXELS, num_blocks=1, hidden_sizes=(5,), preprocessing=layer)
    if kind == "uniform":
        return flows.uniform_dequantisation(params, flow=flow)
    noise, phi = conditional_noise()
    phi["bijection"][1]["directions"] = jnp.eye(6)
    return flows.variational_dequantisation(params, phi, flow=flow, noise=noise)


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_noise_of_dequantisation_has_a_density_on_the_cube(kind):
    """The density integrates to one, and comes with the samples."""
    model, params = dequantised(kind)
    x = jnp.asarray(np.random.default_rng(0).integers(0, 256, PIXELS), jnp.float32)
    q = model.inference.encode(params.inference, x)
    log_prob = lambda u: model.inference.log_prob(params.inference, q, u)

    @jax.jit
    @jax.vmap
    def draw(key):
        u, log_q = model.inference.sample_and_log_prob(key, params.inference, q)
        return u, log_q, log_prob(u), log_prob(jax.random.uniform(key, PIXELS, q.dtype))

    u, log_q, again, elsewhere = draw(jax.random.split(KEY, 20_000))
    assert np.all((u >= 0.0) & (u <= 1.0))
    np.testing.assert_allclose(log_q, again, atol=5e-3)
    density = np.exp(np.asarray(elsewhere, np.float64))
    assert abs(density.mean() - 1.0) <= 4.0 * density.std() / np.sqrt(len(density))


def test_more_samples_tighten_the_dequantisation_bound():
    model, params = dequantised("variational")
    xs = jnp.asarray(np.random.default_rng(0).integers(0, 256, (20, *PIXELS)), jnp.float32)
    measure = jax.jit(functools.partial(evaluation.log_likelihood, model=model, num_samples=500))
    found = measure(KEY, params, xs)
    assert np.all(found.bound > found.elbo)


def test_a_flow_trains_with_the_training_of_the_library(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, *PIXELS), dtype=np.uint8)
    images[:, 1] = images[:, 0] // 2 + 20
    flow, start = flows.realnvp(
        KEY, PIXELS, num_blocks=1, hidden_sizes=(8,), preprocessing=flows.logit_pixels(PIXELS)
    )
    model, params = flows.uniform_dequantisation(start, flow=flow)
    options = {
        "model": model, "estimator": estimators.pathwise, "num_samples": 1, "batch_size": 20,
        "observe": flows.grey_levels, "optimizer": training.short_optimizer(num_steps=150),
        "steps_per_scan": 60,
    }  # fmt: skip
    whole = training.fit(KEY, params, images, num_epochs=50, **options)
    assert whole.history[-1]["train_bound"] > whole.history[0]["train_bound"] + 1.0

    training.fit(KEY, params, images, num_epochs=20, checkpoint_dir=tmp_path, **options)
    resumed = training.fit(KEY, params, images, num_epochs=50, checkpoint_dir=tmp_path, **options)
    jax.tree.map(np.testing.assert_array_equal, whole.params, resumed.params)


def test_without_latents_the_bound_is_the_log_density_at_every_k():
    flow, start = plane_flow("realnvp")
    model, params = flows.without_latents(start, flow=flow)
    x = jnp.array([0.3, -0.4])

    @jax.jit
    def both(params, x):
        bound, log_weights = estimators.pathwise(KEY, params, x, model=model, num_samples=3)
        return bound, log_weights, flow.log_prob(start, x)

    bound, log_weights, log_prob = both(params, x)
    np.testing.assert_allclose(bound, log_prob, rtol=1e-6)
    np.testing.assert_allclose(log_weights, np.full(3, log_prob), rtol=1e-6)


def test_uniform_noise_has_the_tag_of_observations():
    model, params = dequantised("uniform")
    x = jnp.zeros(PIXELS)
    u, _ = model.inference.sample_and_log_prob(KEY, (), x)
    expected = jax.random.uniform(keys.tagged(KEY, keys.OBSERVATION), PIXELS, x.dtype)
    np.testing.assert_array_equal(u, expected)
    assert model.inference.log_prob((), x, u) == 0.0
    assert model.inference.log_prob((), x, u + 1.0) == -jnp.inf
    np.testing.assert_allclose(
        model.generative.log_joint(params.generative, x, u),
        flows.realnvp(KEY, PIXELS, num_blocks=1, hidden_sizes=(5,),
                      preprocessing=flows.logit_pixels(PIXELS))[0].log_prob(params.generative, u),
        rtol=1e-5,
    )  # fmt: skip


def test_grey_levels_and_midpoints():
    image = jnp.array([0, 7, 255], jnp.uint8)
    np.testing.assert_array_equal(flows.grey_levels(KEY, image), [0.0, 7.0, 255.0])
    np.testing.assert_array_equal(flows.midpoints(image), [0.5, 7.5, 255.5])


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: flows.realnvp(KEY, (1,)), "two entries"),
        (lambda: flows.realnvp(KEY, PLANE, num_blocks=0), "num_layers"),
        (lambda: flows.multi_scale_realnvp(KEY, (4, 4)), "num_scales"),
        (lambda: flows.multi_scale_realnvp(KEY, (5, 4, 1)), "even"),
        (lambda: flows.multi_scale_realnvp(KEY, (4, 4, 1), num_scales=3), "num_scales"),
    ],
)
def test_bad_sizes_are_refused(build, word):
    with pytest.raises(ValueError, match=word):
        build()
