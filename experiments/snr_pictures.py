"""Pictures of the variance study: log-log, theta to the left and phi to the right."""

import pathlib
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from experiments import figures
from experiments.snr_grid import Grid

HALVES = ("gradient in theta", "gradient in phi")


def draw_all(
    grid: Grid, names: Sequence[str], num_samples: Sequence[int], title: str, folder: pathlib.Path
) -> None:
    """Draws ratio, variance, bias and variance x cost against K."""
    arrays = grid.arrays
    figure, axes = _panels(names, num_samples, arrays["snr"], arrays["snr_se"])
    for half, exponents in enumerate(((0.5,), (-0.5, 0.5))):
        if np.any(arrays["snr"][:, :, half] > 0.0):
            for exponent in exponents:
                _guide(axes[half], num_samples, exponent)
    _finish(figure, axes, "signal-to-noise ratio", title, folder / "snr.png")
    figure, axes = _panels(names, num_samples, arrays["variance"])
    _finish(figure, axes, "variance, sum over entries", title, folder / "variance.png")
    figure, axes = _panels(names, num_samples, arrays["variance"] * arrays["seconds"])
    _finish(figure, axes, "variance x seconds of a gradient", title, folder / "variance_cost.png")
    if np.any(arrays["bias"] > 0.0):
        # A bias within twice its noise is not told from none.
        seen = np.where(arrays["bias"] > 2.0 * arrays["bias_noise"], arrays["bias"], np.nan)
        figure, axes = _panels(names, num_samples, seen)
        for axis, noise in zip(axes, np.moveaxis(arrays["bias_noise"], -1, 0), strict=True):
            for row in noise:
                axis.plot(num_samples, 2.0 * row, color="grey", lw=0.7, ls=":")
        _finish(
            figure, axes, "distance of the mean from the exact gradient", title,
            folder / "bias.png", note="(dotted: twice the noise of each mean)",
        )  # fmt: skip


def _panels(names, num_samples, values, errors=None):
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8))
    for half, axis in enumerate(axes):
        for index, name in enumerate(names):
            spread = None if errors is None else 2.0 * errors[index, :, half]
            axis.errorbar(
                num_samples, np.where(values[index, :, half] > 0.0, values[index, :, half], np.nan),
                spread, fmt="o-", ms=3.5, lw=1.2, capsize=2, label=name,
            )  # fmt: skip
        # An axis without a positive value has no logarithms.
        scale = "log" if np.any(values[:, :, half] > 0.0) else "linear"
        axis.set(xscale="log", yscale=scale, xlabel="K", title=HALVES[half])
        axis.set_xticks(num_samples, [str(k) for k in num_samples])
        axis.minorticks_off()
    return figure, axes


def _guide(axis, num_samples, exponent) -> None:
    low, high = axis.get_ylim()
    ks = np.array([num_samples[0], num_samples[-1]], float)
    middle = np.sqrt(low * high)
    line = middle * (ks / np.sqrt(ks[0] * ks[1])) ** exponent
    axis.plot(ks, line, color="grey", lw=1, ls="--", zorder=0)
    axis.annotate(f"K^{exponent:+.1f}", (ks[1], line[1]), fontsize=8, color="grey")
    axis.set_ylim(low, high)


def _finish(figure, axes, label, title, path, note="") -> None:
    for axis in axes:
        low, high = axis.get_ylim()
        if axis.get_yscale() == "log" and high < 100.0 * low:
            # There may be no power of ten to stand at the axis.
            axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel(label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.suptitle(f"{title}  {note}" if note else title, fontsize=10)
    figures.save(figure, path)
