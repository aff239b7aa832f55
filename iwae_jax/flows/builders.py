"""Whole flows: a base seen through a bijection, RealNVP, and its multi-scale form."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from iwae_jax.flows import bases, chains, conditioners, couplings, linear, masks, shapes
from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Flow, Transformer
from iwae_jax.flows.transformers import affine
from iwae_jax.types import Array, Key, PyTree


def transformed(base: bases.BaseAndParams, layer: Layer) -> tuple[Flow, PyTree]:
    r"""The density of a base seen through a bijection.

    .. math:: \log p(x) = \log p(z) + \log |\det \partial z / \partial x|, \quad z = f^{-1}(x)

    Args:
      base: the base and its parameters.
      layer: the bijection and its parameters.

    Returns:
      The flow, and its parameters: a dictionary of "base" and "bijection".

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> flow, params = flows.transformed(flows.standard_normal((2,)), flows.scaling((2,)))
      >>> round(float(flow.log_prob(params, jnp.zeros(2))), 4)
      -1.8379

    References:
      Papamakarios et al. (2021), Normalizing Flows for Probabilistic Modeling and Inference,
      arXiv:1912.02762.
    """
    (prior, base_params), (bijection, layer_params) = base, layer

    def forward_and_log_det(params: PyTree, z: PyTree, *context: PyTree) -> tuple[PyTree, Array]:
        return bijection.forward_and_log_det(params["bijection"], z, *context)

    def inverse_and_log_det(params: PyTree, x: PyTree, *context: PyTree) -> tuple[PyTree, Array]:
        return bijection.inverse_and_log_det(params["bijection"], x, *context)

    def log_prob(params: PyTree, x: PyTree, *context: PyTree) -> Array:
        z, log_det = inverse_and_log_det(params, x, *context)
        return prior.log_prob(params["base"], z) + log_det

    def sample(
        key: Key, params: PyTree, *context: PyTree, temperature: Array | float = 1.0
    ) -> PyTree:
        z = prior.sample(key, params["base"], temperature)
        return forward_and_log_det(params, z, *context)[0]

    def sample_and_log_prob(key: Key, params: PyTree, *context: PyTree) -> tuple[PyTree, Array]:
        z = prior.sample(key, params["base"], 1.0)
        x, log_det = forward_and_log_det(params, z, *context)
        return x, prior.log_prob(params["base"], z) - log_det

    def initialise(params: PyTree, xs: PyTree, *contexts: PyTree) -> PyTree:
        fitted = bijection.initialise(params["bijection"], xs, *contexts)
        return params | {"bijection": fitted}

    flow = Flow(
        log_prob, sample, sample_and_log_prob, forward_and_log_det, inverse_and_log_det, initialise
    )
    return flow, {"base": base_params, "bijection": layer_params}


def realnvp(
    key: Key,
    event_shape: Sequence[int],
    *,
    num_blocks: int = 3,
    hidden_sizes: Sequence[int] = (256, 256),
    transformer: Transformer = affine(),  # noqa: B008
    preprocessing: Layer | None = None,
    base: bases.BaseAndParams | None = None,
    context_size: int = 0,
) -> tuple[Flow, PyTree]:
    """Couplings of dense networks in whitened coordinates, over data of any shape.

    From the data: the preprocessing, principal components scaled to variance 1, then blocks of two
    couplings, each of which maps what the other keeps: every second component. ``flow.initialise``
    sets the components from data, after which, the couplings being the identity at the start, the
    flow is the Gaussian with the data's mean and covariance, and training can only gain on it.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of one datum, of two entries or more.
      num_blocks: number of pairs of couplings.
      hidden_sizes: widths of the hidden layers of each coupling's network.
      transformer: what a coupling does to a value.
      preprocessing: a bijection of data of `event_shape`, and its parameters; None for none.
      base: density of the latent, a vector; None for a standard normal.
      context_size: numbers in the context that the couplings read; 0 ignores any context.

    Returns:
      The flow and its parameters.

    Raises:
      ValueError: a size is not positive, or the event has one entry.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> flow, params = flows.realnvp(jax.random.key(0), (2,), hidden_sizes=(8,))
      >>> x = flow.sample(jax.random.key(1), params)
      >>> x.shape, flow.log_prob(params, x).shape
      ((2,), ())

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    shape = tuple(event_shape)
    size = math.prod(shape)
    network = conditioners.mlp(hidden_sizes=hidden_sizes, squash=jnp.arcsinh)
    mask = masks.alternating((size,))

    def block(key: Key) -> Layer:
        one = partial(
            couplings.coupling, transformer=transformer, network=network, context_size=context_size
        )
        first, second = jax.random.split(key)
        return chains.chain([one(first, mask), one(second, ~mask)])

    layers = [
        chains.repeat(key, block, num_layers=num_blocks),
        linear.whitening((size,)),
        shapes.flatten(shape),
    ]
    if preprocessing is not None:
        layers.append(preprocessing)
    return transformed(base or bases.standard_normal((size,)), chains.chain(layers))


def multi_scale_realnvp(
    key: Key,
    event_shape: Sequence[int],
    *,
    num_scales: int = 2,
    width: int = 32,
    num_residual_blocks: int = 2,
    transformer: Transformer = affine(),  # noqa: B008
    preprocessing: Layer | None = None,
) -> tuple[Flow, PyTree]:
    """Convolutional couplings over images, with half of the channels left out at every scale.

    Each scale has four couplings of checkerboard masks; each but the last then turns patches of
    2x2 pixels into channels, adds four couplings of channel masks, and leaves half of the channels
    out. A normalisation of the channels stands before every coupling. ``flow.initialise`` sets
    those from data.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: ``(H, W, C)``; H and W divisible by ``2 ** (num_scales - 1)``, which leaves more
        than one pixel.
      num_scales: number of scales.
      width: channels within the networks.
      num_residual_blocks: residual blocks of each network.
      transformer: what a coupling does to a value.
      preprocessing: a bijection of data of `event_shape`, and its parameters; None for none.

    Returns:
      The flow and its parameters.

    Raises:
      ValueError: the event is not an image of such a size, or a size is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import flows
      >>> flow, params = flows.multi_scale_realnvp(
      ...     jax.random.key(0), (4, 4, 1), width=4, num_residual_blocks=1)
      >>> flow.sample(jax.random.key(1), params).shape
      (4, 4, 1)

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    if num_scales < 1 or len(event_shape) != 3:
        raise ValueError(
            "num_scales must be at least 1 and event_shape an image's (H, W, C); got "
            f"num_scales={num_scales}, event_shape={tuple(event_shape)}."
        )
    if event_shape[0] * event_shape[1] <= 4 ** (num_scales - 1):
        raise ValueError(
            f"num_scales={num_scales} leaves at most one pixel of {tuple(event_shape)} for the last"
            " scale's masks: lower it."
        )

    def alternate(key: Key, mask) -> list[Layer]:
        found = []
        for index, own_key in enumerate(jax.random.split(key, 4)):
            own = mask if index % 2 else ~mask
            network = conditioners.convolutional(own, width=width, num_blocks=num_residual_blocks)
            found += [
                couplings.coupling(own_key, own, transformer=transformer, network=network),
                linear.act_norm(mask.shape),
            ]
        return found

    def scale(key: Key, shape: tuple[int, ...], left: int) -> tuple[bases.BaseAndParams, Layer]:
        """The base and the layers from the latent to an image of this shape."""
        pixel_key, channel_key, inner_key = jax.random.split(key, 3)
        pixels = alternate(pixel_key, masks.checkerboard(shape))
        if left == 1:
            return bases.standard_normal(shape), chains.chain(pixels)
        squeezed = (shape[0] // 2, shape[1] // 2, 4 * shape[2])
        kept = squeezed[2] // 2
        unpatch = shapes.squeeze(shape)
        base, inner = scale(inner_key, (*squeezed[:2], kept), left - 1)
        rest = bases.standard_normal((*squeezed[:2], kept))
        layers = [
            shapes.factor_out(inner, num_channels=kept),
            *alternate(channel_key, masks.channels(squeezed)),
            unpatch,
            *pixels,
        ]
        return bases.product([base, rest]), chains.chain(layers)

    base, layer = scale(key, tuple(event_shape), num_scales)
    if preprocessing is not None:
        layer = chains.chain([layer, preprocessing])
    return transformed(base, layer)
