"""Certificates of matrix games: bounds on the value that hold whatever produced the strategies."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from iwae_jax.minimax._products import Vector, products, sizes
from iwae_jax.minimax.method import CONVERGED, NOT_CONVERGED

AnyArray = Any  # of NumPy or of JAX, by what made it


class MatrixGameSolution(NamedTuple):
    """Strategies of both players, and what they prove.

    Attributes:
      row_strategy: ``[m]``, p, probabilities of the player who minimises p' M q.
      column_strategy: ``[n]``, q, probabilities of the player who maximises it.
      value: ``[]``, the middle of the bounds, in the units of M.
      lower: ``[]``, what q guarantees its player: the game's value is not below it.
      upper: ``[]``, what p guarantees its player: the game's value is not above it.
      gap: ``[]``, ``upper - lower``; the rounding of the bounds themselves is part of it.
      status: ``[]``, `CONVERGED` where the gap is at most the tolerance, `NOT_CONVERGED` where it
        is not, `NOT_FINITE` where the payoffs are not and were traced, so that nothing was raised.
    """

    row_strategy: AnyArray
    column_strategy: AnyArray
    value: AnyArray
    lower: AnyArray
    upper: AnyArray
    gap: AnyArray
    status: AnyArray


def payoffs(M: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A payoff matrix in float64, or what is wrong with it.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.

    Returns:
      The matrix, ``[m, n]``, as a NumPy array of float64; itself, if it is one already.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the matrix is ragged, empty, not a matrix, or not finite.

    Example:
      >>> from iwae_jax import minimax
      >>> minimax.payoffs([[0, 1], [2]])
      Traceback (most recent call last):
      ...
      ValueError: the payoffs are ragged: every row needs as many columns.

    References:
      von Neumann (1928), Zur Theorie der Gesellschaftsspiele.
    """
    try:
        array = np.asarray(M)
    except ValueError as error:
        raise ValueError("the payoffs are ragged: every row needs as many columns.") from error
    # Narrow floats of JAX, such as bfloat16, are of no kind that NumPy knows.
    if array.dtype.kind not in "fiubV" or (array.dtype.kind == "V" and array.dtype.names):
        raise TypeError(f"payoffs are real numbers; got an array of {array.dtype}.")
    array = array.astype(np.float64, copy=False)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"payoffs are a matrix [m, n], not empty; got the shape {array.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(array.sum()) or np.all(np.isfinite(array))
    if not finite:
        raise ValueError("every payoff must be finite; got a nan or an infinity.")
    return array


def strategy(probabilities: npt.ArrayLike, size: int) -> npt.NDArray[np.float64]:
    """Probabilities in float64, with rounding repaired, or what is wrong with them.

    Args:
      probabilities: ``[size]``, from 0 and summing to 1, up to the rounding of float32.
      size: the number of choices.

    Returns:
      The probabilities, ``[size]``, none negative, with a sum of 1 to rounding.

    Raises:
      ValueError: they are of another shape, or no probabilities.

    Example:
      >>> from iwae_jax import minimax
      >>> minimax.strategy([0.6, 0.3, 0.2], 3)
      Traceback (most recent call last):
      ...
      ValueError: a strategy is of probabilities that sum to 1; these sum to 1.1.

    References:
      von Neumann (1928), Zur Theorie der Gesellschaftsspiele.
    """
    p = np.asarray(probabilities, np.float64)
    if p.shape != (size,):
        raise ValueError(f"a strategy here has the shape ({size},); got {p.shape}.")
    total = p.sum()
    if not (abs(total - 1.0) <= 1e-4 and p.min() >= -1e-4):
        raise ValueError(f"a strategy is of probabilities that sum to 1; these sum to {total:.6g}.")
    p = np.maximum(p, 0.0)
    return p / p.sum()


def proven(
    M: npt.NDArray, p: Vector, q: Vector, tolerance: float, largest: float
) -> MatrixGameSolution:
    r"""The bounds of `certify`, of strategies and payoffs that were looked at already.

    .. math:: |\widehat{p^\top m} - p^\top m| \;\le\; (2 n + 2) \, u \max_i |m_i|

    Args:
      M: ``[m, n]``, payoffs in float64, finite.
      p: ``[m]``, probabilities in float64.
      q: ``[n]``, probabilities in float64.
      tolerance: the largest gap of a solution, in the units of M.
      largest: no payoff is larger, in absolute value. With it, or infinity, where the gap exceeds
        the tolerance, the sizes of all products are summed, which takes longer than the products.

    Returns:
      The solution, in NumPy's float64.

    Example:
      >>> import numpy as np
      >>> from iwae_jax.minimax import certificates
      >>> p = np.array([0.5, 0.5])
      >>> certificates.proven(np.eye(2), p, p, 1e-9, 1.0).gap < 1e-14
      np.True_

    References:
      Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    m, n = M.shape
    # Of the sum of the products, and that the probabilities sum to 1 to rounding alone.
    unit = np.finfo(np.float64).eps / 2.0
    with np.errstate(over="ignore", invalid="ignore"):
        won, paid = products(p, M, q)
        upper = np.max(won) + (2 * m + 2) * unit * largest
        lower = np.min(paid) - (2 * n + 2) * unit * largest
        if not upper - lower <= tolerance:
            sizes_won, sizes_paid = sizes(p, M, q)
            upper = np.max(won) + (2 * m + 2) * unit * np.max(sizes_won)
            lower = np.min(paid) - (2 * n + 2) * unit * np.max(sizes_paid)
        gap = upper - lower
    status = CONVERGED if gap <= tolerance else NOT_CONVERGED
    value = lower + 0.5 * gap
    return MatrixGameSolution(p, q, value, lower, upper, gap, np.int32(status))


def certify(
    M: npt.ArrayLike,
    row_strategy: npt.ArrayLike,
    column_strategy: npt.ArrayLike,
    *,
    tolerance: float,
) -> MatrixGameSolution:
    r"""Bounds on the value of a game from any two strategies, in float64 on the host.

    .. math:: \min_i (M q)_i \;\le\; \text{value} \;\le\; \max_j (p^\top M)_j

    The bounds are widened by what rounding can do to them, so they hold as written. Nothing here
    depends on how the strategies were found.

    Args:
      M: ``[m, n]``, what the row player pays to the column player; concrete.
      row_strategy: ``[m]``, probabilities.
      column_strategy: ``[n]``, probabilities.
      tolerance: the largest gap of a solution, in the units of M.

    Returns:
      The solution, in NumPy's float64.

    Raises:
      TypeError: the payoffs are not real numbers.
      ValueError: the payoffs are ragged, empty or not finite, or a strategy is none.

    Example:
      >>> from iwae_jax import minimax
      >>> M = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
      >>> solution = minimax.certify(M, [0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3], tolerance=1e-9)
      >>> round(float(solution.upper), 6), int(solution.status) == minimax.NOT_CONVERGED
      (0.5, True)

    References:
      von Neumann (1928), Zur Theorie der Gesellschaftsspiele. Rounding of sums of products: Higham
      (2002), Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    M = payoffs(M)
    p, q = strategy(row_strategy, M.shape[0]), strategy(column_strategy, M.shape[1])
    return proven(M, p, q, tolerance, np.inf)
