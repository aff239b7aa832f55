"""Products of two strategies with the payoffs, in float64 on the host."""

import numpy as np
import numpy.typing as npt

_ROWS = 64

Vector = npt.NDArray[np.float64]


def products(p: Vector, M: npt.NDArray, q: Vector) -> tuple[Vector, Vector]:
    """``p' M`` and ``M q``: ``[n]``, ``[m]``."""
    return _by_rows(p, M, q, of=lambda rows, room: rows)


def sizes(p: Vector, M: npt.NDArray, q: Vector) -> tuple[Vector, Vector]:
    """The same with the absolute values of M."""
    return _by_rows(p, M, q, of=lambda rows, room: np.abs(rows, out=room[: len(rows)]))


def _by_rows(p, M, q, *, of):
    m, n = M.shape
    won, paid = np.zeros(n), np.zeros(m)
    room = np.empty((_ROWS, n))
    # Not by @: a BLAS keeps its threads busy after it, which slows down what JAX does next. By
    # rows that fit a cache, which are read once.
    for first in range(0, m, _ROWS):
        part = slice(first, first + _ROWS)
        rows = of(M[part], room)
        won += np.einsum("i,ij->j", p[part], rows)
        paid[part] = np.einsum("ij,j->i", rows, q)
    return won, paid
