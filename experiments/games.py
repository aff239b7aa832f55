"""Matrix games by name: payoffs ``[m, n]`` of about a size, and the value where it is known."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np


class Game(NamedTuple):
    """What the row player pays to the column player, and the value where a theorem says it."""

    payoffs: np.ndarray
    value: float | None


def gaussian(rng: np.random.Generator, size: int) -> Game:
    """Independent standard normal payoffs."""
    return Game(rng.normal(size=(size, size)), None)


def skew_symmetric(rng: np.random.Generator, size: int) -> Game:
    """A game that is the same for both players; its value is 0."""
    M = rng.normal(size=(size, size))
    return Game(M - M.T, 0.0)


def blotto(rng: np.random.Generator, size: int) -> Game:
    """Colonel Blotto: as many soldiers as `size` allows over three fields; most fields win."""
    del rng
    soldiers = 1
    while (soldiers + 2) * (soldiers + 3) // 2 <= max(size, 3):
        soldiers += 1
    plans = np.array([(i, j, soldiers - i - j) for i in range(soldiers + 1)
                      for j in range(soldiers + 1 - i)])  # fmt: skip
    ahead = np.sign(plans[None] - plans[:, None]).sum(-1)
    return Game(np.sign(ahead).astype(float), 0.0)


def kuhn_poker(rng: np.random.Generator, size: int) -> Game:
    """Kuhn's poker of three cards: 64 plans of the second player against 27 of the first."""
    del rng, size
    first = list(product(("bet", "check fold", "check call"), repeat=3))
    second = list(product(product(("check", "bet"), ("fold", "call")), repeat=3))
    M = np.zeros((len(second), len(first)))
    for (row, theirs), (column, ours) in product(enumerate(second), enumerate(first)):
        for mine, other in ((a, b) for a in range(3) for b in range(3) if a != b):
            better = 1.0 if mine > other else -1.0
            after_check, after_bet = theirs[other]
            if ours[mine] == "bet":
                won = 2.0 * better if after_bet == "call" else 1.0
            elif after_check == "check":
                won = better
            else:
                won = 2.0 * better if ours[mine] == "check call" else -1.0
            M[row, column] += won / 6.0
    return Game(M, -1.0 / 18.0)


def hilbert(rng: np.random.Generator, size: int) -> Game:
    """Ill-conditioned: random signs times 1 / (i + j + 1)."""
    i = np.arange(size)
    return Game(rng.choice([-1.0, 1.0], (size, size)) / (1.0 + np.add.outer(i, i)), None)


def degenerate(rng: np.random.Generator, size: int) -> Game:
    """Payoffs of -1, 0 and 1, every second row a copy of the one before."""
    M = rng.integers(-1, 2, (size, size)).astype(float)
    M[1::2] = M[: size - size % 2 : 2]
    return Game(M, None)


def sparse(rng: np.random.Generator, size: int) -> Game:
    """One payoff in ten is not zero."""
    M = rng.normal(size=(size, size))
    return Game(M * (rng.uniform(size=M.shape) < 0.1), None)


GAMES: dict[str, Callable[[np.random.Generator, int], Game]] = {
    "gaussian": gaussian,
    "skew_symmetric": skew_symmetric,
    "blotto": blotto,
    "kuhn_poker": kuhn_poker,
    "hilbert": hilbert,
    "degenerate": degenerate,
    "sparse": sparse,
}
