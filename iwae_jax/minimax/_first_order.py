"""First-order steps in float32 on a matrix game, soon on those of its choices that matter."""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from iwae_jax.minimax._products import Vector, products
from iwae_jax.minimax._screening import Choices, spread, within_reach
from iwae_jax.minimax.certificates import MatrixGameSolution, proven, strategy
from iwae_jax.minimax.method import CONVERGED
from iwae_jax.minimax.regret_matching import Progress
from iwae_jax.minimax.restarted import Origin, restarted_primal_dual

# Of games scaled to payoffs between -1 and 1: the gap at which the choices that matter can be told;
# how many times it the others have to lose; and the payoffs from which leaving them out pays.
COARSE, _CLEAR, _MANY = 2.5e-4, 8.0, 2**18
# The gap at which the steps begin again from products in float64, how many times smaller it is each
# time, and the most steps.
_REFINED, _FINER, _STEPS = 2e-6, 0.1, 8000
# Between which float32 holds payoffs that were not scaled yet, and their digits.
_SMALL, _LARGE = 1e-30, 1e30


Single = npt.NDArray[np.float32]


class _Part(NamedTuple):
    """The choices in play, what they pay each other, and where the steps on them begin."""

    rows: Choices
    columns: Choices
    payoffs: Single
    origin: Origin | None


def _aligned(shape: tuple[int, ...]) -> Single:
    """An empty array in float32 that JAX takes as it is, where it would copy another."""
    size = math.prod(shape)
    room = np.empty(size + 16, np.float32)
    first = -room.ctypes.data // 4 % 16
    return room[first : first + size].reshape(shape)


def in_single(M: npt.NDArray, middle: float, half: float) -> Single:
    """The payoffs less their middle, in units of half their range, in float32."""
    if not _SMALL < half < _LARGE:
        return in_single((M - middle) / half, 0.0, 1.0)
    scaled = np.subtract(M, middle, out=_aligned(M.shape), casting="same_kind")
    return np.multiply(scaled, np.float32(1.0 / half), out=scaled)


@functools.cache
def _compiled():
    return jax.jit(restarted_primal_dual)


def first_order(
    payoffs: Single, tolerance: float, max_steps: int, origin: Origin | None = None
) -> Progress:
    """Compiled `restarted_primal_dual`."""
    return _compiled()(
        payoffs, tolerance=np.float32(tolerance), max_steps=np.int32(max_steps), origin=origin
    )


def _in_reach(probabilities: Vector, regret: Vector, gap: float) -> Choices:
    choices, beyond = within_reach(probabilities, regret)
    return choices if beyond > _CLEAR * gap else np.arange(regret.size)


def _part(single: Single, p: Vector, q: Vector, won: Vector, paid: Vector) -> _Part:
    """What matters of a game near a saddle point, from strategies and their scaled products."""
    rows, columns, payoffs = np.arange(p.size), np.arange(q.size), single
    lower, upper = paid.min(), won.max()
    if single.size >= _MANY:
        rows = _in_reach(p, paid - lower, upper - lower)
        columns = _in_reach(q, upper - won, upper - lower)
    if (rows.size, columns.size) != single.shape:
        payoffs = _aligned((rows.size, columns.size))
        np.take(single[rows], columns, axis=1, out=payoffs, mode="clip")
    value = 0.5 * (lower + upper)
    known = (p[rows], q[columns], (won - value)[columns], (paid - value)[rows])
    return _Part(rows, columns, payoffs, Origin(*(x.astype(np.float32) for x in known)))


def by_first_order(
    M: npt.NDArray, single: Single, largest: float, half: float, tolerance: float
) -> MatrixGameSolution:
    """Steps from an origin that float64 knows, which moves to what was found.

    Args:
      M: ``[m, n]``, the payoffs in float64.
      single: ``[m, n]``, the same by `in_single`.
      largest: no payoff is larger, in absolute value.
      half: half the range of the payoffs.
      tolerance: the largest gap of a solution, in the units of M.

    Returns:
      The solution, proven on all of M.
    """
    (m, n), target, steps = M.shape, 0.99 * tolerance / half, 0
    asked, part = max(COARSE, target), _Part(np.arange(m), np.arange(n), single, None)
    while True:
        found = first_order(part.payoffs, asked, _STEPS - steps, part.origin)
        steps += np.asarray(found.steps).item()
        p = strategy(spread(found.row_strategy, part.rows, m), m)
        q = strategy(spread(found.column_strategy, part.columns, n), n)
        if asked == target or steps >= _STEPS:
            solution = proven(M, p, q, tolerance, largest)
            if solution.status == CONVERGED or steps >= _STEPS:
                return solution
        with np.errstate(over="ignore", invalid="ignore"):
            # Payoffs in float32, which are in cache, are enough for a first origin.
            if part.origin is None:
                won, paid = products(p.astype(np.float32), single, q.astype(np.float32))
            else:
                won, paid = (x / half for x in products(p, M, q))
            part = _part(single, p, q, won, paid)
        if won.max() - paid.min() <= 2.0 * asked:
            asked = max(min(_FINER * asked, _REFINED), target)
