"""Products of two strategies with the payoffs, in float64 on the host."""

import numpy as np
import numpy.typing as npt

_ROWS = 64


def products(
    p: npt.NDArray, M: npt.NDArray, q: npt.NDArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``p' M`` and ``M q``, of the payoffs and of their absolute values: ``[2, n]``, ``[2, m]``."""
    m, n = M.shape
    won, paid = np.zeros((2, n)), np.zeros((2, m))
    # Not by @: a BLAS keeps its threads busy after it, which slows down what JAX does next. By
    # rows that fit a cache, which are read once.
    for first in range(0, m, _ROWS):
        of = slice(first, first + _ROWS)
        for i, rows in enumerate((M[of], np.abs(M[of]))):
            won[i] += np.einsum("i,ij->j", p[of], rows)
            paid[i, of] = np.einsum("ij,j->i", rows, q)
    return won, paid
