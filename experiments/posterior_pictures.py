"""Pictures of `experiments.posterior_gap`: the gaps against K, and each q over its posterior."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from experiments import figures
from experiments.posterior_families import POSTERIORS

FLOOR = 1e-8  # nats, below which a gap is rounding


def draw_all(
    cases: list[dict[str, Any]], fitted: dict, num_samples: tuple[int, ...], folder: pathlib.Path
) -> None:
    """Draws both pictures."""
    families = list(dict.fromkeys(case["family"] for case in cases))
    figure, axes = plt.subplots(1, len(POSTERIORS), figsize=(9.0, 3.6))
    for axis, posterior in zip(axes, POSTERIORS, strict=True):
        for index, family in enumerate(families):
            for case in cases:
                if (case["posterior"], case["family"]) != (posterior, family):
                    continue
                axis.plot(
                    num_samples, np.maximum(case["gaps"], FLOOR), "o-" if case["trained_with"] == 1
                    else "s:", color=f"C{index}", ms=4,
                    label=f"{family}, trained with K = {case['trained_with']}",
                )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="K", ylabel="log p(x) - L_K (nats)",
                 title=f"{posterior} posterior")  # fmt: skip
    axes[0].legend(fontsize=7)
    figures.save(figure, folder / "gaps.png")

    grid = np.linspace(-3.5, 3.5, 141)
    plane = jnp.asarray(np.stack(np.meshgrid(grid, grid), axis=-1), jnp.float32)
    over = lambda function: np.exp(np.asarray(jax.jit(jax.vmap(jax.vmap(function)))(plane)))
    figure, axes = plt.subplots(
        len(POSTERIORS), len(families), figsize=(2.4 * len(families), 2.5 * len(POSTERIORS)),
        sharex=True, sharey=True,
    )  # fmt: skip
    for row, posterior in zip(axes, POSTERIORS, strict=True):
        joint = over(POSTERIORS[posterior])
        for axis, family in zip(row, families, strict=True):
            q = fitted[posterior, family]
            density = over(lambda z, q=q: q.flow.log_prob(q.phi, z))
            axis.contourf(grid, grid, joint / joint.max(), levels=8, cmap="Greys", alpha=0.7)
            axis.contour(
                grid,
                grid,
                density / density.max(),
                levels=[0.1, 0.3, 0.5, 0.7, 0.9],
                colors="C3",
                linewidths=1,
            )
            axis.set_title(f"{posterior}, {family} q", fontsize=9)
            axis.grid(False)
    figure.suptitle("q (red) over the posterior (grey), trained with K = 1", fontsize=10)
    figures.save(figure, folder / "densities.png")
