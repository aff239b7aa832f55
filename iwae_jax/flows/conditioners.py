"""Networks that give the parameters of the transformed values, from those that are kept."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from iwae_jax import networks
from iwae_jax.types import Array, Key, PyTree

Network = Callable[[Key, int, int], tuple[Callable[..., Array], PyTree]]
"""``(key, in_size, out_size) -> (apply, params)``; apply maps ``[in_size]`` to ``[out_size]``."""

Activation = Callable[[Array], Array]


class MLP(nnx.Module):
    """Dense layers with an activation between them; the last layer starts at zero.

    Args:
      in_size: number of inputs.
      hidden_sizes: widths of the hidden layers; may be empty.
      out_size: number of outputs.
      activation: what follows every layer but the last.
      rngs: where the initial weights come from.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax.flows import conditioners
      >>> conditioners.MLP(3, (8,), 2, jax.nn.relu, rngs=nnx.Rngs(0))(jnp.ones(3)).tolist()
      [0.0, 0.0]

    References:
      Kingma and Dhariwal (2018), Glow: Generative Flow with Invertible 1x1 Convolutions, section
      3.3, arXiv:1807.03039, for the zero initialisation.
    """

    def __init__(
        self,
        in_size: int,
        hidden_sizes: Sequence[int],
        out_size: int,
        activation: Activation,
        *,
        rngs: nnx.Rngs,
    ):
        he, zeros = nnx.initializers.he_normal(), nnx.initializers.zeros_init()
        sizes = (in_size, *hidden_sizes)
        self.hidden = nnx.List(
            [nnx.Linear(a, b, kernel_init=he, rngs=rngs) for a, b in pairwise(sizes)]
        )
        self.last = nnx.Linear(sizes[-1], out_size, kernel_init=zeros, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """Returns the outputs, ``[out_size]``."""
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.last(x)


class ConvolutionalNetwork(nnx.Module):
    """Residual blocks of 3x3 convolutions, and one of 1x1 at the end, which starts at zero.

    Args:
      in_channels: channels of the image that is read.
      width: channels within.
      num_blocks: number of residual blocks.
      out_channels: channels of the image that is returned.
      rngs: where the initial weights come from.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax.flows import conditioners
      >>> network = conditioners.ConvolutionalNetwork(2, 4, 1, 6, rngs=nnx.Rngs(0))
      >>> network(jnp.ones((8, 8, 2))).shape
      (8, 8, 6)

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """

    def __init__(
        self, in_channels: int, width: int, num_blocks: int, out_channels: int, *, rngs: nnx.Rngs
    ):
        conv = partial(nnx.Conv, kernel_size=(3, 3), rngs=rngs)

        self.first = conv(in_channels, width)
        self.blocks = nnx.List(
            [nnx.List([conv(width, width), conv(width, width)]) for _ in range(num_blocks)]
        )
        zeros = nnx.initializers.zeros_init()
        self.last = nnx.Linear(width, out_channels, kernel_init=zeros, rngs=rngs)

    def __call__(self, image: Array) -> Array:
        """Returns the image of outputs, ``[H, W, out_channels]``."""
        hidden = self.first(image)
        for one, other in self.blocks:
            hidden = hidden + other(jax.nn.relu(one(jax.nn.relu(hidden))))
        return self.last(jax.nn.relu(hidden))


def mlp(
    *,
    hidden_sizes: Sequence[int] = (256, 256),
    activation: Activation = jax.nn.relu,
    squash: Activation = lambda x: x,
) -> Network:
    """Dense layers, the last of which starts at zero.

    Args:
      hidden_sizes: widths of the hidden layers; may be empty.
      activation: what follows every layer but the last.
      squash: what is done to the inputs; `jnp.arcsinh` tames those of heavy tails.

    Returns:
      A builder ``(key, in_size, out_size) -> (apply, params)``.

    Raises:
      ValueError: a width is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> apply, params = flows.mlp(hidden_sizes=(8,))(jax.random.key(0), 3, 2)
      >>> apply(params, jnp.ones(3)).tolist()
      [0.0, 0.0]

    References:
      Kingma and Dhariwal (2018), Glow: Generative Flow with Invertible 1x1 Convolutions, section
      3.3, arXiv:1807.03039, for the zero initialisation.
    """
    _check_sizes("hidden_sizes", hidden_sizes)

    def build(key: Key, in_size: int, out_size: int) -> tuple[Callable[..., Array], PyTree]:
        module = MLP(in_size, hidden_sizes, out_size, activation, rngs=nnx.Rngs(params=key))
        apply, params = networks.as_function(module)
        return lambda params, x: apply(params, squash(x)), params

    return build


def convolutional(mask: np.ndarray, *, width: int = 32, num_blocks: int = 2) -> Network:
    """Residual convolutions over the image of the kept values, for the coupling of the same mask.

    Args:
      mask: ``[H, W, C]``, bool, as for the coupling.
      width: channels within.
      num_blocks: number of residual blocks.

    Returns:
      A builder ``(key, in_size, out_size) -> (apply, params)``.

    Raises:
      ValueError: the mask is not an image's, or a size is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> mask = flows.checkerboard((4, 4, 1))
      >>> network = flows.convolutional(mask, width=4, num_blocks=1)
      >>> _, params = flows.coupling(jax.random.key(0), mask, network=network)

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    mask = np.asarray(mask)
    if mask.ndim != 3:
        raise ValueError(f"the mask of an image has the shape (H, W, C); got {mask.shape}.")
    _check_sizes("width, num_blocks", (width, num_blocks))
    kept, moved = (np.flatnonzero(chosen).astype(np.int32) for chosen in (mask, ~mask))

    def build(key: Key, in_size: int, out_size: int) -> tuple[Callable[..., Array], PyTree]:
        if in_size != len(kept) or out_size % len(moved):
            raise ValueError("a convolutional network takes the coupling's own mask, no context.")
        num_params, num_channels = out_size // len(moved), mask.shape[-1]
        module = ConvolutionalNetwork(
            2 * num_channels, width, num_blocks, num_params * num_channels,
            rngs=nnx.Rngs(params=key),
        )  # fmt: skip
        apply, params = networks.as_function(module)

        def of_kept(params: PyTree, x: Array) -> Array:
            image = jnp.zeros(mask.size, x.dtype).at[kept].set(x).reshape(mask.shape)
            image = jnp.concatenate([image, jnp.asarray(mask, x.dtype)], axis=-1)
            raw = apply(params, image).reshape(*mask.shape, num_params)
            return raw.reshape(-1, num_params)[moved].T.reshape(-1)

        return of_kept, params

    return build


def autoregressive_network(
    key: Key,
    size: int,
    num_params: int,
    context_size: int,
    *,
    hidden_sizes: Sequence[int],
    activation: Activation,
) -> tuple[Callable[..., Array], PyTree]:
    """A network whose i-th outputs read only the inputs before i, and the context.

    Args:
      key: key of the initial weights, ``[]``.
      size: D.
      num_params: P, outputs for each input.
      context_size: C, length of the context.
      hidden_sizes: widths of the hidden layers, one or more.
      activation: what follows every layer but the last.

    Returns:
      ``apply(params, [D + C]) -> [P, D]`` and the parameters.

    Raises:
      ValueError: a width is not positive, or there is none.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax.flows import conditioners
      >>> apply, params = conditioners.autoregressive_network(
      ...     jax.random.key(0), 3, 2, 0, hidden_sizes=(8,), activation=jax.nn.relu)
      >>> apply(params, jnp.ones(3)).shape
      (2, 3)

    References:
      Germain, Gregor, Murray and Larochelle (2015), MADE: Masked Autoencoder for Distribution
      Estimation, arXiv:1502.03509.
    """
    _check_sizes("hidden_sizes", hidden_sizes)
    if not hidden_sizes:
        raise ValueError("an autoregressive network needs at least one hidden layer.")
    module = MLP(
        size + context_size, hidden_sizes, num_params * size, activation,
        rngs=nnx.Rngs(params=key),
    )  # fmt: skip
    apply, params = networks.as_function(module)
    # A hidden unit of degree d reads the inputs 1 to d; degree 0 reads the context alone.
    degrees = [np.concatenate([np.arange(1, size + 1), np.zeros(context_size, int)])]
    degrees += [np.arange(width) % size for width in hidden_sizes]
    allowed = [a[:, None] <= b[None, :] for a, b in pairwise(degrees)]
    outputs = np.tile(np.arange(1, size + 1), num_params)
    last = degrees[-1][:, None] < outputs[None, :]

    def masked(layer: PyTree, mask: np.ndarray) -> PyTree:
        return layer | {"kernel": jnp.where(mask, layer["kernel"], 0.0)}

    def of_values(params: PyTree, x: Array) -> Array:
        hidden = {i: masked(params["hidden"][i], mask) for i, mask in enumerate(allowed)}
        masked_params = params | {"hidden": hidden, "last": masked(params["last"], last)}
        return apply(masked_params, x).reshape(num_params, size)

    return of_values, params


def _check_sizes(name: str, sizes: Sequence[int]) -> None:
    for size in sizes:
        if size < 1:
            raise ValueError(f"{name}: every size must be at least 1; got {size}.")
