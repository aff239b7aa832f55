"""Grey levels as continuous data: preprocessing with its log-det, and bits per pixel.

A grey level n of an image is the interval [n, n + 1). So a flow over images is a density on
[0, 256) per pixel, whose log-density needs no offset to be a log-probability of the image.
"""

import math
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Bijection
from iwae_jax.types import Array, Key, PyTree

NUM_LEVELS = 256.0


def _continuous(x: Array, shape: tuple[int, ...]) -> None:
    chex.assert_shape(x, shape)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"a flow is a density of continuous pixels, not of {x.dtype}: dequantise first, with "
            "flows.midpoints or a model of flows.uniform_dequantisation."
        )


def unit_pixels(event_shape: Sequence[int]) -> Layer:
    r"""Pixels on [0, 1] as those on [0, 256).

    .. math:: x = 256 y

    Args:
      event_shape: shape of the image.

    Returns:
      The bijection, which has no parameters.

    Raises:
      TypeError: the pixels are integers.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.unit_pixels((2,))
      >>> layer.inverse_and_log_det(params, jnp.array([64.0, 128.0]))[0].tolist()
      [0.25, 0.5]

    References:
      Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative Models,
      arXiv:1511.01844.
    """
    shape = tuple(event_shape)
    log_det = math.prod(shape) * math.log(NUM_LEVELS)

    def forward_and_log_det(params: PyTree, y: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(y, shape)
        return NUM_LEVELS * y, jnp.asarray(log_det, y.dtype)

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
        _continuous(x, shape)
        return x / NUM_LEVELS, jnp.asarray(-log_det, x.dtype)

    return Bijection(forward_and_log_det, inverse_and_log_det), ()


def logit_pixels(event_shape: Sequence[int], *, alpha: float = 0.05) -> Layer:
    r"""Pixels through the logit, kept away from its ends by alpha.

    .. math:: y = \mathrm{logit}(\alpha + (1 - 2\alpha)\, x / 256)

    The log-density of an image depends on alpha; only bits per pixel on [0, 256), which this
    log-det gives, compare. Outside the image of the line the log-det is -inf and the value 0, with
    finite gradients.

    Args:
      event_shape: shape of the image.
      alpha: the margin, between 0 and 1/2. Benchmarks of density use 1e-6; a detector is better
        with a larger one, because otherwise the noise of saturated pixels dominates.

    Returns:
      The bijection, which has no parameters.

    Raises:
      TypeError: the pixels are integers.
      ValueError: alpha is out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.logit_pixels((1,), alpha=0.05)
      >>> layer.forward_and_log_det(params, jnp.zeros(1))[0].tolist()
      [128.0]

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, section 4.1,
      arXiv:1605.08803; Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057.
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, both excluded; got {alpha}.")
    shape, width = tuple(event_shape), 1.0 - 2.0 * alpha
    constant = math.log(NUM_LEVELS) - math.log(width)

    def forward_and_log_det(params: PyTree, y: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(y, shape)
        log_slopes = constant + jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y)
        return NUM_LEVELS / width * (jax.nn.sigmoid(y) - alpha), jnp.sum(log_slopes)

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
        _continuous(x, shape)
        # Not 1 - low, which loses the digits of a small alpha.
        low = alpha + width / NUM_LEVELS * x
        high = alpha + width / NUM_LEVELS * (NUM_LEVELS - x)
        inside = (low > 0.0) & (high > 0.0)
        # The gradient of a logarithm must not see what is outside, even where it is not chosen.
        log_low = jnp.log(jnp.where(inside, low, 0.5))
        log_high = jnp.log(jnp.where(inside, high, 0.5))
        log_det = -jnp.sum(constant + log_low + log_high)
        log_det = jnp.where(jnp.all(inside), log_det, -jnp.inf)
        log_det = jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, log_det)
        return log_low - log_high, log_det

    return Bijection(forward_and_log_det, inverse_and_log_det), ()


def midpoints(images: ArrayLike) -> Array:
    """The middles of the intervals of grey levels, without noise.

    Args:
      images: ``[...]``, uint8.

    Returns:
      ``[...]``, float32, from 0.5 to 255.5.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> flows.midpoints(jnp.array([0, 255], jnp.uint8)).tolist()
      [0.5, 255.5]

    References:
      Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative Models,
      arXiv:1511.01844.
    """
    return jnp.asarray(images).astype(jnp.float32) + 0.5


def grey_levels(key: Key, image: Array) -> Array:
    """What a dequantising model sees of an image: its grey levels, as they are.

    Args:
      key: the example's key, ``[]``; not used.
      image: ``[...]``, uint8.

    Returns:
      ``[...]``, float32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> flows.grey_levels(jax.random.key(0), jnp.array([0, 255], jnp.uint8)).tolist()
      [0.0, 255.0]

    References:
      Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative Models,
      arXiv:1511.01844.
    """
    return image.astype(jnp.float32)


def bits_per_dim(log_prob: Any, *, size: int) -> Any:
    r"""Bits that a code of this density needs for each pixel.

    .. math:: -\log p(x) / (D \log 2)

    Args:
      log_prob: ``[...]``, in nats, of images on [0, 256).
      size: D, number of pixels.

    Returns:
      ``[...]``, in bits; 8 for a density that is uniform.

    Raises:
      ValueError: the size is not positive.

    Example:
      >>> import math
      >>> from iwae_jax import flows
      >>> round(flows.bits_per_dim(-784 * math.log(256), size=784), 6)
      8.0

    References:
      Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative Models,
      arXiv:1511.01844.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1; got {size}.")
    return -log_prob / (size * math.log(2.0))
