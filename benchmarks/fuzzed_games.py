"""A million unpleasant small games, every certificate checked; and a hundred thousand verdicts.

    python -m benchmarks.fuzzed_games          (12 minutes on one core)

Ties, equal and proportional rows, rank one, near-dependent rows, payoffs of 1e-6 and 1e6, one row
or one column: for each game the bounds are computed again in float64, and for a sample the value by
enumeration in rational numbers. The conditions by which large games are called unique are compared
with all extreme optimal strategies of games of small integers, up to 4 x 4. Any wrong answer ends
in an error.
"""

import argparse
import collections

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from iwae_jax import minimax
from iwae_jax.minimax.analysis import _by_conditions

SHAPES = [(m, n) for m in (1, 2, 3) for n in (1, 2, 3)]
BLOCK = 10_000


def fuzz(rng, m, n, batch):
    """Games ``[m, n, batch]`` of every unpleasant kind."""
    normal = rng.normal(size=(m, n, batch))
    kinds = [
        normal,
        rng.integers(-2, 3, (m, n, batch)).astype(float),
        rng.integers(-1, 2, (m, n, batch)) + 1e-7 * normal,
        np.repeat(normal[:1], m, 0) + np.where(rng.uniform(size=(m, 1, batch)) < 0.5, 0.0, normal),
        rng.normal(size=(m, 1, batch)) * rng.normal(size=(1, n, batch)),
        rng.normal(size=(m, 1, batch)) * rng.normal(size=(1, n, batch)) + 1e-5 * normal,
        normal + 1e3,
        np.zeros((m, n, batch)),
    ]
    scale = 10.0 ** rng.choice([-6, 0, 6], batch)
    choose = rng.integers(0, len(kinds), batch)
    return scale * np.take_along_axis(np.stack(kinds), choose[None, None, None], 0)[0]


def bounds_in_float64(M, solutions):
    """The certificate again, on the host, of the strategies as they came."""
    p, q = (np.asarray(x, np.float64) for x in solutions[:2])
    p, q = p / p.sum(0), q / q.sum(0)
    return np.einsum("mnb,nb->mb", M, q).min(0), np.einsum("mb,mnb->nb", p, M).max(0)


def check_certificates(num_games):
    """Solves the games and compares; prints how many missed the tolerance, which they say."""
    solve = jax.jit(minimax.solve_small_games)
    for dtype, relative in (("float32", 1e-6), ("float64", 1e-14)):
        missed, widest = 0, 0.0
        for index in tqdm.trange(num_games // BLOCK, desc=f"certificates, {dtype}", leave=False):
            rng = np.random.default_rng((0, index))
            M = fuzz(rng, *SHAPES[index % len(SHAPES)], BLOCK).astype(dtype)
            solutions = jax.device_get(solve(jnp.asarray(M)))
            largest = np.abs(M).max((0, 1)).astype(np.float64)
            lower, upper = bounds_in_float64(M.astype(np.float64), solutions)
            false = (solutions.lower > lower + 1e-15 * largest) | (
                solutions.upper < upper - 1e-15 * largest
            )
            if np.any(false):
                raise AssertionError(f"a bound that does not hold: {M[..., np.argmax(false)]}")
            values = minimax.all_equilibria(M[..., 0].astype(np.float64)).value
            margin = 4e-16 * abs(values)
            if not solutions.lower[0] - margin <= values <= solutions.upper[0] + margin:
                raise AssertionError(f"the value lies outside of its bounds: {M[..., 0]}")
            missed += int(np.sum(solutions.status != minimax.CONVERGED))
            widest = max(widest, float(np.max(solutions.gap / np.where(largest > 0, largest, 1))))
        print(
            f"{dtype}: {num_games} games, no wrong bound; {missed} missed "
            f"{relative:.0e} and say so; largest relative gap {widest:.2e}"
        )


def check_verdicts(num_games):
    """Compares the conditions with the enumeration, at two saddle points of each game."""
    rng, counts = np.random.default_rng(1), collections.Counter()
    for _ in tqdm.trange(num_games, desc="verdicts", leave=False):
        M = rng.integers(-2, 3, rng.integers(1, 5, 2)).astype(float)
        found = minimax.all_equilibria(M)
        alone = len(found.row_strategies) == len(found.column_strategies) == 1
        for pick in (lambda vertices: vertices[0], lambda vertices: vertices.mean(0)):
            p, q = pick(found.row_strategies), pick(found.column_strategies)
            verdict = _by_conditions(M, p, q).verdict
            if verdict == (minimax.NOT_UNIQUE if alone else minimax.UNIQUE):
                raise AssertionError(f"a wrong verdict, {verdict}: {M}")
            counts[verdict] += 1
    print(f"{num_games} integer games, no wrong verdict: {dict(counts)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=1_000_000, help="games with certificates")
    parser.add_argument("--verdicts", type=int, default=100_000, help="games of integers")
    args = parser.parse_args()
    check_verdicts(args.verdicts)
    with jax.enable_x64(True):
        check_certificates(args.games)


if __name__ == "__main__":
    main()
