"""Signal, noise and bias of gradient estimators against the number of samples.

Claim: as K grows, the signal-to-noise ratio of theta's gradient grows as sqrt(K), that of phi's
pathwise gradient falls as 1 / sqrt(K) (Rainforth et al. 2018), and that of its doubly
reparameterised gradient grows as sqrt(K) (Tucker et al. 2019).

    python -m experiments.gradient_snr       (slopes of +0.49, -0.49 and +0.39)
    python -m experiments.gradient_snr --estimators pathwise dreg    (47 s on two cores)
    python -m experiments.gradient_snr --model belief_network
    python -m experiments.gradient_snr --model trained --trained runs/train_iwae-digits-...

The signal is exact where the model has an oracle, so that no floor hides a small ratio.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import objectives, run, snr_grid, snr_models, snr_pictures
from iwae_jax import diagnostics, keys
from iwae_jax.types import Array, Key, Params, PyTree

BLOCKS = 8
HALVES = ("theta", "phi")
TABLED = ("snr", "snr_se", "bias", "bias_noise")
TITLES = {"toy": "Gaussian toy", "belief_network": "belief network", "trained": "trained network"}
DEFAULTS = {
    "toy": ("pathwise", "sticking_the_landing", "dreg", "vimco_arithmetic", "wake_wake"),
    "belief_network": (
        "score_function", "vimco_arithmetic", "vimco_geometric", "ovis_monte_carlo",
        "disarm_iwae", "wake_wake",
    ),
    "trained": ("pathwise", "sticking_the_landing", "dreg", "vimco_arithmetic"),
}  # fmt: skip
EXPECTED = {
    ("pathwise", "theta"): 0.5, ("pathwise", "phi"): -0.5,
    ("dreg", "theta"): 0.5, ("dreg", "phi"): 0.5,
}  # fmt: skip
"""Slopes expected for large K: Rainforth et al. (2018), theorem 1; DReG: Tucker et al. (2019)."""


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the study."""

    model: Literal["toy", "belief_network", "trained"] = "toy"
    """the Gaussian toy of Rainforth et al. (2018), a small discrete model, or a trained network"""
    trained: pathlib.Path | None = None
    """folder of a run of train_iwae, for --model trained"""
    estimators: tuple[str, ...] = ()
    """names of estimators; by default some that fit the model"""
    num_samples: tuple[int, ...] = (4, 16, 64, 256)
    """values of K"""
    num_gradients: int = 1600
    """R, independent gradients of each estimator at each K"""
    num_data: int = 8
    """data whose mean gradient is one gradient"""
    max_draws: int = 20_000
    """most samples of z at a time: memory does not grow with R"""


def checked(options: Options) -> tuple[str, ...]:
    """The names of the estimators; refuses what cannot be run before anything is written."""
    names = options.estimators or DEFAULTS[options.model]
    for name in names:
        if name not in objectives.OBJECTIVES:
            raise run.BadInput(
                f"--estimators has {name!r}; known: {', '.join(objectives.OBJECTIVES)}."
            )
    if len(set(names)) < len(names):
        raise run.BadInput("--estimators must not repeat a name.")
    if min(options.num_samples, default=0) < 1:
        raise run.BadInput("--num-samples needs one or more values, each at least 1.")
    if list(options.num_samples) != sorted(set(options.num_samples)):
        raise run.BadInput("--num-samples must rise.")
    run.at_least(options, num_gradients=2 * BLOCKS, num_data=1, max_draws=1)
    return names


def gradient(
    key: Key, params: Params, xs: PyTree, *, estimator: Callable, num_samples: int
) -> dict[str, PyTree]:
    """One gradient of the mean over the data, theta's and phi's."""
    num_data = jax.tree.leaves(xs)[0].shape[0]
    example_keys = jax.vmap(keys.example, (None, 0))(key, jnp.arange(num_data))

    def objective(params: Params) -> Array:
        one = lambda key, x: estimator(key, params, x, num_samples=num_samples)[0]
        return jnp.mean(jax.vmap(one)(example_keys, xs))

    slopes = jax.grad(objective)(params)
    return {"theta": slopes.generative, "phi": slopes.inference}


def block_moments(
    key: Key,
    params: Params,
    xs: PyTree,
    direction: dict[str, PyTree],
    *,
    one: Callable[..., dict[str, PyTree]],
    steps: int,
    size: int,
) -> dict[str, diagnostics.GradientMoments]:
    """Moments of ``steps * size`` gradients, of which `size` are in memory at a time."""

    def step(moments, index):
        step_keys = jax.vmap(keys.step, (None, 0))(key, index * size + jnp.arange(size))
        batch = jax.vmap(one, (0, None, None))(step_keys, params, xs)
        more = {
            half: diagnostics.gradient_moments(batch[half], direction=direction[half])
            for half in HALVES
        }
        return {h: diagnostics.merge_moments(moments[h], more[h]) for h in HALVES}, None

    nothing = {half: diagnostics.no_moments(direction[half]) for half in HALVES}
    return jax.lax.scan(step, nothing, jnp.arange(steps))[0]


class Cell(NamedTuple):
    """What is measured of one estimator at one K."""

    blocks: list[dict[str, diagnostics.GradientMoments]]
    seconds: float


def measure(
    options: Options, study: snr_models.Study, name: str, num_samples: int, show: Callable
) -> Cell:
    """Blocks of moments, and the seconds that one gradient takes."""
    estimator = partial(objectives.estimator(name, {}), model=study.model)
    params = objectives.with_control(name, study.model, study.params, study.xs[0])
    one = partial(gradient, estimator=estimator, num_samples=num_samples)
    per_block = math.ceil(options.num_gradients / BLOCKS)
    size = max(1, min(per_block, options.max_draws // (num_samples * options.num_data)))
    steps = math.ceil(per_block / size)
    run_block = jax.jit(partial(block_moments, one=one, steps=steps, size=size))
    root = jax.random.key(options.seed)
    if study.signals is None:
        # Means are pooled only over independent draws, so that each estimator has its own.
        first = BLOCKS * (1 + list(objectives.OBJECTIVES).index(name))
        # No direction is known, no directional ratio is reported, and any will do.
        direction = jax.tree.map(jnp.ones_like, gradient_like(study))
    else:
        first = 0
        direction = {
            half: study.signals[snr_grid.bound_of(name, half)[0]][num_samples][half]
            for half in HALVES
        }
    blocks, seconds = [], []
    for block in range(BLOCKS):
        start = time.monotonic()
        moments = run_block(keys.step(root, first + block), params, study.xs, direction)
        blocks.append(jax.device_get(moments))
        seconds.append((time.monotonic() - start) / (steps * size))
        show(block + 1)
    # The first block has the compilation in it.
    return Cell(blocks, float(np.median(seconds[1:])))


def gradient_like(study: snr_models.Study) -> dict[str, PyTree]:
    """Halves of the parameters, as a gradient has them."""
    return {"theta": study.params.generative, "phi": study.params.inference}


def saved(folder: pathlib.Path, study: snr_models.Study, name: str, num_samples: int):
    """The path of a cell, and the cell where it has been measured before a stop."""
    path = folder / "cells" / f"{name}-{num_samples}.npz"
    if not path.exists():
        return path, None
    like = {h: diagnostics.no_moments(leaf) for h, leaf in gradient_like(study).items()}
    places, structure = jax.tree.flatten([like] * BLOCKS)
    with np.load(path) as arrays:
        leaves = [arrays[f"leaf_{index}"] for index in range(len(places))]
        cell = Cell(jax.tree.unflatten(structure, leaves), float(arrays["seconds"]))
    return path, cell


def keep(path: pathlib.Path, cell: Cell) -> None:
    """Writes a cell whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    leaves = {f"leaf_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(cell.blocks))}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, seconds=cell.seconds, allow_pickle=False, **leaves)
    part.replace(path)


def main(options: Options) -> run.Summary:
    """Measures signal, noise and bias of gradient estimators against K."""
    names = checked(options)
    study = snr_models.build(options)
    for name in names:
        params = objectives.with_control(name, study.model, study.params, study.xs[0])
        estimator = objectives.estimator(name, {})
        for k in options.num_samples:
            objectives.require_fit(name, estimator, study.model, params, study.xs[0], k)
    return run.carry_out(
        options, name="gradient_snr", case=options.model,
        work=partial(work, options, names, study), report=partial(report, options, names),
    )  # fmt: skip


def work(options: Options, names, study: snr_models.Study, this_run: run.Run) -> run.Summary:
    """Fills the grid and draws it."""
    start = time.monotonic()
    cells: dict[int, dict[str, Cell]] = {k: {} for k in options.num_samples}
    places = [(name, k) for name in names for k in options.num_samples]
    with run.progress("gradients", len(places) * BLOCKS) as show:
        for index, (name, k) in enumerate(places):
            path, cell = saved(this_run.folder, study, name, k)
            if cell is None:
                note = lambda done, i=index, n=name, k=k: show(i * BLOCKS + done, f"{n} K={k}")
                cell = measure(options, study, name, k, note)
                keep(path, cell)
                this_run.log(
                    {"step": index, "estimator": name, "num_samples": k,
                     "seconds_per_gradient": cell.seconds}
                )  # fmt: skip
            cells[k][name] = cell
    grid = snr_grid.grid(cells, names, study.signals)
    axes = {
        "estimators": np.array(names),
        "num_samples": np.array(options.num_samples),
        "halves": np.array(HALVES),
    }
    np.savez(this_run.folder / "grid.npz", allow_pickle=False, **axes, **grid.arrays)
    model = TITLES[options.model]
    title = f"{model}: {options.num_gradients} gradients, each of {options.num_data} data"
    snr_pictures.draw_all(grid, names, options.num_samples, title, this_run.folder)
    return {
        "model": options.model,
        "estimators": list(names),
        "num_samples": list(options.num_samples),
        "num_gradients": math.ceil(options.num_gradients / BLOCKS) * BLOCKS,
        "num_data": options.num_data,
        "slopes": grid.slopes,
        "slopes_se": grid.slopes_se,
        **{key: by_name(grid.arrays[key], names) for key in TABLED},
        "signal": "exact" if study.signals else "pooled",
        "seconds": time.monotonic() - start,
    }


def by_name(array: np.ndarray, names) -> dict[str, dict[str, list[float | None]]]:
    """An array ``[estimators, K, halves]`` as JSON has it, null where nothing is known."""
    known = lambda values: [None if np.isnan(value) else float(value) for value in values]
    return {
        name: {half: known(array[i, :, h]) for h, half in enumerate(HALVES)}
        for i, name in enumerate(names)
    }


def report(options: Options, names, summary: run.Summary) -> None:
    """Prints the slopes beside the expected ones, and the ratios at each K."""
    number = lambda value: "" if value is None or np.isnan(value) else f"{value:.3g}"
    with_error = lambda value, error: f"{number(value)} +- {number(error)}"
    rows = []
    for name in names:
        for half in HALVES:
            ratios, errors, biases, floors = (summary[key][name][half] for key in TABLED)
            at = list(map(with_error, ratios, errors))
            slope, error = summary["slopes"][name][half], summary["slopes_se"][name][half]
            known = floors[-1] is not None
            last = f"{number(biases[-1])} ({number(floors[-1])})" if known else ""
            rows.append([name, half, *at, with_error(slope, error),
                         number(EXPECTED.get((name, half))), last])  # fmt: skip
    columns = ["estimator", "", *(f"K = {k}" for k in options.num_samples), "slope", "expected",
               "bias (noise) at the last K"]  # fmt: skip
    run.print_table(f"signal-to-noise ratio, {options.model}", columns, rows)


if __name__ == "__main__":
    run.command_line(main, Options)
