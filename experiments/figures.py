"""Pictures of a run: small PNG files with one look."""

import pathlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": 110,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "font.size": 10,
    }
)


def save(figure, path: pathlib.Path) -> None:
    """Writes a figure and closes it."""
    figure.savefig(path)
    plt.close(figure)


def image_rows(rows: list[np.ndarray], labels: list[str], title: str):
    """Rows of images ``[n, H, W]`` from 0 (white) to 1 (black), a label to the left of each."""
    num_columns = max(len(row) for row in rows)
    figure, axes = plt.subplots(
        len(rows), num_columns, figsize=(0.75 * num_columns + 0.9, 0.78 * len(rows) + 0.45),
        squeeze=False,
    )  # fmt: skip
    for line, row, label in zip(axes, rows, labels, strict=True):
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
        for axis, image in zip(line, row, strict=False):
            axis.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=10)
    return figure


def learning_curves(history: list[dict[str, float]], title: str):
    """Bound and effective sample size against epochs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2))
    epochs = [line["epoch"] for line in history]
    for name, label in (("train", "training"), ("validation", "validation")):
        if f"{name}_bound" in history[0]:
            left.plot(epochs, [line[f"{name}_bound"] for line in history], label=label)
            right.plot(epochs, [line[f"{name}_ess"] for line in history], label=label)
    # The first epochs are far below the rest and would flatten it.
    late = [line["train_bound"] for line in history[len(history) // 10 :]]
    top = max(line.get("validation_bound", -np.inf) for line in history)
    top = max(top, *late)
    left.set_ylim(min(late) - 0.1 * (top - min(late)) - 0.1, top + 0.1 * (top - min(late)) + 0.1)
    left.set(xlabel="epoch", ylabel="bound (nats)")
    right.set(xlabel="epoch", ylabel="effective sample size")
    left.legend()
    figure.suptitle(title, fontsize=10)
    return figure


def bound_curves(
    num_samples: list[int], bounds: np.ndarray, standard_errors: np.ndarray, title: str
):
    """For each image, the bound against K: arrays ``[images, len(num_samples)]``."""
    figure, axes = plt.subplots(2, 4, figsize=(10, 4.6), sharex=True)
    for index, axis in enumerate(axes.flat):
        axis.errorbar(
            num_samples,
            bounds[index],
            2.0 * standard_errors[index],
            fmt="o-",
            ms=3,
            lw=1,
            capsize=2,
        )
        axis.set_xscale("log")
        axis.set_title(f"test image {index + 1}", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("K")
    for axis in axes[:, 0]:
        axis.set_ylabel("bound (nats)")
    figure.suptitle(title, fontsize=10)
    return figure
