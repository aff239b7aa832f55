"""Ratios of a gradient's signal to its noise."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from iwae_jax.diagnostics._gradients import (
    GradientMoments,
    inner,
    standard_error,
    total,
    variance,
)
from iwae_jax.types import Array, PyTree


def naive_snr(moments: GradientMoments) -> PyTree:
    r"""Signal-to-noise ratio of each entry of the gradient, from its own mean.

    .. math:: |\bar g| / s

    Where the true ratio is 0, its expectation is sqrt(2 / (pi R)), not 0: a floor that hides how
    small ratios fall with K. It measures a biased estimator against its own mean.

    Args:
      moments: of R gradients, at least 2.

    Returns:
      A pytree like the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([1.0, 2.0, 6.0])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(()))
      >>> float(diagnostics.naive_snr(moments)).__round__(4)
      1.1339

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    return jax.tree.map(lambda m, v: jnp.abs(m) / jnp.sqrt(v), moments.mean, variance(moments))


def exact_signal_snr(moments: GradientMoments, *, signal: PyTree) -> Array:
    r"""Signal-to-noise ratio of a gradient whose expectation is known.

    .. math:: \sqrt{\sum_i \mu_i^2 / \sum_i s_i^2}

    It has no floor: only the noise is estimated.

    Args:
      moments: of R gradients, at least 2.
      signal: a pytree like the gradient, mu, such as `jax.grad` of a bound of `iwae_jax.exact`.

    Returns:
      The ratio, ``[]``.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([1.0, 2.0, 6.0])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(()))
      >>> float(diagnostics.exact_signal_snr(moments, signal=jnp.array(2.0))).__round__(4)
      0.7559

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    return jnp.sqrt(inner(signal, signal) / total(variance(moments)))


def pooled_signal_snr(moments: GradientMoments, *, unbiased: Sequence[GradientMoments]) -> Array:
    r"""Signal-to-noise ratio against the signal that several unbiased estimators agree on.

    .. math:: \sqrt{\max\Big(\sum_i (\bar\mu_i^2 - v_i), 0\Big) / \sum_i s_i^2}, \quad
       v_i = \Big(\sum_j R_j / s_{ij}^2\Big)^{-1}, \quad
       \bar\mu_i = v_i \sum_j (R_j / s_{ij}^2)\, \bar g_{ij}

    The signal's own noise v is subtracted, so the floor of `naive_snr` is gone; and an estimator of
    much noise shares the mean of one with little.

    Args:
      moments: of R gradients, at least 2.
      unbiased: moments of estimators with the same expectation, from independent draws.

    Returns:
      The ratio, ``[]``; 0 where the signal is lost in its noise.

    Raises:
      ValueError: `unbiased` is empty.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([1.0, 2.0, 6.0])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.ones(()))
      >>> float(diagnostics.pooled_signal_snr(moments, unbiased=[moments])).__round__(4)
      0.9759

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    if not unbiased:
        raise ValueError("unbiased must hold the moments of at least one estimator.")

    def squared_signal(*means_and_errors: Array) -> Array:
        half = len(means_and_errors) // 2
        means, errors = jnp.stack(means_and_errors[:half]), jnp.stack(means_and_errors[half:])
        least = jnp.min(errors, axis=0)
        # Precisions over the highest of them; one without noise, where that is infinite, has 1.
        exact = errors == 0.0
        precisions = jnp.where(exact, 1.0, least / jnp.where(exact, 1.0, errors)) ** 2
        pooled = jnp.sum(precisions, axis=0)
        mean = jnp.sum(precisions * means, axis=0) / pooled
        return jnp.sum(mean**2 - least**2 / pooled)

    means, errors = [m.mean for m in unbiased], [standard_error(m) for m in unbiased]
    signal = total(jax.tree.map(squared_signal, *means, *errors))
    return jnp.sqrt(jnp.maximum(signal, 0.0) / total(variance(moments)))


def directional_snr(moments: GradientMoments) -> Array:
    r"""Directional signal-to-noise ratio: how well a gradient points along its signal.

    .. math:: E \left[ |g_\parallel| / |g - g_\parallel| \right]

    where g_parallel is the component along the direction that the moments were taken with.

    Args:
      moments: of R gradients.

    Returns:
      The ratio, ``[]``; infinite where a gradient has no component across, as with one parameter.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import diagnostics
      >>> gradients = jnp.array([[3.0, 4.0], [8.0, 2.0]])
      >>> moments = diagnostics.gradient_moments(gradients, direction=jnp.array([1.0, 0.0]))
      >>> float(diagnostics.directional_snr(moments))
      2.375

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    return moments.sum_directional / moments.num_gradients
