"""NICE as it was published with the course's anomaly detection, and its weights from elsewhere."""

import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.flows import bases, chains, conditioners, couplings, linear, masks, shapes
from iwae_jax.flows.builders import transformed
from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Flow
from iwae_jax.flows.transformers import additive
from iwae_jax.types import Key, PyTree


def nice(
    key: Key,
    event_shape: Sequence[int],
    *,
    num_blocks: int = 2,
    hidden_sizes: Sequence[int] = (1000,) * 5,
    preprocessing: Layer | None = None,
) -> tuple[Flow, PyTree]:
    r"""Additive couplings, a scale for each dimension, and a logistic base.

    .. math:: h_B = x_B + m(x_A), \dots, \quad z = e^s h

    The masks are entries of even and of odd index, on an image alternating columns. The defaults
    are the network of four couplings that has 19,158,352 parameters on 28x28 images.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of one datum, of an even number of entries.
      num_blocks: number of pairs of couplings.
      hidden_sizes: widths of the hidden layers of each coupling's network.
      preprocessing: a bijection of data of `event_shape`, and its parameters; None for none.

    Returns:
      The flow and its parameters.

    Raises:
      ValueError: the number of entries is odd, or a size is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> flow, params = flows.nice(jax.random.key(0), (4,), hidden_sizes=(8,))
      >>> round(float(flow.log_prob(params, jnp.zeros(4))), 4)
      -5.5452

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    shape = tuple(event_shape)
    size = math.prod(shape)
    if size % 2:
        raise ValueError(f"the event must have an even number of entries; got {shape}.")
    network = conditioners.mlp(hidden_sizes=hidden_sizes)
    even = masks.alternating((size,))

    def block(key: Key) -> Layer:
        """Two couplings, written in the direction from the data to the latent."""
        keys = jax.random.split(key)
        pair = [
            couplings.coupling(own_key, mask, transformer=additive(), network=network)
            for own_key, mask in zip(keys, (~even, even), strict=True)
        ]
        return chains.chain(pair)

    layers = [chains.repeat(key, block, num_layers=num_blocks), linear.scaling((size,))]
    encoder, params = chains.chain(layers)
    layers = [(chains.invert(encoder), params), shapes.flatten(shape)]
    if preprocessing is not None:
        layers.append(preprocessing)
    return transformed(bases.logistic((size,)), chains.chain(layers))


def nice_params(arrays: Mapping[str, np.ndarray], *, like: PyTree) -> PyTree:
    """Parameters of `nice` from the arrays of the PyTorch network of the same shape.

    The names are those of the network's state: ``coupling.I.in_block.0.weight``,
    ``coupling.I.mid_block.J.0.weight``, ``coupling.I.out_block.weight``, each with its ``bias``,
    and ``scaling.scale``.

    Args:
      arrays: the arrays by name; a weight is ``[out, in]``.
      like: parameters of `nice`, whose structure and shapes the result has.

    Returns:
      The parameters.

    Raises:
      ValueError: a name is missing or left over, or an array has another shape.

    Example:
      >>> import jax, numpy as np
      >>> from iwae_jax import flows
      >>> _, params = flows.nice(jax.random.key(0), (4,), num_blocks=1, hidden_sizes=(3,))
      >>> arrays = {"scaling.scale": np.ones((1, 4))}
      >>> for i in (0, 1):
      ...     for name, shape in {"in_block.0": (3, 2), "out_block": (2, 3)}.items():
      ...         arrays |= {f"coupling.{i}.{name}.weight": np.ones(shape),
      ...                    f"coupling.{i}.{name}.bias": np.ones(shape[0])}
      >>> flows.nice_params(arrays, like=params)["bijection"][0][1].tolist()
      [1.0, 1.0, 1.0, 1.0]

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    (blocks, scale), *rest = like["bijection"]
    left = set(arrays)

    def take(name: str, shape: tuple[int, ...], transpose: Sequence[int]) -> np.ndarray:
        if name not in arrays:
            raise ValueError(f"the array {name!r} is missing; there are {sorted(arrays)}.")
        left.discard(name)
        array = np.asarray(arrays[name]).transpose(transpose)
        if array.shape != shape:
            raise ValueError(f"{name!r}, transposed, has shape {array.shape}; needed is {shape}.")
        return array

    def layer(stacked: PyTree, position: int, name: str) -> PyTree:
        """One dense layer of every block, stacked as a scan wants it."""
        kernel, bias = stacked["kernel"], stacked["bias"]
        full = [f"coupling.{2 * b + position}.{name}" for b in range(len(kernel))]
        kernels = [take(f"{prefix}.weight", kernel.shape[1:], (1, 0)) for prefix in full]
        biases = [take(f"{prefix}.bias", bias.shape[1:], (0,)) for prefix in full]
        return {
            "kernel": jnp.asarray(np.stack(kernels), kernel.dtype),
            "bias": jnp.asarray(np.stack(biases), bias.dtype),
        }

    def coupling(stacked: PyTree, position: int) -> PyTree:
        names = ["in_block.0"]
        names += [f"mid_block.{j}.0" for j in range(len(stacked["hidden"]) - 1)]
        hidden = {j: layer(stacked["hidden"][j], position, name) for j, name in enumerate(names)}
        return {"hidden": hidden, "last": layer(stacked["last"], position, "out_block")}

    blocks = [coupling(stacked, position) for position, stacked in enumerate(blocks)]
    flat = take("scaling.scale", (scale.size, 1), (1, 0)).reshape(-1)
    if left:
        raise ValueError(f"arrays that this network has no place for: {sorted(left)}.")
    return like | {"bijection": [[blocks, jnp.asarray(flat, scale.dtype)], *rest]}
