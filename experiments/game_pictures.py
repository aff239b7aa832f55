"""Pictures of games: paths on a simplex, gaps against steps, what a strategy can lose."""

import numpy as np

from experiments.figures import plt

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3.0**0.5 / 2.0]])
NAMES = ("rock", "paper", "scissors")


def _simplex(axis) -> None:
    axis.fill(*CORNERS.T, facecolor="none", edgecolor="0.4", lw=0.8)
    for corner, name, side in zip(CORNERS, NAMES, ("top", "top", "bottom"), strict=True):
        axis.annotate(name, corner, ha="center", va=side, fontsize=7)
    axis.set(xlim=(-0.12, 1.12), ylim=(-0.12, 1.0), aspect="equal")
    axis.axis("off")


def simplex_paths(seen: dict[str, dict[str, np.ndarray]]):
    """Where A was, method by method: the last point, and the average of the points."""
    columns = 5
    rows = -(-len(seen) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(10.0, 2.15 * rows), squeeze=False)
    for axis in axes.flat[len(seen) :]:
        axis.axis("off")
    for axis, (name, history) in zip(axes.flat, seen.items(), strict=False):
        _simplex(axis)
        last, average = history["p_a"] @ CORNERS, history["average_p_a"] @ CORNERS
        axis.plot(*last.T, lw=0.5, color="C0", label="last point")
        axis.plot(*average.T, lw=1.0, color="C1", label="average")
        axis.plot(*last[0], "k.", ms=4)
        axis.plot(*CORNERS.mean(0), "k*", ms=5)
        axis.set_title(name.replace("_", " "), fontsize=7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle("Rock-paper-scissors: the strategy of A, from (.6, .3, .1)", fontsize=10)
    return figure


def gap_curves(seen: dict[str, dict[str, np.ndarray]]):
    """The gap of the last point and of the average, against the steps."""
    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.6), sharex=True, sharey=True)
    titles = {"last_gap": "last point", "average_gap": "average of the points"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for index, (name, history) in enumerate(seen.items()):
            style = {"color": f"C{index % 10}", "ls": ("-", "--")[index // 10 % 2]}
            steps = np.arange(1, len(history[key]))
            # Some methods pass through the solution on their way around it.
            padded = np.append(history[key][1:], np.full(7, history[key][-8:].max()))
            gap = np.lib.stride_tricks.sliding_window_view(padded, 8).max(-1)
            gap = np.maximum(gap, 1e-16)
            axis.loglog(steps, gap, lw=1.0, label=name.replace("_", " "), **style)
        axis.loglog(steps, 1.0 / steps, "k:", lw=1.0, label="1 / step")
        axis.set(title=title, xlabel="step")
    axes[0].set_ylabel("duality gap (points of B), largest of 8 steps")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7, frameon=False
    )
    return figure


def exploitability_map(M: np.ndarray, example: np.ndarray):
    """What a strategy of A loses to the best answer of B."""
    size = 200
    shares = np.array([[i, j, size - i - j] for i in range(size + 1) for j in range(size + 1 - i)])
    loss = np.max(shares / size @ M, -1)
    figure, axis = plt.subplots(figsize=(4.6, 3.7))
    _simplex(axis)
    x, y = (shares / size @ CORNERS).T
    drawn = axis.tricontourf(x, y, loss, levels=21, cmap="viridis_r")
    figure.colorbar(drawn, ax=axis, label="points that B wins with its best answer")
    axis.plot(*CORNERS.mean(0), "w*", ms=8)
    axis.plot(*(example @ CORNERS), "k.", ms=6)
    axis.annotate(
        f"{np.max(example @ M):.1f}", example @ CORNERS, textcoords="offset points", xytext=(5, 3)
    )
    axis.set_title("Only (1/3, 1/3, 1/3) loses nothing", fontsize=9)
    return figure


def training_paths(paths, far: dict[str, dict[str, np.ndarray]]):
    """The parameters of the Dirac-GAN, and the distances from the solution of both games."""
    figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.8))
    palette = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
    colours = dict(zip(paths, palette, strict=False))
    for name, path in paths.items():
        stop = 400
        axes[0].plot(path.theta[:stop, 0], path.phi[:stop, 0], lw=0.8, color=colours[name])
    axes[0].plot(0.0, 0.0, "k*", ms=8)
    axes[0].set(xlabel="generator", ylabel="discriminator", title="Dirac-GAN, first 400 steps",
                xlim=(-3, 3), ylim=(-3, 3))  # fmt: skip
    for axis, (game, by_name) in zip(axes[1:], far.items(), strict=True):
        for name, distance in by_name.items():
            shown = np.maximum(distance[1:], 1e-16)
            label = name.replace("_", " ")
            axis.loglog(
                np.arange(1, len(distance)), shown, lw=1.0, color=colours[name], label=label
            )
        axis.set(xlabel="step", title=f"{game.capitalize()} GAN", ylim=(1e-16, 1e3))
    axes[1].set_ylabel("distance from the solution")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def discriminators(grid: np.ndarray, score: np.ndarray):
    """The score ``[generator, discriminator]`` of the Dirac-GAN over a grid, cut two ways."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True)
    middle = len(grid) // 2
    left.plot(grid, score[middle], label="perfect generator")
    left.plot(grid, score[-1], label="bad generator (fakes at 2)")
    left.set(xlabel="discriminator", ylabel="its score (nats)")
    left.set_title("Against a perfect generator\nevery discriminator scores the same", fontsize=9)
    right.plot(grid, score[:, middle], label="discriminator frozen at 50-50")
    right.plot(grid, score.max(1), label="best discriminator")
    right.set(xlabel="generator (where its fakes are; the data are at 0)")
    right.set_title("but frozen at 50-50\nit lets every generator pass", fontsize=9)
    for axis in (left, right):
        axis.legend(fontsize=7)
    return figure


def strategies(solutions):
    """The probabilities of both players, game by game, from the largest."""
    figure, axes = plt.subplots(2, 4, figsize=(10.0, 4.2), squeeze=False)
    for axis in axes.flat[len(solutions) :]:
        axis.axis("off")
    for axis, (name, solution) in zip(axes.flat, solutions.items(), strict=False):
        for strategy, label in (
            (solution.row_strategy, "row"),
            (solution.column_strategy, "column"),
        ):
            ordered = np.maximum(-np.sort(-strategy), 1e-12)
            axis.semilogy(np.arange(1, len(ordered) + 1), ordered, lw=1.0, label=label)
        axis.set_title(name.replace("_", " "), fontsize=8)
        axis.set_ylim(1e-12, 1.5)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("choices, the most likely first", fontsize=9)
    figure.supylabel("probability", fontsize=9)
    return figure
