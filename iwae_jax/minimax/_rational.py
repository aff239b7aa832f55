"""Games in rational arithmetic: a float is a rational number, and nothing here is rounded."""

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy.typing as npt

Row = list[Fraction]


def _exactly(M: npt.NDArray) -> list[Row]:
    return [[Fraction(float(x)) for x in row] for row in M]


def _solve(matrix: list[Row], right: Row) -> Row | None:
    """The solution of a linear system, or None where it is singular."""
    size = len(right)
    table = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for step in range(size):
        pivot = next((i for i in range(step, size) if table[i][step]), None)
        if pivot is None:
            return None
        table[step], table[pivot] = table[pivot], table[step]
        for i in range(step + 1, size):
            if table[i][step]:
                factor = table[i][step] / table[step][step]
                table[i] = [x - factor * y for x, y in zip(table[i], table[step], strict=True)]
    solution = [Fraction(0)] * size
    for i in reversed(range(size)):
        known = sum((table[i][j] * solution[j] for j in range(i + 1, size)), Fraction(0))
        solution[i] = (table[i][size] - known) / table[i][i]
    return solution


def _evening(M: list[Row], rows: Sequence[int], columns: Sequence[int]) -> Row | None:
    """Probabilities of some rows that make some columns pay the same, if they are that."""
    zero, one = Fraction(0), Fraction(1)
    system = [[*(M[i][j] for i in rows), -one] for j in columns]
    system.append([*(one for _ in rows), zero])
    solution = _solve(system, [*(zero for _ in columns), one])
    if solution is None or any(x < 0 for x in solution[:-1]):
        return None
    mixed = [zero] * len(M)
    for i, x in zip(rows, solution, strict=False):
        mixed[i] = x
    return mixed


def _pays(M: list[Row], p: Row) -> Row:
    return [sum((x * row[j] for x, row in zip(p, M, strict=True)), Fraction(0))
            for j in range(len(M[0]))]  # fmt: skip


def _extreme(M: list[Row]) -> tuple[Fraction, list[Row]]:
    """The least payment that some rows can be sure of, and the extreme ways to it."""
    best: Fraction | None = None
    found: list[Row] = []
    for size in range(1, 1 + min(len(M), len(M[0]))):
        supports: Iterable = itertools.product(
            itertools.combinations(range(len(M)), size),
            itertools.combinations(range(len(M[0])), size),
        )
        for rows, columns in supports:
            p = _evening(M, rows, columns)
            if p is None:
                continue
            payment = max(_pays(M, p))
            if best is None or payment < best:
                best, found = payment, []
            if payment == best and p not in found:
                found.append(p)
    assert best is not None  # a single row is always a candidate
    return best, found


def extreme_strategies(M: npt.NDArray) -> tuple[Fraction, list[Row], list[Row]]:
    """The value, and the extreme optimal strategies of both players."""
    exact = _exactly(M)
    value, rows = _extreme(exact)
    turned, columns = _extreme([[-exact[i][j] for i in range(len(exact))]
                                for j in range(len(exact[0]))])  # fmt: skip
    assert turned == -value  # the minimax theorem
    return value, rows, columns


def strict_solution(M: npt.NDArray, rows: Sequence[int], columns: Sequence[int]) -> bool | None:
    """Whether the saddle point on these choices is strict; None where there is none on them."""
    exact = _exactly(M)
    transposed = [list(column) for column in zip(*exact, strict=True)]
    p, q = _evening(exact, rows, columns), _evening(transposed, columns, rows)
    if p is None or q is None:
        return None
    paid, cost = _pays(exact, p), _pays(transposed, q)
    value = paid[columns[0]]
    if max(paid) > value or min(cost) < value:
        return None
    played = all(p[i] > 0 for i in rows) and all(q[j] > 0 for j in columns)
    strict = all(x < value for j, x in enumerate(paid) if j not in columns)
    return played and strict and all(x > value for i, x in enumerate(cost) if i not in rows)
