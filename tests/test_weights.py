"""The ways of taking samples: the same numbers and gradients, and the memory they promise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import bounds, keys, models, weights

WAYS = {
    "chunked(1)": weights.chunked(1),
    "chunked(3)": weights.chunked(3),
    "chunked(7)": weights.chunked(7),
    "chunked(100)": weights.chunked(100),
    "folded": weights.folded,
}
NUM_SAMPLES, BATCH = 7, 4


@pytest.fixture(scope="module")
def setting():
    model, params = models.linear_gaussian(jax.random.key(0), data_size=5, latent_size=3)
    return model, params, jax.random.normal(jax.random.key(1), (BATCH, 5))


def batch_objective(params, xs, *, model, over_samples):
    log_weights = partial(
        weights.log_weights, model=model, num_samples=NUM_SAMPLES, over_samples=over_samples
    )
    batch_keys = jax.random.split(jax.random.key(2), BATCH)
    log_w = jax.vmap(log_weights, (0, None, 0))(batch_keys, params, xs)
    return jnp.mean(jax.vmap(bounds.iwae)(log_w)), log_w


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_gives_the_same_weights_and_gradient(setting, way):
    model, params, xs = setting
    run = jax.jit(
        jax.value_and_grad(batch_objective, has_aux=True), static_argnames=("model", "over_samples")
    )
    (_, expected), expected_gradient = run(params, xs, model=model, over_samples=weights.at_once)
    (_, log_w), gradient = run(params, xs, model=model, over_samples=way)
    np.testing.assert_allclose(log_w, expected, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        gradient,
        expected_gradient,
    )


@pytest.mark.parametrize("way", [weights.at_once, *WAYS.values()], ids=["at_once", *WAYS])
def test_one_datum_without_a_batch(setting, way):
    model, params, xs = setting
    take = partial(weights.log_weights, model=model, num_samples=NUM_SAMPLES, over_samples=way)
    log_w = jax.jit(take)(jax.random.key(3), params, xs[0])
    q = model.inference.encode(params.inference, xs[0])
    loop = [
        weights.sample_log_weight(key, params, xs[0], q, model=model)
        for key in keys.samples(jax.random.key(3), NUM_SAMPLES)
    ]
    np.testing.assert_allclose(log_w, jnp.stack(loop), rtol=1e-5)


def test_a_log_weight_is_joint_minus_posterior(setting):
    model, params, xs = setting
    q = model.inference.encode(params.inference, xs[0])
    key = jax.random.key(4)
    z, _ = model.inference.sample_and_log_prob(key, params.inference, q)
    expected = model.generative.log_joint(params.generative, xs[0], z)
    expected -= model.inference.log_prob(params.inference, q, z)
    log_w = weights.sample_log_weight(key, params, xs[0], q, model=model)
    np.testing.assert_allclose(log_w, expected, rtol=1e-5)


def test_fewer_samples_are_the_first_of_more(setting):
    model, params, xs = setting
    take = jax.jit(partial(weights.log_weights, model=model), static_argnames="num_samples")
    take = partial(take, jax.random.key(3), params, xs[0])
    np.testing.assert_allclose(take(num_samples=3), take(num_samples=20)[:3], rtol=1e-6)


def test_the_encoder_runs_once_per_datum(setting):
    model, params, xs = setting
    calls = []
    encode = lambda phi, x: calls.append(x) or model.inference.encode(phi, x)
    counting = model._replace(inference=model.inference._replace(encode=encode))
    weights.log_weights(jax.random.key(3), params, xs[0], model=counting, num_samples=NUM_SAMPLES)
    assert len(calls) == 1


def test_folded_runs_one_flat_axis(setting):
    """The decoder's product has B * K rows, and no array has the two axes apart."""
    model, params, xs = setting
    function = partial(batch_objective, model=model, over_samples=weights.folded)
    lines = str(jax.make_jaxpr(function)(params, xs)).splitlines()
    products = [line for line in lines if "dot_general" in line]
    assert any(f"[5,{BATCH * NUM_SAMPLES}]" in line for line in products)
    assert not any(f"{BATCH},{NUM_SAMPLES}" in line for line in products)


def test_folded_refuses_the_gradient_of_a_single_datum(setting):
    model, params, xs = setting
    objective = lambda params: bounds.iwae(
        weights.log_weights(
            jax.random.key(3), params, xs[0], model=model, num_samples=3,
            over_samples=weights.folded,
        )
    )  # fmt: skip
    with pytest.raises((NotImplementedError, ValueError)):
        jax.grad(objective)(params)


def gradient_bytes(setting, num_samples, over_samples):
    model, params, xs = setting
    objective = lambda params: bounds.iwae(
        weights.log_weights(
            jax.random.key(3), params, xs[0], model=model, num_samples=num_samples,
            over_samples=over_samples,
        )
    )  # fmt: skip
    compiled = jax.jit(jax.grad(objective)).lower(params).compile()
    # The K keys and log-weights themselves, of 8 and 4 bytes, are what the bound is made of.
    return compiled.memory_analysis().temp_size_in_bytes - 40 * num_samples


def test_chunks_bound_the_memory_of_a_gradient(setting):
    chunked = [gradient_bytes(setting, k, weights.chunked(64)) for k in (256, 16384)]
    at_once = [gradient_bytes(setting, k, weights.at_once) for k in (256, 16384)]
    assert chunked[1] <= 1.1 * max(chunked[0], 1)
    assert at_once[1] > 20 * at_once[0]


@pytest.mark.parametrize("size", [0, -3])
def test_an_empty_chunk_is_refused(size):
    with pytest.raises(ValueError, match="size"):
        weights.chunked(size)


def test_no_samples_are_refused(setting):
    model, params, xs = setting
    with pytest.raises(ValueError, match="num_samples"):
        weights.log_weights(jax.random.key(3), params, xs[0], model=model, num_samples=0)
