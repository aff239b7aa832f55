"""Whole flows against numpyro on the same weights: densities, and points there and back."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as peer
import pytest
from numpyro.distributions import transforms
from numpyro.distributions.flows import InverseAutoregressiveTransform

from iwae_jax import flows

SIZE, ALPHA, BOUND = 4, 0.05, 2.0
ORDER = [2, 0, 3, 1]
KEPT = np.array([True, False, True, False])


def dense(params, x):
    """A network of dense layers from its weights, by hand."""
    for index in range(len(params["hidden"])):
        layer = params["hidden"][index]
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return x @ params["last"]["kernel"] + params["last"]["bias"]


def shift_and_log_scale(raw):
    return raw[0], BOUND * jnp.tanh(raw[1] / BOUND)


def as_coupling(layer_params):
    """A coupling is an autoregressive map of which two networks read nothing."""

    def network(z):
        raw = dense(layer_params, z[KEPT]).reshape(2, -1)
        shift, log_scale = shift_and_log_scale(raw)
        spread = lambda values: jnp.zeros(SIZE, z.dtype).at[np.flatnonzero(~KEPT)].set(values)
        return spread(shift), spread(log_scale)

    return InverseAutoregressiveTransform(network)


def masked_network(layer_params, width=16):
    """The masked network again, its masks by the rule of MADE: degrees that never fall."""
    degrees = [np.arange(1, SIZE + 1), np.arange(width) % SIZE, np.arange(width) % SIZE]
    of_outputs = np.tile(np.arange(1, SIZE + 1), 2)
    kernels = [layer_params["hidden"][0]["kernel"], layer_params["hidden"][1]["kernel"]]
    masks = [a[:, None] <= b for a, b in itertools.pairwise(degrees)]
    hidden = {
        i: {"kernel": jnp.where(mask, kernel, 0.0), "bias": layer_params["hidden"][i]["bias"]}
        for i, (kernel, mask) in enumerate(zip(kernels, masks, strict=True))
    }
    last = jnp.where(degrees[-1][:, None] < of_outputs, layer_params["last"]["kernel"], 0.0)
    params = {"hidden": hidden, "last": {"kernel": last, "bias": layer_params["last"]["bias"]}}
    return lambda x: shift_and_log_scale(dense(params, x).reshape(2, SIZE))


def as_masked_autoregressive(layer_params):
    network = masked_network(layer_params)

    def inverse(x):  # z = (x - shift(x)) exp(-log_scale(x))
        shift, log_scale = network(x)
        return -shift * jnp.exp(-log_scale), -log_scale

    return InverseAutoregressiveTransform(inverse).inv


def as_inverse_autoregressive(layer_params):
    return as_masked_autoregressive(layer_params).inv


def affine_coupling(key):
    return flows.coupling(key, KEPT, network=flows.mlp(hidden_sizes=(16, 16)))


FAMILIES = {
    "affine coupling": (affine_coupling, as_coupling),
    "masked autoregressive": (
        lambda key: flows.masked_autoregressive(key, (SIZE,), hidden_sizes=(16, 16)),
        as_masked_autoregressive,
    ),
    "inverse autoregressive": (
        lambda key: flows.inverse_autoregressive(key, (SIZE,), hidden_sizes=(16, 16)),
        as_inverse_autoregressive,
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flow_over_pixels_is_numpyros(family, float64):
    build, translated = FAMILIES[family]
    layers = [build(jax.random.key(seed)) for seed in (0, 1)]
    parts = [layers[0], flows.permutation(ORDER), layers[1],
             flows.logit_pixels((SIZE,), alpha=ALPHA)]  # fmt: skip
    flow, params = flows.transformed(flows.standard_normal((SIZE,)), flows.chain(parts))
    leaves, treedef = jax.tree.flatten(jax.tree.map(lambda x: x.astype(jnp.float64), params))
    rng = np.random.default_rng(0)
    params = treedef.unflatten([x + 0.3 * rng.normal(size=x.shape) for x in leaves])

    first, _, second, _ = params["bijection"]
    theirs = peer.TransformedDistribution(
        peer.Normal(jnp.zeros(SIZE), 1.0).to_event(1),
        [
            translated(first),
            transforms.PermuteTransform(jnp.asarray(ORDER)),
            translated(second),
            transforms.SigmoidTransform(),
            transforms.AffineTransform(-256.0 * ALPHA / (1 - 2 * ALPHA), 256.0 / (1 - 2 * ALPHA)),
        ],
    )
    points = jnp.asarray(rng.uniform(0.0, 256.0, (5, SIZE)))
    ours = jax.vmap(flow.log_prob, (None, 0))(params, points)
    np.testing.assert_allclose(ours, jax.vmap(theirs.log_prob)(points), rtol=1e-10)
    z = rng.normal(size=(SIZE,))
    x = z
    for transform in theirs.transforms:
        x = transform(jnp.asarray(x))
    mapped, _ = flow.forward_and_log_det(params, jnp.asarray(z))
    np.testing.assert_allclose(mapped, x, rtol=1e-9)
    gradient = jax.grad(lambda x: flow.log_prob(params, x))(points[0])
    np.testing.assert_allclose(gradient, jax.grad(theirs.log_prob)(points[0]), rtol=1e-8)
