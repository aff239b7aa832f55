"""NICE of the homework: its size, and its published weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from iwae_jax import flows

KEY = jax.random.key(0)


def test_a_network_of_the_homeworks_size_has_its_parameters():
    _, params = jax.eval_shape(lambda: (None, flows.nice(KEY, (28, 28))[1]))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 19_158_352


def torch_state(rng, size, width, num_hidden):
    """Arrays under the names of the published PyTorch module."""
    arrays = {"scaling.scale": 0.1 * rng.normal(size=(1, size))}
    for coupling in range(4):
        names = ["in_block.0", *(f"mid_block.{j}.0" for j in range(num_hidden - 1)), "out_block"]
        widths = [size // 2, *([width] * num_hidden), size // 2]
        for name, a, b in zip(names, widths, widths[1:], strict=False):
            arrays[f"coupling.{coupling}.{name}.weight"] = rng.normal(size=(b, a)) / np.sqrt(a)
            arrays[f"coupling.{coupling}.{name}.bias"] = 0.1 * rng.normal(size=b)
    return arrays


def published_log_prob(arrays, x, num_hidden):
    """The published network in numpy: it pairs neighbouring pixels and shifts one of each pair."""
    for coupling in range(4):
        pairs = x.reshape(-1, 2)
        shifted, other = (0, 1) if coupling % 2 == 0 else (1, 0)
        hidden = pairs[:, other]
        names = ["in_block.0", *(f"mid_block.{j}.0" for j in range(num_hidden - 1))]
        for name in names:
            prefix = f"coupling.{coupling}.{name}"
            hidden = np.maximum(arrays[f"{prefix}.weight"] @ hidden + arrays[f"{prefix}.bias"], 0)
        prefix = f"coupling.{coupling}.out_block"
        pairs = pairs.copy()
        pairs[:, shifted] += arrays[f"{prefix}.weight"] @ hidden + arrays[f"{prefix}.bias"]
        x = pairs.reshape(-1)
    scale = arrays["scaling.scale"][0]
    return scipy.stats.logistic.logpdf(x * np.exp(scale)).sum() + scale.sum()


def test_nice_reads_published_weights_to_the_same_log_prob(float64):
    rng = np.random.default_rng(0)
    arrays = torch_state(rng, 16, 8, 5)
    flow, like = flows.nice(KEY, (4, 4), hidden_sizes=(8,) * 5)
    params = flows.nice_params(arrays, like=like)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    xs = rng.random((3, 4, 4))
    ours = jax.vmap(flow.log_prob, (None, 0))(params, xs)
    theirs = [published_log_prob(arrays, x.reshape(-1), 5) for x in xs]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_nice_refuses_weights_that_do_not_fit():
    rng = np.random.default_rng(0)
    _, like = flows.nice(KEY, (4, 4), hidden_sizes=(8,) * 5)
    arrays = torch_state(rng, 16, 8, 5)
    missing = {name: array for name, array in arrays.items() if name != "coupling.2.out_block.bias"}
    with pytest.raises(ValueError, match=r"coupling\.2\.out_block\.bias' is missing"):
        flows.nice_params(missing, like=like)
    with pytest.raises(ValueError, match=r"no place for.*extra"):
        flows.nice_params(arrays | {"extra": np.ones(1)}, like=like)
    with pytest.raises(ValueError, match="has shape"):
        flows.nice_params(torch_state(rng, 16, 9, 5), like=like)
    with pytest.raises(ValueError, match="even number"):
        flows.nice(KEY, (3,))
