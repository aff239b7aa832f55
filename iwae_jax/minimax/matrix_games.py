"""Solves a matrix game to a tolerance, by what suits its size, and proves the answer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from iwae_jax.minimax import _rational
from iwae_jax.minimax._first_order import COARSE, Single, by_first_order, first_order, in_single
from iwae_jax.minimax._products import products
from iwae_jax.minimax._screening import spread, within_reach
from iwae_jax.minimax.certificates import MatrixGameSolution, certify, payoffs
from iwae_jax.minimax.interior_point import Interior, interior_step, start_interior
from iwae_jax.minimax.method import CONVERGED
from iwae_jax.types import Array

Strategies = tuple[npt.NDArray, npt.NDArray]

# Of games scaled to payoffs between -1 and 1: where float32 is left for float64, the gap below
# which the choices that are played can be told, and the finest gap that first-order methods are
# asked for; the most steps that tell which choices matter, and how often they are chosen anew.
_SINGLE, _TELLING, _FINEST = 1e-3, 1e-7, 1e-7
_COARSE_STEPS, _CHOSEN = 400, 3


@functools.cache
def _compiled_step():
    return jax.jit(interior_step)


def _played_evenly(M: npt.NDArray, state: Interior) -> Strategies | None:
    """The saddle point on the choices that seem to be played, if they are as many on each side."""
    p, q, r, s = map(np.asarray, (state.p, state.q, state.row_slack, state.column_slack))
    rows, columns = np.flatnonzero(p > r), np.flatnonzero(q > s)
    size = len(rows)
    if size != len(columns) or size == 0:
        return None
    border = np.ones((size + 1, size + 1))
    border[:size, :size] = M[np.ix_(rows, columns)]
    border[size, size] = 0.0
    unit = np.eye(size + 1)[-1]
    try:
        of_columns, of_rows = np.linalg.solve(border, unit), np.linalg.solve(border.T, unit)
    except np.linalg.LinAlgError:
        return None
    p, q = np.zeros_like(p), np.zeros_like(q)
    p[rows], q[columns] = np.maximum(of_rows[:-1], 0.0), np.maximum(of_columns[:-1], 0.0)
    sane = 0.5 < p.sum() < 2.0 and 0.5 < q.sum() < 2.0
    return (p / p.sum(), q / q.sum()) if sane else None


def _gap(M: npt.NDArray, p: npt.NDArray, q: npt.NDArray) -> float:
    return float(np.max(p @ M) - np.min(M @ q))


def _by_interior_point(M: npt.NDArray, tolerance: float) -> Strategies:
    """Steps in float32 while they are as good, then in float64, then the choices alone."""
    if M.shape[0] > M.shape[1]:
        q, p = _by_interior_point(-M.T, tolerance)
        return p, q
    with jax.enable_x64(True):
        double = jnp.asarray(M, jnp.float64)
        # A start from float32 may lie too near to the boundary for an ill-conditioned game.
        warm = _polished(M, double, _in_double(M, _in_single(M)), tolerance)
        if _gap(M, *warm) <= tolerance:
            return warm
        cold = _polished(M, double, start_interior(double), tolerance)
    return min(warm, cold, key=lambda strategies: _gap(M, *strategies))


def _in_single(M: npt.NDArray) -> Interior:
    """Where float32 leads to, while its steps are as good as those of float64."""
    single, step = jnp.asarray(M, jnp.float32), _compiled_step()
    state = start_interior(single)
    for _ in range(30):
        following = step(state, single)
        size = float(following.upper - following.lower)
        least = min(float(jnp.min(x)) for x in (following.row_slack, following.column_slack))
        if not (np.isfinite(size) and least > 0.0):
            break
        state = following
        if size <= _SINGLE:
            break
    return state


def _polished(M: npt.NDArray, double: Array, state: Interior, tolerance: float) -> Strategies:
    """Steps in float64 until the gap is small enough or no longer shrinks."""
    step = _compiled_step()
    best = (np.asarray(state.p), np.asarray(state.q))
    smallest, worse = _gap(M, *best), 0
    for _ in range(100):
        if smallest <= tolerance or worse >= 6:
            break
        state, worse = step(state, double), worse + 1
        if not np.isfinite(float(state.upper)):
            break
        found = [(np.asarray(state.p), np.asarray(state.q))]
        if float(state.upper - state.lower) < _TELLING:
            found.append(_played_evenly(M, state) or found[0])
        for p, q in found:
            p, q = np.maximum(p, 0.0), np.maximum(q, 0.0)
            p, q = p / p.sum(), q / q.sum()
            if (size := _gap(M, p, q)) < 0.9 * smallest:
                smallest, best, worse = size, (p, q), 0
    return best


def _in_double(M: npt.NDArray, state: Interior) -> Interior:
    """The point again in float64, feasible to its rounding."""
    p, q = (np.asarray(x, np.float64) for x in (state.p, state.q))
    p, q = p / p.sum(), q / q.sum()
    won, paid = p @ M, M @ q
    room = 0.1 * (won.max() - paid.min()) / (p.size + q.size)
    upper = max(float(state.upper), won.max() + room)
    lower = min(float(state.lower), paid.min() - room)
    double = functools.partial(jnp.asarray, dtype=jnp.float64)
    return Interior(*map(double, (p, q, upper, lower, paid - lower, upper - won)))


def _on_what_matters(M: npt.NDArray, single: Single, tolerance: float) -> Strategies | None:
    """The saddle point by interior points of smaller games, if first-order steps tell them."""
    found = first_order(single, COARSE, _COARSE_STEPS)
    if not found.gap <= COARSE:
        return None
    p, q = np.asarray(found.row_strategy), np.asarray(found.column_strategy)
    for _ in range(_CHOSEN):
        won, paid = products(p, M, q)
        rows, _ = within_reach(p, paid - paid.min())
        columns, _ = within_reach(q, won.max() - won)
        if (rows.size, columns.size) == M.shape:
            return None
        p, q = _by_interior_point(M[np.ix_(rows, columns)], tolerance)
        p, q = spread(p, rows, M.shape[0]), spread(q, columns, M.shape[1])
        if _gap(M, p, q) <= tolerance:
            return p, q
    return None


def _by_enumeration(M: npt.NDArray) -> Strategies:
    """The middle of the extreme optimal strategies, in rational arithmetic."""
    _, rows, columns = _rational.extreme_strategies(M)
    middle = lambda vertices: np.array(
        [float(sum(x) / len(vertices)) for x in zip(*vertices, strict=True)]
    )
    return middle(rows), middle(columns)


def _pure(most: npt.NDArray, least: npt.NDArray) -> Strategies | None:
    """A saddle point of the matrix itself, if it has one, from the ends of its rows and columns."""
    row, column = np.argmin(most), np.argmax(least)
    if most[row] > least[column]:
        return None
    return np.eye(len(most))[row], np.eye(len(least))[column]


def solve_matrix_game(M: npt.ArrayLike, *, tolerance: float) -> MatrixGameSolution:
    r"""Solves a matrix game and proves the answer.

    .. math:: \min_p \max_q \; p^\top M q \quad \text{over probabilities p and q}

    Games of at most 3 x 3 are solved in rational arithmetic; larger ones by restarted
    primal-dual steps in float32 where the tolerance allows it and by an interior-point method
    otherwise, which begins in float32 and ends in float64; of a large game it takes the choices
    that first-order steps say matter, and adds those that turn out to. Whatever was used, the
    bounds on the value are those of `certify`, in float64. To solve many small games, use
    `solve_small_games`.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      tolerance: the largest gap of a solution, in the units of M.

    Returns:
      The solution in NumPy's float64; where its gap exceeds the tolerance, the status says so.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or the tolerance is not a number
        from 0.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> solution = minimax.solve_matrix_game(M, tolerance=1e-12)
      >>> solution.row_strategy.round(4), int(solution.status) == minimax.CONVERGED
      (array([0.3333, 0.3333, 0.3333]), True)

    References:
      von Neumann (1928), Zur Theorie der Gesellschaftsspiele. Lu and Yang (2024), Restarted
      Halpern PDHG for Linear Programming, arXiv:2407.16144. Mehrotra (1992), On the
      Implementation of a Primal-Dual Interior Point Method.
    """
    M = payoffs(M)
    if not tolerance >= 0.0:
        raise ValueError(f"the tolerance must be a number from 0; got {tolerance}.")
    prove = functools.partial(certify, M, tolerance=tolerance)
    most, least = M.max(1), M.min(0)
    if (pure := _pure(most, least)) is not None:
        return prove(*pure)
    if max(M.shape) <= 3:
        return prove(*_by_enumeration(M))
    highest, lowest = most.max(), least.min()
    middle, half = 0.5 * highest + 0.5 * lowest, 0.5 * highest - 0.5 * lowest
    target = tolerance / half
    if max(M.shape) > 256:
        single = in_single(M, middle, half)
        if target >= _FINEST:
            solution = by_first_order(M, single, abs(middle) + 1.01 * half, half, tolerance)
            if solution.status == CONVERGED:
                return solution
    scaled = (M - middle) / half
    if max(M.shape) > 256:
        found = _on_what_matters(scaled, single, 0.5 * target)
        if found is not None:
            return prove(*found)
    return prove(*_by_interior_point(scaled, 0.5 * target))
