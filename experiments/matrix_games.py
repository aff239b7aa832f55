"""Matrix games of several families, solved to a proven gap.

Claim: every family is solved to the tolerance, and where a theorem says the value, it lies between
the bounds: 0 for Blotto and skew-symmetric games, -1/18 for Kuhn's poker.

    python -m experiments.matrix_games                    (size 100, gap 1e-8: a minute)
    python -m experiments.matrix_games --size 1000
"""

import dataclasses
import time
from functools import partial
from typing import Literal

import numpy as np

from experiments import figures, game_pictures, run
from experiments.games import GAMES
from iwae_jax import minimax

FAMILIES = ("all", *GAMES)


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the games."""

    family: Literal[FAMILIES] = "all"  # type: ignore[valid-type]
    """family of games"""
    size: int = 100
    """rows and columns, from 3; Kuhn's poker has 64 x 27 at any size"""
    tolerance: float = 1e-8
    """largest gap of a solution, relative to the largest absolute payoff"""


def main(options: Options) -> run.Summary:
    """Solves one game of each family and proves the answers."""
    run.at_least(options, size=3)
    if not 0.0 < options.tolerance < 1.0:
        raise run.BadInput(f"--tolerance must be between 0 and 1; got {options.tolerance}.")
    return run.carry_out(
        options,
        name="matrix_games",
        case=options.family,
        work=partial(work, options),
        report=report,
    )


def work(options: Options, this_run: run.Run) -> run.Summary:
    """Solves and draws."""
    names = list(GAMES) if options.family == "all" else [options.family]
    summary: run.Summary = {"families": names, "size": options.size}
    solutions = {}
    with run.progress("games", len(names)) as show:
        for done, name in enumerate(names, 1):
            game = GAMES[name](np.random.default_rng(options.seed), options.size)
            allowed = options.tolerance * float(np.max(np.abs(game.payoffs)))
            seconds = []
            for _ in range(2):  # the first call compiles
                start = time.perf_counter()
                solution = minimax.solve_matrix_game(game.payoffs, tolerance=allowed)
                seconds.append(time.perf_counter() - start)
            solutions[name] = solution
            line = {
                f"{name}_rows": game.payoffs.shape[0],
                f"{name}_columns": game.payoffs.shape[1],
                f"{name}_value": float(solution.value),
                f"{name}_lower": float(solution.lower),
                f"{name}_upper": float(solution.upper),
                f"{name}_gap": float(solution.gap),
                f"{name}_exact_value": game.value,
                f"{name}_converged": "yes" if solution.status == minimax.CONVERGED else "no",
                f"{name}_first_seconds": seconds[0],
                f"{name}_seconds": seconds[1],
                f"{name}_rows_played": int(np.sum(solution.row_strategy > 1e-6)),
                f"{name}_columns_played": int(np.sum(solution.column_strategy > 1e-6)),
            }
            this_run.log({"step": done, **line})
            summary |= line
            show(done, name)
    drawn = game_pictures.strategies(solutions)
    figures.save(drawn, this_run.folder / "strategies.png")
    return summary


def report(summary: run.Summary) -> None:
    """Prints the closing table, the exact value beside ours."""
    rows = []
    for name in summary["families"]:
        of = lambda key, name=name: summary[f"{name}_{key}"]
        exact = "" if of("exact_value") is None else f"{of('exact_value'):.8f}"
        rows.append(
            [name, f"{of('rows')} x {of('columns')}", f"{of('value'):.8f}", exact,
             f"{of('gap'):.1e}", of("converged"), f"{of('seconds'):.3f}",
             f"{of('rows_played')}, {of('columns_played')}"]
        )  # fmt: skip
    columns = ["family", "size", "value", "exact", "proven gap", "converged", "seconds", "played"]
    run.print_table("Matrix games", columns, rows)


if __name__ == "__main__":
    run.command_line(main, Options)
