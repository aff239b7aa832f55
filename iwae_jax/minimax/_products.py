"""Products of two strategies with the payoffs, in float64 on the host."""

import numpy as np
import numpy.typing as npt

_ROWS = 128

Vector = npt.NDArray[np.float64]


def products(p: Vector, M: npt.NDArray, q: Vector) -> tuple[Vector, Vector]:
    """``p' M`` and ``M q``: ``[n]``, ``[m]``."""
    # Not by @: a BLAS keeps its threads busy after it, which slows down what JAX does next.
    return np.einsum("i,ij->j", p, M), np.vecdot(M, q)


def sizes(p: Vector, M: npt.NDArray, q: Vector) -> tuple[Vector, Vector]:
    """The same with the absolute values of M, by rows that fit a cache."""
    won, paid = np.zeros(M.shape[1]), np.zeros(M.shape[0])
    room = np.empty((_ROWS, M.shape[1]))
    for first in range(0, M.shape[0], _ROWS):
        part = slice(first, first + _ROWS)
        rows = np.abs(M[part], out=room[: len(M[part])])
        some, paid[part] = products(p[part], rows, q)
        won += some
    return won, paid
