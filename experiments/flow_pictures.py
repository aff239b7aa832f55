"""Pictures of a detector: log p with the threshold, ROC, what it finds odd and where, samples."""

import pathlib

import jax
import matplotlib.pyplot as plt
import numpy as np

from experiments import figures, flow_models
from iwae_jax import keys


def histograms(scores: dict[str, np.ndarray], threshold: float):
    """Log p of test images and of anomalies, with the threshold."""
    figure, axis = plt.subplots(figsize=(7.5, 3.2))
    # Anomalies reach far down; what lies below the picture is counted in its first bar.
    high = max(scores["test"].max(), scores["anomalous"].max())
    low = threshold - 1.5 * (high - threshold)
    edges = np.linspace(low, high, 120).tolist()
    for name, label in (("test", "test images"), ("anomalous", "anomalies")):
        axis.hist(np.maximum(scores[name], low), edges, alpha=0.6, label=label)
    axis.axvline(threshold, color="black", lw=1, label="mean - 3 std")
    axis.set(xlabel="log p (nats)", ylabel="images")
    axis.set_yscale("log")
    axis.legend(loc="upper center")
    return figure


def roc(scores: dict[str, np.ndarray]):
    """Errors of both types as the threshold moves."""
    figure, axis = plt.subplots(figsize=(4.2, 3.6))
    thresholds = np.sort(np.concatenate([scores["test"], scores["anomalous"]]))
    rate = lambda name: np.searchsorted(np.sort(scores[name]), thresholds) / len(scores[name])
    axis.plot(100 * rate("test"), 100 * (1.0 - rate("anomalous")))
    axis.set_xscale("symlog", linthresh=0.01)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="test images flagged (%)", ylabel="anomalies missed (%)")
    return figure


def draw_all(
    density: flow_models.Density,
    scores: dict[str, np.ndarray],
    threshold: float,
    material,
    folder: pathlib.Path,
    seed: int,
) -> None:
    """Writes the pictures of a run."""
    figures.save(histograms(scores, threshold), folder / "histograms.png")
    figures.save(roc(scores), folder / "roc.png")
    grey = lambda images: np.asarray(images, np.float32) / 255.0
    odd = material.test[np.argsort(scores["test"])[:10]]
    usual = material.anomalous[np.argsort(scores["anomalous"])[::-1][:10]]
    # Times the ink: alone, the slopes are largest where the edge is always white.
    slopes = flow_models.attributions(density, odd) * grey(odd)
    slopes = np.abs(slopes) / np.quantile(np.abs(slopes), 0.99, axis=(1, 2), keepdims=True)
    figures.save(
        figures.image_rows(
            [grey(odd), np.clip(slopes, 0.0, 1.0), grey(usual)],
            ["least likely\ntest images", "|x d log p / dx|", "most likely\nanomalies"],
            "What the flow finds odd, where, and what it takes for normal",
        ),
        folder / "oddities.png",
    )
    key = keys.tagged(jax.random.key(seed), keys.ILLUSTRATION)
    draw = jax.jit(jax.vmap(density.flow.sample, (0, None)))
    samples = np.asarray(draw(jax.random.split(key, 30), density.params)) / 256.0
    samples = np.clip(samples, 0.0, 1.0).reshape(3, 10, *samples.shape[1:])
    figures.save(
        figures.image_rows(list(samples), [""] * 3, "Samples of the flow"),
        folder / "samples.png",
    )
