"""Increasing maps of the line: what a coupling or an autoregressive layer does to one number."""

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.flows.structures import Transformer
from iwae_jax.types import Array


def additive() -> Transformer:
    r"""A shift, which keeps volumes.

    .. math:: x = z + t

    Returns:
      The transformer, of one parameter t.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> x, log_det = flows.additive().forward_and_log_det(jnp.array([2.0]), jnp.array(1.0))
      >>> float(x), float(log_det)
      (3.0, 0.0)

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """

    def forward_and_log_det(raw: Array, z: Array) -> tuple[Array, Array]:
        return z + raw[0], jnp.zeros_like(z)

    def inverse_and_log_det(raw: Array, x: Array) -> tuple[Array, Array]:
        return x - raw[0], jnp.zeros_like(x)

    return Transformer(1, forward_and_log_det, inverse_and_log_det)


def affine(*, log_scale_bound: float = 2.0) -> Transformer:
    r"""A shift and a scale that can neither explode nor vanish.

    .. math:: x = e^s z + t, \quad s = b \tanh(r / b)

    Args:
      log_scale_bound: b, which no log-scale exceeds.

    Returns:
      The transformer, of two parameters t and r.

    Raises:
      ValueError: the bound is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> x, log_det = flows.affine().forward_and_log_det(jnp.array([1.0, 1e9]), jnp.array(0.0))
      >>> float(x), float(log_det)
      (1.0, 2.0)

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    if log_scale_bound <= 0.0:
        raise ValueError(f"log_scale_bound must be positive; got {log_scale_bound}.")
    bounded = lambda raw: log_scale_bound * jnp.tanh(raw / log_scale_bound)

    def forward_and_log_det(raw: Array, z: Array) -> tuple[Array, Array]:
        log_scale = bounded(raw[1])
        return jnp.exp(log_scale) * z + raw[0], log_scale

    def inverse_and_log_det(raw: Array, x: Array) -> tuple[Array, Array]:
        log_scale = bounded(raw[1])
        return jnp.exp(-log_scale) * (x - raw[0]), -log_scale

    return Transformer(2, forward_and_log_det, inverse_and_log_det)


def rational_quadratic(
    *, num_bins: int = 8, interval: float = 5.0, smallest: float = 1e-3
) -> Transformer:
    r"""A monotone spline of rational quadratics on [-B, B], and the identity outside.

    In a bin of width w, height h and mean slope s = h / w, with slopes d_0 and d_1 at its ends,

    .. math:: x = x_0 + h \frac{s \xi^2 + d_0 \xi (1 - \xi)}{s + (d_0 + d_1 - 2 s) \xi (1 - \xi)}

    for :math:`\xi = (z - z_0) / w`. Values outside the interval are kept away from the formula
    before it is computed, so that gradients stay finite.

    Args:
      num_bins: number of bins.
      interval: B.
      smallest: least width and height of a bin, as a share of 2B, and least slope of a knot.

    Returns:
      The transformer, of ``3 * num_bins - 1`` parameters.

    Raises:
      ValueError: `num_bins` or `interval` is not positive, or `smallest` leaves the bins no room.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> spline = flows.rational_quadratic(num_bins=4)
      >>> x, _ = spline.forward_and_log_det(jnp.zeros(spline.num_params), jnp.array(0.5))
      >>> round(float(x), 4)
      0.5

    References:
      Durkan, Bekasov, Murray and Papamakarios (2019), Neural Spline Flows, arXiv:1906.04032; the
      spline: Gregory and Delbourgo (1982).
    """
    if num_bins < 1 or interval <= 0.0 or not 0.0 < smallest * num_bins < 1.0:
        raise ValueError(
            "num_bins and interval must be positive and smallest between 0 and 1 / num_bins; got "
            f"num_bins={num_bins}, interval={interval}, smallest={smallest}."
        )
    # The slope is one where the network gives zero.
    slope_offset = float(np.log(np.expm1(1.0 - smallest)))

    def sizes(raw: Array) -> Array:
        shares = smallest + (1.0 - smallest * num_bins) * jax.nn.softmax(raw)
        return 2.0 * interval * shares

    def bin_of(raw: Array, value: Array, through: int) -> tuple[Array, ...]:
        widths, heights, slopes = jnp.split(raw, [num_bins, 2 * num_bins])
        widths, heights = sizes(widths), sizes(heights)
        # Which bin it is has no derivative, so none is taken through the knots.
        ends = jnp.cumsum(jax.lax.stop_gradient((widths, heights)[through])[:-1]) - interval
        passed = (value >= ends).astype(raw.dtype)
        reached = jnp.concatenate([jnp.ones((1,), raw.dtype), passed])
        passed = jnp.concatenate([passed, jnp.zeros((1,), raw.dtype)])
        before = lambda values: jnp.sum(passed * values) - interval
        pick = lambda values: jnp.sum((reached - passed) * values)
        # At either end of the interval the slope is one, which a raw number of zero gives.
        no_slope = jnp.zeros((1,), raw.dtype)
        left, right = jnp.concatenate([no_slope, slopes]), jnp.concatenate([slopes, no_slope])
        slope_of = lambda raw: smallest + jax.nn.softplus(pick(raw) + slope_offset)
        edges = before(widths), before(heights)
        return *edges, pick(widths), pick(heights), slope_of(left), slope_of(right)

    def log_slope(xi: Array, slope: Array, d_0: Array, d_1: Array) -> Array:
        rest = xi * (1.0 - xi)
        numerator = d_1 * xi**2 + 2.0 * slope * rest + d_0 * (1.0 - xi) ** 2
        denominator = slope + (d_0 + d_1 - 2.0 * slope) * rest
        return 2.0 * jnp.log(slope) + jnp.log(numerator) - 2.0 * jnp.log(denominator)

    def forward_and_log_det(raw: Array, z: Array) -> tuple[Array, Array]:
        inside = jnp.abs(z) < interval
        safe = jnp.where(inside, z, 0.0)
        z_0, x_0, width, height, d_0, d_1 = bin_of(raw, safe, 0)
        slope, xi = height / width, (safe - z_0) / width
        rest = xi * (1.0 - xi)
        x = x_0 + height * (slope * xi**2 + d_0 * rest) / (slope + (d_0 + d_1 - 2.0 * slope) * rest)
        return jnp.where(inside, x, z), jnp.where(inside, log_slope(xi, slope, d_0, d_1), 0.0)

    def inverse_and_log_det(raw: Array, x: Array) -> tuple[Array, Array]:
        inside = jnp.abs(x) < interval
        safe = jnp.where(inside, x, 0.0)
        z_0, x_0, width, height, d_0, d_1 = bin_of(raw, safe, 1)
        slope, rise = height / width, safe - x_0
        bend = d_0 + d_1 - 2.0 * slope
        a = height * (slope - d_0) + rise * bend
        b = height * d_0 - rise * bend
        # Rounding may take the discriminant, which is positive, below zero.
        root = jnp.sqrt(jnp.maximum(b**2 + 4.0 * a * slope * rise, jnp.finfo(raw.dtype).tiny))
        xi = 2.0 * slope * rise / (b + root)
        z = z_0 + xi * width
        return jnp.where(inside, z, x), jnp.where(inside, -log_slope(xi, slope, d_0, d_1), 0.0)

    return Transformer(3 * num_bins - 1, forward_and_log_det, inverse_and_log_det)
