"""Rock-paper-scissors as a saddle-point problem: which methods find (1/3, 1/3, 1/3).

Claim: descent-ascent (simultaneous or alternating), multiplicative weights, Adam and optimistic
Adam cycle; all other methods here converge, at the rates proven for them; (1/3, 1/3, 1/3) is the
one saddle point, and any other strategy can be exploited.

    python -m experiments.rock_paper_scissors             (half a minute)

Player A minimises and player B maximises the points of B: M[a, b] is what B wins when A plays a and
B plays b, out of rock, paper, scissors.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import figures, game_pictures, run
from iwae_jax import minimax

POINTS_OF_B = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
CHOICES = ("rock", "paper", "scissors")
START_A, START_B = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.1, 0.7])
LIPSCHITZ = 3.0**0.5
SIMPLEX = minimax.simplex()


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the game."""

    num_steps: int = 1000
    """steps of each method"""
    step_size: float = 0.3
    """of the methods whose theory leaves it open"""


def points(p, q):
    """What B wins on average."""
    return p @ jnp.asarray(POINTS_OF_B, p.dtype) @ q


def methods(step_size: float) -> dict[str, minimax.Method]:
    """Every method, with its own step where a theorem says it."""
    project = SIMPLEX.project
    projected: dict[str, Any] = {"step_size": step_size, "project": project}
    operator = partial(minimax.primal_dual, loss=points, step_size=0.5, project=project)
    by = lambda optimizer: minimax.with_optimizer(points, optimizer=optimizer, project=project)
    return {
        "descent_ascent": minimax.simultaneous_descent_ascent(points, **projected),
        "alternating_descent_ascent": minimax.alternating_descent_ascent(points, **projected),
        "multiplicative_weights": minimax.multiplicative_weights(points, step_size=step_size),
        "adam": by(optax.adam(1e-2)),
        "optimistic_adam": by(optax.optimistic_adam_v2(1e-2)),
        "extragradient": minimax.extragradient(points, **projected),
        "adaptive_extragradient": minimax.adaptive_extragradient(points, project=project),
        "optimistic": minimax.optimistic(points, **projected),
        "optimistic_multiplicative_weights": minimax.optimistic_multiplicative_weights(
            points, step_size=step_size
        ),
        "mirror_prox": minimax.mirror_prox(points, step_size=step_size),
        "anchored_extragradient": minimax.anchored_extragradient(
            points, step_size=1.0 / (8.0 * LIPSCHITZ), project=project
        ),
        "varying_anchored_extragradient": minimax.varying_anchored_extragradient(
            points, lipschitz=LIPSCHITZ, project=project
        ),
        "fast_extragradient": minimax.fast_extragradient(
            points, step_size=1.0 / LIPSCHITZ, project=project
        ),
        "primal_dual": minimax.krasnoselskii_mann(operator, project=project),
        "halpern": minimax.halpern(operator, project=project),
    }


def history(method: minimax.Method, steps: int) -> dict[str, np.ndarray]:
    """The gap of the last point and of the average after each step, and where A and B were."""
    gap = partial(minimax.duality_gap, loss=points, feasible=SIMPLEX)

    def observe(state: minimax.Averaged):
        last = state.inner.point
        return {
            "last_gap": gap(*last), "average_gap": gap(*state.average),
            "p_a": last.theta, "p_b": last.phi, "average_p_a": state.average.theta,
        }  # fmt: skip

    follow = partial(
        minimax.trajectory, method=minimax.averaged(method), num_steps=steps, observe=observe
    )
    return jax.device_get(jax.jit(follow)(START_A, START_B))


def main(options: Options) -> run.Summary:
    """Solves rock-paper-scissors by every method, and certifies its only saddle point."""
    run.at_least(options, num_steps=1)
    if not 0.0 < options.step_size < 1.0:
        raise run.BadInput(f"--step-size must be between 0 and 1; got {options.step_size}.")
    return run.carry_out(
        options,
        name="rock_paper_scissors",
        case="simplex",
        work=partial(work, options),
        report=report,
    )


@run.in_float64
def work(options: Options, this_run: run.Run) -> run.Summary:
    """Runs the methods and draws them."""
    table = methods(options.step_size)
    seen = {}
    with run.progress("methods", len(table)) as show:
        for done, (name, method) in enumerate(table.items(), 1):
            seen[name] = history(method, options.num_steps)
            show(done, name)
    for step in range(0, options.num_steps + 1, max(1, options.num_steps // 100)):
        gaps = {
            f"{name}_{key}": float(h[key][step])
            for name, h in seen.items()
            for key in ("last_gap", "average_gap")
        }
        this_run.log({"step": step, **gaps})

    found = minimax.solve_small_game(jnp.asarray(POINTS_OF_B))
    answer = minimax.certify(
        POINTS_OF_B, found.row_strategy, found.column_strategy, tolerance=1e-14
    )
    verdict = minimax.uniqueness(POINTS_OF_B, answer.row_strategy, answer.column_strategy)
    uniform = np.full(3, 1.0 / 3.0)
    start = minimax.exploitability(POINTS_OF_B, START_A, uniform)
    best = minimax.best_columns(POINTS_OF_B, START_A)

    folder = this_run.folder
    figures.save(game_pictures.simplex_paths(seen), folder / "trajectories.png")
    figures.save(game_pictures.gap_curves(seen), folder / "gaps.png")
    figures.save(
        game_pictures.exploitability_map(POINTS_OF_B, START_A), folder / "exploitability.png"
    )
    return {
        "value": float(answer.value),
        "value_lower": float(answer.lower),
        "value_upper": float(answer.upper),
        "p_a": np.asarray(answer.row_strategy).tolist(),
        "p_b": np.asarray(answer.column_strategy).tolist(),
        "unique": verdict.verdict == minimax.UNIQUE,
        "unique_reason": verdict.reason,
        # Against the uniform B every choice of A scores the same, so every strategy does.
        "scores_against_uniform_b": (POINTS_OF_B @ uniform).tolist(),
        "start_a": START_A.tolist(),
        "start_a_loses": start.column,
        "start_a_loses_to": [CHOICES[choice] for choice in np.flatnonzero(best)],
        "methods": {
            name: {
                "last_gap": float(h["last_gap"][-1]),
                "average_gap": float(h["average_gap"][-1]),
                "iterations": options.num_steps,
            }
            for name, h in seen.items()
        },
    }


def report(summary: run.Summary) -> None:
    """Prints the closing tables."""
    rows = [
        [name, f"{row['last_gap']:.1e}", f"{row['average_gap']:.1e}", str(row["iterations"])]
        for name, row in summary["methods"].items()
    ]
    run.print_table(
        "Rock-paper-scissors: the duality gap",
        ["method", "last point", "average", "iterations"],
        rows,
    )
    triple = lambda p: "(" + ", ".join(f"{x:.4f}" for x in p) + ")"
    rows = [
        ["value", f"{summary['value']:.1e}", "0"],
        ["p_A", triple(summary["p_a"]), "(1/3, 1/3, 1/3)"],
        ["p_B", triple(summary["p_b"]), "(1/3, 1/3, 1/3)"],
        ["unique", str(summary["unique"]).lower(), "true"],
        ["any A scores, against uniform B", triple(summary["scores_against_uniform_b"]), "0"],
        ["A = (.6, .3, .1) loses", f"{summary['start_a_loses']:.4f}", "0.5, to paper"],
    ]
    run.print_table("The saddle point", ["", "found", "exact"], rows)


if __name__ == "__main__":
    run.command_line(main, Options)
