"""Layers and bases of flows: what their closed forms are, how they begin, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from iwae_jax import flows
from tests.test_flows import CONVOLUTIONS, IMAGE, KEY, MASK, VECTOR, coupling


def test_act_norm_standardises_every_channel():
    layer, params = flows.act_norm(IMAGE)
    xs = 3.0 + 2.0 * jax.random.normal(KEY, (50, *IMAGE)) * jnp.array([1.0, 5.0])
    params = layer.initialise(params, xs)
    zs = jax.vmap(lambda x: layer.inverse_and_log_det(params, x)[0])(xs).reshape(-1, 2)
    np.testing.assert_allclose(zs.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(zs.std(0), 1.0, atol=1e-4)


def correlated(key, number, size):
    mixing = jnp.asarray(np.random.default_rng(3).normal(size=(size, size)))
    return jax.random.normal(key, (number, size)) @ mixing + 2.0


def test_whitening_is_the_gaussian_of_highest_likelihood(float64):
    xs = jnp.asarray(correlated(KEY, 400, 6), jnp.float64)
    flow, params = flows.transformed(
        flows.standard_normal(VECTOR), flows.whitening(VECTOR, variance_floor=1e-12)
    )
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    ours = jax.vmap(flow.log_prob, (None, 0))(flow.initialise(params, xs), xs)
    theirs = scipy.stats.multivariate_normal(np.mean(xs, 0), np.cov(xs.T, ddof=0)).logpdf(xs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_training_leaves_the_directions_alone():
    layer, params = flows.whitening(VECTOR)
    params = layer.initialise(params, correlated(KEY, 100, 6))
    gradient = jax.grad(lambda p: layer.inverse_and_log_det(p, jnp.ones(6))[0].sum())(params)
    np.testing.assert_array_equal(gradient["directions"], 0.0)
    assert np.any(gradient["mean"] != 0.0)


def test_a_chain_and_a_scan_initialise_from_the_data_backwards():
    """Two normalisations in a row: the one next to the data takes it all."""
    xs = correlated(KEY, 100, 6)
    for layer, params in (
        flows.chain([flows.act_norm(VECTOR), flows.act_norm(VECTOR)]),
        flows.repeat(KEY, lambda key: flows.act_norm(VECTOR), num_layers=2),
    ):
        params = layer.initialise(params, xs)
        scales = params["log_scale"] if isinstance(params, dict) else [
            own["log_scale"] for own in params
        ]  # fmt: skip
        np.testing.assert_allclose(scales[1], np.log(np.std(xs, 0)), atol=1e-4)
        np.testing.assert_allclose(scales[0], 0.0, atol=1e-4)


def test_the_layers_of_a_scan_start_differently():
    _, params = flows.repeat(KEY, coupling(flows.affine()), num_layers=2)
    assert np.any(params["hidden"][0]["kernel"][0] != params["hidden"][0]["kernel"][1])


def test_the_bases_are_scipys():
    zs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    base, params = flows.logistic((3,))
    ours = jax.vmap(base.log_prob, (None, 0))(params, zs)
    np.testing.assert_allclose(ours, scipy.stats.logistic.logpdf(zs).sum(-1), rtol=1e-5)
    base, params = flows.standard_normal((3,))
    ours = jax.vmap(base.log_prob, (None, 0))(params, zs)
    np.testing.assert_allclose(ours, scipy.stats.norm.logpdf(zs).sum(-1), rtol=1e-5)


def test_class_gaussians_are_the_classes_own():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 1, 2], 50)
    zs = (rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + labels[:, None]).astype(np.float32)
    base, _ = flows.gaussian_mixture(num_components=3, size=3)
    params = flows.class_gaussians(zs, labels, num_classes=3, shrinkage=0.25)
    ours = jax.jit(jax.vmap(base.log_prob, (None, 0)))(params, zs)
    overall, total = np.cov(zs.T, ddof=0), np.zeros(200)
    for index, share in enumerate((0.25, 0.5, 0.25)):
        own = zs[labels == index]
        covariance = 0.75 * np.cov(own.T, ddof=0) + 0.25 * overall
        density = scipy.stats.multivariate_normal(own.mean(0), covariance).pdf(zs)
        total += share * density
    np.testing.assert_allclose(ours, np.log(total), rtol=1e-4)
    draw = jax.jit(jax.vmap(base.sample, (0, None, None)))
    drawn = np.asarray(draw(jax.random.split(KEY, 20_000), params, 1.0))
    error = np.std(zs, axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(drawn.mean(0) - zs.mean(0)) < 4.0 * error)


def test_masks_are_what_their_names_say():
    board = flows.checkerboard((4, 4, 2))
    assert np.all(board[::2, ::2])
    assert np.all(board[1::2, 1::2])
    assert not np.any(board[::2, 1::2])
    columns = flows.alternating((28, 28))
    assert np.all(columns[:, ::2])
    assert not np.any(columns[:, 1::2])
    assert flows.halves((2, 4)).tolist() == [[True] * 4, [False] * 4]
    assert flows.channels((1, 1, 4)).ravel().tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: flows.coupling(KEY, np.ones(4, bool)), "mask"),
        (lambda: flows.affine(log_scale_bound=0.0), "log_scale_bound"),
        (lambda: flows.rational_quadratic(num_bins=0), "num_bins"),
        (lambda: flows.rational_quadratic(smallest=0.5), "smallest"),
        (lambda: flows.checkerboard((4,)), "image"),
        (lambda: flows.channels((4, 1)), "two entries"),
        (lambda: flows.halves((1,)), "two entries"),
        (lambda: flows.alternating((1,)), "two entries"),
        (lambda: flows.mlp(hidden_sizes=(0,)), "size"),
        (lambda: flows.convolutional(np.ones(4, bool)), "H, W, C"),
        (lambda: flows.coupling(KEY, MASK, network=CONVOLUTIONS, context_size=1), "own mask"),
        (lambda: flows.masked_autoregressive(KEY, (0,)), "at least one"),
        (lambda: flows.masked_autoregressive(KEY, (3,), hidden_sizes=()), "hidden layer"),
        (lambda: flows.repeat(KEY, coupling(flows.affine()), num_layers=0), "num_layers"),
        (lambda: flows.permutation([0, 0]), "permutation|once"),
        (lambda: flows.squeeze((3, 4, 1)), "even"),
        (lambda: flows.factor_out(flows.scaling((2,)), num_channels=0), "num_channels"),
        (lambda: flows.scaling(()), "event_shape"),
        (lambda: flows.planar(KEY, (3,), scale=0.0), "scale"),
        (lambda: flows.logit_pixels((3,), alpha=0.0), "alpha"),
        (lambda: flows.logit_pixels((3,), alpha=0.5), "alpha"),
        (lambda: flows.gaussian_mixture(num_components=0, size=2), "num_components"),
        (
            lambda: flows.class_gaussians(jnp.ones((2, 2)), jnp.ones(2), num_classes=1,
                                          shrinkage=2.0),
            "shrinkage",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(build, word):
    with pytest.raises(ValueError, match=word):
        build()
