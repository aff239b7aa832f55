"""Flax modules of encoders and decoders, and the boundary behind which they stay."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from iwae_jax.densities import GaussianLatents
from iwae_jax.types import Array, PyTree


def as_function(module: nnx.Module) -> tuple[Callable[..., PyTree], PyTree]:
    """Splits a module, once, into a pure function and a plain pytree of parameters.

    Args:
      module: a Flax module whose only state is `nnx.Param`.

    Returns:
      ``apply(params, *args)``, which is ``module(*args)`` with these parameters, and the
      parameters as nested dictionaries of arrays.

    Raises:
      ValueError: the module holds state that is not a parameter.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax import networks
      >>> apply, params = networks.as_function(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
      >>> apply(params, jnp.ones(3)).shape, sorted(params)
      ((2,), ['bias', 'kernel'])

    References:
      Heek et al. (2024), Flax: a neural network library and ecosystem for JAX; the functional API
      of NNX.
    """
    graph_definition, state = nnx.split(module, nnx.Param)

    def apply(params: PyTree, *args: PyTree) -> PyTree:
        return nnx.merge(graph_definition, params)(*args)

    return apply, nnx.to_pure_dict(state)


def _linear(in_size: int, out_size: int, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(in_size, out_size, kernel_init=nnx.initializers.glorot_uniform(), rngs=rngs)


class _TanhLayers(nnx.Module):
    def __init__(self, in_size: int, hidden_sizes: Sequence[int], *, rngs: nnx.Rngs):
        sizes = (in_size, *hidden_sizes)
        self.layers = nnx.List([_linear(a, b, rngs) for a, b in pairwise(sizes)])

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return x


class TanhMLP(nnx.Module):
    """Tanh layers, then a linear output.

    Args:
      in_size: number of inputs; an input of any shape is read as a vector.
      hidden_sizes: widths of the tanh layers; with none the output is linear.
      out_shape: shape of the output.
      rngs: where the initial weights (Glorot uniform) come from.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax import networks
      >>> networks.TanhMLP(16, (8,), (4, 4), rngs=nnx.Rngs(0))(jnp.ones(16)).shape
      (4, 4)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """

    def __init__(
        self,
        in_size: int,
        hidden_sizes: Sequence[int],
        out_shape: Sequence[int],
        *,
        rngs: nnx.Rngs,
    ):
        self.out_shape = tuple(out_shape)
        self.layers = _TanhLayers(in_size, hidden_sizes, rngs=rngs)
        self.last = _linear((in_size, *hidden_sizes)[-1], math.prod(self.out_shape), rngs)

    def __call__(self, x: Array) -> Array:
        """Returns the output, of shape ``out_shape``."""
        return self.last(self.layers(x.reshape(-1))).reshape(self.out_shape)


class GaussianMLP(nnx.Module):
    """Tanh layers, then a diagonal Gaussian with linear mean and log standard deviation.

    Args:
      in_size: number of inputs; an input of any shape is read as a vector.
      hidden_sizes: widths of the tanh layers, one or more.
      out_size: dimension of the Gaussian.
      rngs: where the initial weights (Glorot uniform) come from.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax import networks
      >>> encoder = networks.GaussianMLP(16, (8,), 2, rngs=nnx.Rngs(0))
      >>> encoder(jnp.ones((4, 4))).mean.shape
      (2,)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """

    def __init__(self, in_size: int, hidden_sizes: Sequence[int], out_size: int, *, rngs: nnx.Rngs):
        self.layers = _TanhLayers(in_size, hidden_sizes, rngs=rngs)
        self.mean = _linear(hidden_sizes[-1], out_size, rngs)
        self.log_scale = _linear(hidden_sizes[-1], out_size, rngs)

    def __call__(self, x: Array) -> GaussianLatents:
        """Returns the Gaussian, of shape ``[out_size]``."""
        hidden = self.layers(x.reshape(-1))
        return GaussianLatents(self.mean(hidden), self.log_scale(hidden))


class BernoulliMLP(nnx.Module):
    """Tanh layers, then the logits of independent Bernoulli variables.

    Args:
      in_size: number of inputs; an input of any shape is read as a vector.
      hidden_sizes: widths of the tanh layers; with none the logits are linear.
      event_shape: shape of the logits.
      mean: ``event_shape``, the variables' mean over the training set, or None. It is clipped to
        [0.001, 0.999], and its logit is the initial bias of the output.
      rngs: where the initial weights (Glorot uniform) come from.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from iwae_jax import networks
      >>> decoder = networks.BernoulliMLP(2, (8,), (4, 4), rngs=nnx.Rngs(0))
      >>> decoder(jnp.ones(2)).shape
      (4, 4)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519; the bias: the code published with the paper.
    """

    def __init__(
        self,
        in_size: int,
        hidden_sizes: Sequence[int],
        event_shape: Sequence[int],
        mean: Array | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        self.event_shape = tuple(event_shape)
        self.layers = _TanhLayers(in_size, hidden_sizes, rngs=rngs)
        self.logits = _linear((in_size, *hidden_sizes)[-1], math.prod(self.event_shape), rngs)
        if mean is not None and self.logits.bias is not None:
            bias = jax.scipy.special.logit(jnp.clip(jnp.asarray(mean), 0.001, 0.999))
            self.logits.bias[...] = bias.reshape(-1).astype(self.logits.bias.dtype)

    def __call__(self, z: Array) -> Array:
        """Returns the logits, of shape ``event_shape``."""
        return self.logits(self.layers(z.reshape(-1))).reshape(self.event_shape)
