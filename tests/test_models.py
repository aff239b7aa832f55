"""Builders: shapes, initial values, and densities that agree with the samplers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from iwae_jax import exact, models, networks
from iwae_jax.densities import GaussianLatents

EVENT = (3, 2)


def small_vae(key, **options):
    return models.vae(key, event_shape=EVENT, latent_size=2, hidden_sizes=(5, 4), **options)


def small_hierarchy(key, **options):
    return models.hierarchical_vae(
        key, event_shape=EVENT, latent_sizes=(3, 2), hidden_sizes=((5, 4), (4,)), **options
    )


def pca(key):
    return models.linear_gaussian(key, data_size=6, latent_size=2)


BUILDERS = {"vae": small_vae, "hierarchical_vae": small_hierarchy, "linear_gaussian": pca}


@pytest.fixture(scope="module", params=BUILDERS, name="case")
def built(request):
    model, params = BUILDERS[request.param](jax.random.key(0))
    shape = (6,) if request.param == "linear_gaussian" else EVENT
    x = jax.random.bernoulli(jax.random.key(1), 0.4, shape).astype(jnp.float32)
    return model, params, x


def test_params_are_a_plain_pytree_of_arrays(case):
    _, params, _ = case

    def check(node):
        if isinstance(node, dict):
            assert all(isinstance(name, str | int) for name in node)
            return [check(child) for child in node.values()]
        if isinstance(node, list | tuple):
            return [check(child) for child in node]
        assert type(node) is type(jnp.ones(())), type(node)
        return None

    check(params)


def test_a_sample_comes_with_its_own_log_prob(case):
    model, params, x = case
    q = model.inference.encode(params.inference, x)
    z, log_q = model.inference.sample_and_log_prob(jax.random.key(2), params.inference, q)
    np.testing.assert_allclose(log_q, model.inference.log_prob(params.inference, q, z), rtol=1e-4)


def test_log_joint_is_likelihood_plus_prior(case):
    model, params, x = case
    theta = params.generative
    z = model.generative.sample_prior(jax.random.key(2), theta)
    parts = model.generative.log_likelihood(theta, x, z) + model.generative.log_prior(theta, z)
    np.testing.assert_allclose(model.generative.log_joint(theta, x, z), parts, rtol=1e-6)


def test_prior_and_posterior_samples_are_alike(case):
    model, params, x = case
    q = model.inference.encode(params.inference, x)
    prior = model.generative.sample_prior(jax.random.key(2), params.generative)
    posterior, _ = model.inference.sample_and_log_prob(jax.random.key(2), params.inference, q)
    assert jax.tree.map(jnp.shape, prior) == jax.tree.map(jnp.shape, posterior)
    assert model.generative.sample_likelihood(
        jax.random.key(3), params.generative, prior
    ).shape == (x.shape)


def test_the_densities_of_each_half_integrate_to_one(float64):
    """E_q[p(z) / q(z)] = 1, and likewise for q over the prior: no normaliser is missing."""
    model, params = small_hierarchy(jax.random.key(0))
    params = jax.tree.map(lambda leaf: 0.3 * leaf.astype(jnp.float64), params)
    x = jnp.ones(EVENT)
    q = model.inference.encode(params.inference, x)

    def ratio(key):
        z, log_q = model.inference.sample_and_log_prob(key, params.inference, q)
        return jnp.exp(model.generative.log_prior(params.generative, z) - log_q)

    ratios = jax.jit(jax.vmap(ratio))(jax.random.split(jax.random.key(1), 50_000))
    assert abs(ratios.mean() - 1.0) < 4.0 * ratios.std() / np.sqrt(ratios.size)


def test_the_papers_networks_have_the_papers_sizes():
    count = lambda params: sum(leaf.size for leaf in jax.tree.leaves(params))
    _, params = models.vae(jax.random.key(0), event_shape=(28, 28))
    encoder = 784 * 200 + 200 + 200 * 200 + 200 + 2 * (200 * 50 + 50)
    decoder = 50 * 200 + 200 + 200 * 200 + 200 + 200 * 784 + 784
    assert (count(params.inference), count(params.generative)) == (encoder, decoder)

    _, params = models.hierarchical_vae(jax.random.key(0), event_shape=(28, 28))
    lower = 784 * 200 + 200 + 200 * 200 + 200 + 2 * (200 * 100 + 100)
    upper = 100 * 100 + 100 + 100 * 100 + 100 + 2 * (100 * 50 + 50)
    prior = 50 * 100 + 100 + 100 * 100 + 100 + 2 * (100 * 100 + 100)
    decoder = 100 * 200 + 200 + 200 * 200 + 200 + 200 * 784 + 784
    assert (count(params.inference), count(params.generative)) == (lower + upper, prior + decoder)


def test_weights_start_glorot_and_biases_zero():
    _, params = models.vae(jax.random.key(0), event_shape=(28, 28))
    layer = params.inference[0]["layers"]["layers"][0]
    limit = np.sqrt(6.0 / (784 + 200))
    spread = np.abs(layer["kernel"])
    assert 0.99 * limit < spread.max() <= limit
    np.testing.assert_array_equal(layer["bias"], 0.0)


def test_the_output_starts_at_the_logit_of_the_training_mean():
    mean = np.array([[0.0, 0.1], [0.5, 0.9], [1.0, 0.3]])
    _, params = small_vae(jax.random.key(0), pixel_mean=mean)
    bias = params.generative["likelihood"]["logits"]["bias"]
    clipped = np.clip(mean, 0.001, 0.999).ravel()
    np.testing.assert_allclose(bias, np.log(clipped / (1.0 - clipped)), rtol=1e-4)


def test_one_layer_is_the_hierarchy_of_one():
    model, params = small_vae(jax.random.key(0))
    hierarchy, same = models.hierarchical_vae(
        jax.random.key(0), event_shape=EVENT, latent_sizes=(2,), hidden_sizes=((5, 4),)
    )
    x, z = jnp.ones(EVENT), jnp.array([0.3, -0.5])
    jax.tree.map(np.testing.assert_array_equal, params, same)
    np.testing.assert_array_equal(
        model.generative.log_joint(params.generative, x, z),
        hierarchy.generative.log_joint(params.generative, x, (z,)),
    )


def test_one_layer_is_the_formula():
    """The whole model written out in numpy, from its own parameters."""
    model, params = small_vae(jax.random.key(0))
    x, z = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.array([0.3, -0.5])
    layers = lambda tree, h: [
        h := np.tanh(h @ tree["layers"][i]["kernel"] + tree["layers"][i]["bias"]) for i in (0, 1)
    ][-1]
    affine = lambda tree, h: h @ np.asarray(tree["kernel"]) + np.asarray(tree["bias"])

    encoder = params.inference[0]
    hidden = layers(encoder["layers"], x.ravel())
    q = model.inference.encode(params.inference, jnp.array(x, jnp.float32))
    assert isinstance(q, GaussianLatents)
    np.testing.assert_allclose(q.mean, affine(encoder["mean"], hidden), rtol=1e-4, atol=1e-6)
    scale = np.exp(affine(encoder["log_scale"], hidden))
    log_q = scipy.stats.norm(q.mean, scale).logpdf(z).sum()
    ours = model.inference.log_prob(params.inference, q, jnp.array(z, jnp.float32))
    np.testing.assert_allclose(ours, log_q, rtol=1e-4)

    decoder = params.generative["likelihood"]
    p = 1.0 / (1.0 + np.exp(-affine(decoder["logits"], layers(decoder["layers"], z))))
    log_px = np.log(np.where(x.ravel() > 0, p, 1.0 - p)).sum()
    ours = model.generative.log_joint(params.generative, jnp.array(x), jnp.array(z, jnp.float32))
    np.testing.assert_allclose(ours, log_px + scipy.stats.norm.logpdf(z).sum(), rtol=1e-4)


def test_pixels_are_drawn_with_the_decoders_probabilities():
    model, params = small_vae(jax.random.key(0), pixel_mean=np.linspace(0.1, 0.9, 6).reshape(EVENT))
    theta, z = params.generative, jnp.array([0.3, -0.5])
    draw = jax.vmap(model.generative.sample_likelihood, (0, None, None))
    frequency = draw(jax.random.split(jax.random.key(1), 20_000), theta, z).mean(0)
    # d log p(x = 1) / d bias = 1 - p gives p back from the density.
    log_px = lambda theta: model.generative.log_likelihood(theta, jnp.ones(EVENT), z)
    p = 1.0 - jax.grad(log_px)(theta)["likelihood"]["logits"]["bias"].reshape(EVENT)
    assert np.all(np.abs(frequency - p) < 4.0 * np.sqrt(p * (1.0 - p) / 20_000))


def test_exact_answers_are_those_of_the_joint_gaussian(float64):
    """Posterior and marginal from the blocks of the joint covariance of (z, x)."""
    _, params = pca(jax.random.key(3))
    theta, x = params.generative, jnp.arange(6.0)
    w, noise = np.asarray(theta["weight"]), float(jnp.exp(2.0 * theta["log_scale"]))
    marginal = w @ w.T + noise * np.eye(6)
    expected = scipy.stats.multivariate_normal(np.asarray(theta["bias"]), marginal).logpdf(x)
    np.testing.assert_allclose(exact.linear_gaussian_log_likelihood(theta, x), expected, rtol=1e-12)
    phi = exact.linear_gaussian_posterior(theta)
    gain = w.T @ np.linalg.inv(marginal)
    np.testing.assert_allclose(
        phi["weight"] @ x + phi["bias"], gain @ (x - theta["bias"]), rtol=1e-9
    )
    tril = np.tril(phi["tril"], -1) + np.diag(np.exp(np.diag(phi["tril"])))
    np.testing.assert_allclose(tril @ tril.T, np.eye(2) - gain @ w, rtol=1e-9, atol=1e-12)


def test_oracles_refuse_single_precision():
    _, params = pca(jax.random.key(3))
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    with pytest.raises(TypeError, match="jax_enable_x64"):
        exact.linear_gaussian_elbo(single, jnp.ones(6))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"event_shape": (0,)}, "size"),
        ({"event_shape": (4,), "latent_size": 0}, "size"),
        ({"event_shape": (4,), "hidden_sizes": ()}, "hidden_sizes"),
        ({"event_shape": (4,), "pixel_mean": np.ones(3)}, "pixel_mean"),
    ],
)
def test_bad_sizes_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        models.vae(jax.random.key(0), **options)


def test_as_many_widths_as_latents():
    with pytest.raises(ValueError, match="hidden_sizes"):
        models.hierarchical_vae(
            jax.random.key(0), event_shape=(4,), latent_sizes=(3, 2), hidden_sizes=((5,),)
        )
    with pytest.raises(ValueError, match="latent_size"):
        models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=0)


def test_a_module_with_other_state_than_parameters_is_refused():
    with pytest.raises(ValueError, match="BatchStat"):
        networks.as_function(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
