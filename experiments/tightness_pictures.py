"""Pictures of how tight the bounds are, and of what the maxima over theta miss."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np

from experiments import figures
from experiments.tightness_laws import FAMILIES
from experiments.tightness_maxima import FITS

MARKERS = dict(zip(FAMILIES, "osD^v", strict=True))


def curves(counts: np.ndarray, gaps: np.ndarray, seconds: np.ndarray, folder: pathlib.Path) -> None:
    """Draws mean gaps ``[families, counts]`` against K and against the time that K samples take."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.0), sharey=True)
    for (name, label), gap in zip(FAMILIES.items(), gaps, strict=True):
        for axis, cost in ((left, counts), (right, 1e3 * seconds)):
            if name != "posterior":  # its gap is rounding, which a logarithm cannot show
                axis.plot(cost, gap, f"{MARKERS[name]}-", ms=4, lw=1.2, label=label)
    size = np.abs(gaps[-1]).max()
    left.plot([], [], " ", label=f"the posterior: 0 (within {size:.0e}) at every K")
    for axis in (left, right):
        axis.set(xscale="log", yscale="log")
    left.set(xlabel="K", ylabel="log p(x) - L_K (nats)")
    right.set(xlabel="milliseconds to draw K samples and form the bound")
    left.legend(fontsize=8, loc="lower left")
    figure.suptitle(
        "How far the exact bound lies under log p(x), for five families of q", fontsize=10
    )
    figures.save(figure, folder / "tightness.png")


def maxima(
    counts: list[int],
    misses: np.ndarray,
    covariances: dict[str, np.ndarray],
    points: np.ndarray,
    folder: pathlib.Path,
) -> None:
    """Draws misses ``[fits, counts]``, and covariances of x seen in its first and last entry."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), width_ratios=[3, 2])
    rows = np.arange(len(FITS))[::-1]
    floor = 1e-16
    for index, count in enumerate(counts):
        values = np.maximum(np.abs(misses[:, index]), floor)
        left.plot(values, rows + 0.1 - 0.2 * index, "os"[index], label=f"K = {count}")
    left.set(xscale="log", xlim=(floor / 3, 1.0), yticks=rows, ylim=(-0.6, len(FITS) - 0.4))
    left.set(yticklabels=FITS.values(), xlabel="max log p - max L_K, absolute value (nats)")
    left.legend(fontsize=8)
    angles = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    styles = ("k-", "--", "-.")
    for (label, covariance), style in zip(covariances.items(), styles, strict=True):
        seen = covariance[np.ix_([0, -1], [0, -1])]
        right.plot(*(2.0 * np.linalg.cholesky(seen) @ circle), style, lw=1.3, label=label)
    right.plot(*(points[:, [0, -1]] - points[:, [0, -1]].mean(0)).T, "o", ms=4, color="0.6")
    right.set(xlabel="x_1 (centred)", ylabel="x_4 (centred)", aspect="equal")
    right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    figure.suptitle("Maxima over theta and phi, and the covariance of x they lead to", fontsize=10)
    figures.save(figure, folder / "maxima.png")
