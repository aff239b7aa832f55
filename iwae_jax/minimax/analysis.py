"""What can be said of a matrix game: who can gain, by what, and whether others would do as well."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iwae_jax.minimax import _rational
from iwae_jax.minimax.certificates import payoffs, strategy

UNIQUE = "unique"
NOT_UNIQUE = "not unique"
UNDECIDED = "undecided"


class Exploitability(NamedTuple):
    """What each player could gain by playing something else.

    Attributes:
      row: what the row player would save, in the units of M.
      column: what the column player would win.
      total: their sum, the duality gap.
    """

    row: float
    column: float
    total: float


class Uniqueness(NamedTuple):
    """Whether a saddle point is the only one.

    Attributes:
      verdict: `UNIQUE`, `NOT_UNIQUE` or `UNDECIDED`.
      reason: why, in words.
    """

    verdict: str
    reason: str


class Equilibria(NamedTuple):
    """All saddle points of a game: any mixture of the rows, with any mixture of the columns.

    Attributes:
      value: ``[]``, the value of the game.
      row_strategies: ``[R, m]``, the extreme optimal strategies of the row player.
      column_strategies: ``[C, n]``, those of the column player.
    """

    value: float
    row_strategies: npt.NDArray[np.float64]
    column_strategies: npt.NDArray[np.float64]


def exploitability(
    M: npt.ArrayLike, row_strategy: npt.ArrayLike, column_strategy: npt.ArrayLike
) -> Exploitability:
    r"""What each player could gain against the other one's strategy.

    .. math:: p^\top M q - \min_i (M q)_i, \quad \max_j (p^\top M)_j - p^\top M q

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      row_strategy: ``[m]``, p.
      column_strategy: ``[n]``, q.

    Returns:
      The gains, in float64; both zero at saddle points and nowhere else.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or a strategy is none.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> round(minimax.exploitability(M, [0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3]).column, 6)
      0.5

    References:
      Lanctot et al. (2009), Monte Carlo Sampling for Regret Minimization in Extensive Games.
    """
    M = payoffs(M)
    p, q = strategy(row_strategy, M.shape[0]), strategy(column_strategy, M.shape[1])
    paid = p @ M @ q
    row, column = paid - np.min(M @ q), np.max(p @ M) - paid
    return Exploitability(float(row), float(column), float(row + column))


def best_rows(
    M: npt.ArrayLike, column_strategy: npt.ArrayLike, *, tolerance: float = 1e-9
) -> npt.NDArray[np.bool_]:
    """All rows that pay the least to a strategy of the column player.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      column_strategy: ``[n]``, q.
      tolerance: what still counts as the least, relative to the largest absolute payoff.

    Returns:
      ``[m]``, true for each best response; every mixture of them is one too.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or the strategy is none.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> minimax.best_rows(M, [1 / 3, 1 / 3, 1 / 3])
      array([ True,  True,  True])

    References:
      Nash (1951), Non-Cooperative Games.
    """
    M = payoffs(M)
    paid = M @ strategy(column_strategy, M.shape[1])
    return paid <= np.min(paid) + tolerance * np.max(np.abs(M))


def best_columns(
    M: npt.ArrayLike, row_strategy: npt.ArrayLike, *, tolerance: float = 1e-9
) -> npt.NDArray[np.bool_]:
    """All columns that win the most against a strategy of the row player.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      row_strategy: ``[m]``, p.
      tolerance: what still counts as the most, relative to the largest absolute payoff.

    Returns:
      ``[n]``, true for each best response; every mixture of them is one too.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or the strategy is none.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> minimax.best_columns(M, [0.6, 0.3, 0.1])
      array([False,  True, False])

    References:
      Nash (1951), Non-Cooperative Games.
    """
    return best_rows(-payoffs(M).T, row_strategy, tolerance=tolerance)


def all_equilibria(M: npt.ArrayLike) -> Equilibria:
    """All saddle points of a tiny game, found in rational arithmetic.

    Every float is a rational number, so nothing is rounded until the answer is.

    Args:
      M: ``[m, n]``, with m + n at most 10; concrete.

    Returns:
      The value and the extreme optimal strategies of both players, in float64.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or the game is larger.

    Example:
      >>> from iwae_jax import minimax
      >>> minimax.all_equilibria([[1, 0], [0, 1]]).column_strategies
      array([[0.5, 0.5]])

    References:
      Shapley and Snow (1950), Basic Solutions of Discrete Games.
    """
    M = payoffs(M)
    if sum(M.shape) > 10:
        raise ValueError(f"all equilibria are found of games with m + n <= 10; got {M.shape}.")
    value, rows, columns = _rational.extreme_strategies(M)
    as_floats = lambda strategies: np.array([[float(x) for x in p] for p in strategies])
    return Equilibria(float(value), as_floats(rows), as_floats(columns))


def uniqueness(
    M: npt.ArrayLike, row_strategy: npt.ArrayLike, column_strategy: npt.ArrayLike
) -> Uniqueness:
    r"""Whether a saddle point is the only one; never a guess.

    It is, if and only if what is not played is strictly worse for its player, both players play as
    many choices, and the matrix of those choices, bordered by ones, is regular. Of a game with
    m + n <= 10 all equilibria are found; otherwise the conditions are checked, in rational
    arithmetic where at most 12 choices are played, in float64 with a wide margin where more are.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      row_strategy: ``[m]``, a solution.
      column_strategy: ``[n]``, a solution.

    Returns:
      The verdict and its reason; `UNDECIDED` where the strategies are not near enough to a saddle
      point to tell what is played.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or a strategy is none.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> minimax.uniqueness(M, [1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3]).verdict
      'unique'

    References:
      Bohnenblust, Karlin and Shapley (1950), Solutions of Discrete, Two-Person Games.
    """
    M = payoffs(M)
    p, q = strategy(row_strategy, M.shape[0]), strategy(column_strategy, M.shape[1])
    if sum(M.shape) <= 10:
        _, rows, columns = _rational.extreme_strategies(M)
        given = (p, q)
        near = lambda vertex, x: max(abs(float(v) - y) for v, y in zip(vertex, x, strict=True))
        if len(rows) == len(columns) == 1:
            distance = max(near(v[0], x) for v, x in zip((rows, columns), given, strict=True))
            if distance <= 1e-4:
                return Uniqueness(UNIQUE, "each player has one extreme optimal strategy, exactly.")
            reason = f"the game has one saddle point, but this is {distance:.2g} away from it."
            return Uniqueness(UNDECIDED, reason)
        return Uniqueness(
            NOT_UNIQUE,
            f"the players have {len(rows)} and {len(columns)} extreme optimal strategies, exactly.",
        )
    return _by_conditions(M, p, q)


def _by_conditions(M: npt.NDArray, p: npt.NDArray, q: npt.NDArray) -> Uniqueness:
    scale = max(np.max(np.abs(M)), np.finfo(np.float64).tiny)
    slack_p, slack_q = (M @ q - np.min(M @ q)) / scale, (np.max(p @ M) - p @ M) / scale
    # At a strict solution one of the two is zero for each choice, and the other is not.
    rows, columns = np.flatnonzero(p > slack_p), np.flatnonzero(q > slack_q)
    if len(rows) != len(columns):
        reason = f"{len(rows)} rows and {len(columns)} columns seem to be played."
        return Uniqueness(UNDECIDED, reason)
    if len(rows) <= 12:
        exact = _rational.strict_solution(M, rows.tolist(), columns.tolist())
        if exact is None:
            reason = "the choices that seem to be played make no saddle point by themselves."
            return Uniqueness(UNDECIDED, reason)
        if not exact:
            return Uniqueness(NOT_UNIQUE, "a choice that is not played is as good, exactly.")
        return Uniqueness(UNIQUE, "strict, square and regular, in rational arithmetic.")
    size = len(rows)
    border = np.ones((size + 1, size + 1))
    border[:size, :size] = M[np.ix_(rows, columns)] / scale
    border[size, size] = 0.0
    condition = np.linalg.cond(border)
    if not condition < 1e9:
        return Uniqueness(UNDECIDED, f"the bordered matrix has the condition {condition:.2g}.")
    unit = np.eye(size + 1)[-1]
    exact_p, exact_q = np.zeros_like(p), np.zeros_like(q)
    exact_q[columns] = np.linalg.solve(border, unit)[:-1]
    exact_p[rows] = np.linalg.solve(border.T, unit)[:-1]
    other_rows = np.delete(M @ exact_q / scale, rows) - np.min((M @ exact_q)[rows]) / scale
    other_columns = np.max((exact_p @ M)[columns]) / scale - np.delete(exact_p @ M / scale, columns)
    margin = min(
        np.min(part, initial=1.0)
        for part in (exact_p[rows], exact_q[columns], other_rows, other_columns)
    )
    if margin <= 1e-14 * condition * size:
        return Uniqueness(UNDECIDED, f"its smallest margin, {margin:.2g}, could be rounding.")
    return Uniqueness(UNIQUE, f"strict, square and regular, with a margin of {margin:.2g}.")
