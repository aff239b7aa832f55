"""From blocks of gradient moments to ratios, biases and slopes, with jackknife standard errors."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import objectives
from iwae_jax import diagnostics
from iwae_jax.diagnostics import GradientMoments
from iwae_jax.types import PyTree

Blocks = list[dict[str, GradientMoments]]


def bound_of(name: str, half: str) -> tuple[str, bool]:
    """The bound whose gradient an estimator's is compared with, and whether it is unbiased."""
    table = objectives.UNBIASED_IN_THETA if half == "theta" else objectives.UNBIASED
    for bound, names in table.items():
        if name in names:
            return bound, True
    elbo = name in objectives.UNBIASED_IN_THETA["elbo"]
    return ("elbo" if elbo else "iwae"), False


def merged(blocks: Blocks, half: str, leave_out: int | None = None) -> GradientMoments:
    """Moments of all blocks, or of all but one."""
    kept = [block[half] for index, block in enumerate(blocks) if index != leave_out]
    return functools.reduce(diagnostics.merge_moments, kept)


def jackknife(statistic: Callable[[int | None], Any], num_blocks: int) -> tuple[Any, Any]:
    """A statistic of all blocks, and its standard error from leaving out one after the other."""
    left_out = np.array([statistic(block) for block in range(num_blocks)], np.float64)
    spread = np.sum((left_out - left_out.mean(0)) ** 2, axis=0)
    return statistic(None), np.sqrt((num_blocks - 1) / num_blocks * spread)


def ratio(
    cells: dict[str, Blocks], name: str, half: str, signal: PyTree, leave_out: int | None
) -> float:
    """Signal-to-noise ratio of an estimator at one K, among the cells of all estimators there.

    Against the exact signal of an unbiased estimator, where there is one; else against the signal
    that the unbiased estimators of its bound agree on; a biased one against its own.
    """
    moments = merged(cells[name], half, leave_out)
    bound, unbiased = bound_of(name, half)
    if unbiased and signal is not None:
        return float(diagnostics.exact_signal_snr(moments, signal=signal))
    pool = [other for other in cells if bound_of(other, half) == (bound, True)] if unbiased else []
    pooled = [merged(cells[other], half, leave_out) for other in pool or [name]]
    return float(diagnostics.pooled_signal_snr(moments, unbiased=pooled))


def bias(moments: GradientMoments, signal: PyTree) -> tuple[float, float]:
    """Length of mean minus signal, corrected for its noise, and the length of that noise."""
    distances = jax.tree.map(lambda m, s: float(np.sum((m - s) ** 2)), moments.mean, signal)
    errors = jax.tree.map(
        lambda e: float(np.sum(np.square(e))), diagnostics.standard_error(moments)
    )
    squared, noise = sum(jax.tree.leaves(distances)), sum(jax.tree.leaves(errors))
    return float(np.sqrt(max(squared - noise, 0.0))), float(np.sqrt(noise))


def total_variance(moments: GradientMoments) -> float:
    """Sum of the variances of all entries."""
    leaves = jax.tree.leaves(diagnostics.variance(moments))
    return float(sum(np.sum(leaf) for leaf in leaves))


def slope(num_samples: list[int], ratios: np.ndarray) -> float:
    """Least-squares slope of log ratio against log K; nan where a ratio was lost in noise."""
    if len(num_samples) < 2 or not np.all(ratios > 0.0):
        return float("nan")
    return float(np.polyfit(np.log(num_samples), np.log(ratios), 1)[0])


class Grid(NamedTuple):
    """Everything measured, estimators x K x halves, and the slopes of the ratios."""

    arrays: dict[str, np.ndarray]
    slopes: dict[str, dict[str, float | None]]
    slopes_se: dict[str, dict[str, float | None]]


def grid(cells: dict[int, dict[str, Any]], names: Sequence[str], signals) -> Grid:
    """Ratios, variances, biases and costs of all cells."""
    ks = list(cells)
    shape = (len(names), len(ks), 2)
    keys = ("snr", "snr_se", "variance", "bias", "bias_noise", "directional_snr", "seconds")
    arrays = {key: np.full(shape, np.nan) for key in keys}
    slopes: dict[str, dict[str, float | None]] = {name: {} for name in names}
    slopes_se: dict[str, dict[str, float | None]] = {name: {} for name in names}
    blocks = {k: {name: cell.blocks for name, cell in cells[k].items()} for k in ks}
    for i, name in enumerate(names):
        for h, half in enumerate(("theta", "phi")):
            bound, _ = bound_of(name, half)
            of_bound = {k: signals[bound][k][half] if signals else None for k in ks}

            def statistics(leave_out, name=name, half=half, of_bound=of_bound):
                ratios = np.array(
                    [ratio(blocks[k], name, half, of_bound[k], leave_out) for k in ks]
                )
                return np.array([*ratios, slope(ks, ratios)])

            values, errors = jackknife(statistics, len(cells[ks[0]][name].blocks))
            arrays["snr"][i, :, h], arrays["snr_se"][i, :, h] = values[:-1], errors[:-1]
            slopes[name][half] = None if np.isnan(values[-1]) else float(values[-1])
            slopes_se[name][half] = None if np.isnan(errors[-1]) else float(errors[-1])
            for j, k in enumerate(ks):
                moments = merged(blocks[k][name], half)
                arrays["variance"][i, j, h] = total_variance(moments)
                arrays["seconds"][i, j, h] = cells[k][name].seconds
                if signals:
                    arrays["bias"][i, j, h], arrays["bias_noise"][i, j, h] = bias(
                        moments, of_bound[k]
                    )
                    arrays["directional_snr"][i, j, h] = diagnostics.directional_snr(moments)
    return Grid(arrays, slopes, slopes_se)
