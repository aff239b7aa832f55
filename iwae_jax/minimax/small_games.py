"""Matrix games of at most three choices each, in closed form: no loop, so that batches are fast."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from iwae_jax.minimax.certificates import MatrixGameSolution
from iwae_jax.minimax.method import CONVERGED, NOT_CONVERGED, NOT_FINITE
from iwae_jax.types import Array, PyTree

Vector = Sequence[Array]


def _power_of_two_below(x: Array) -> Array:
    """The exponent of x alone, so that a division by it is exact; 1 where x is below them all."""
    integer, mask = (jnp.uint32, 0x7F800000) if x.dtype == jnp.float32 else (
        jnp.uint64, 0x7FF0000000000000,
    )  # fmt: skip
    bits = jax.lax.bitcast_convert_type(x, integer) & jnp.asarray(mask, integer)
    power = jax.lax.bitcast_convert_type(bits, x.dtype)
    return jnp.where(power > 0, power, 1)


def _split(x: Array) -> tuple[Array, Array]:
    """x as a sum of two numbers of half as many digits, whose products are exact."""
    integer, mask = (jnp.uint32, 0xFFFFF000) if x.dtype == jnp.float32 else (
        jnp.uint64, 0xFFFFFFFFF8000000,
    )  # fmt: skip
    bits = jax.lax.bitcast_convert_type(x, integer) & jnp.asarray(mask, integer)
    high = jax.lax.bitcast_convert_type(bits, x.dtype)
    return high, x - high


def _cross(a: Vector, b: Vector) -> Vector:
    """The vector product with half as many digits more, for nearly parallel a and b."""
    halves = [(_split(x), _split(y)) for x, y in zip(a, b, strict=True)]

    def minor(i: int, j: int) -> Array:
        ((ah, al), (ch, cl)), ((dh, dl), (bh, bl)) = halves[i], halves[j]
        # The products of the high halves are exact, so that their difference loses nothing.
        return (ah * bh - ch * dh) + ((ah * bl + al * bh) - (ch * dl + cl * dh)) + (
            al * bl - cl * dl
        )  # fmt: skip

    return [minor(1, 2), minor(2, 0), minor(0, 1)]


def _larger(values: Vector) -> Array:
    return functools.reduce(jnp.maximum, values)


def _sharing(first: Vector, second: Vector, share: Array) -> Array:
    """What two rows pay at worst, by the share of the first."""
    return _larger([b + share * (a - b) for a, b in zip(first, second, strict=True)])


def _even_shares(first: Vector, second: Vector) -> list[Array]:
    """The shares of the first of two rows at which two columns pay the same.

    Where that is between 0 and 1, the two terms below have the same sign: nothing is lost in their
    sum. A nan, of columns that are equal in both rows.
    """
    shares = []
    for j, k in itertools.combinations(range(len(first)), 2):
        here, there = second[k] - second[j], first[j] - first[k]
        shares.append(jnp.clip(here / (here + there), 0, 1))
    return shares


def _even_of_three(M: Sequence[Vector]) -> Vector:
    """The strategy that makes three columns pay the same, cut to probabilities."""
    weights = _cross([row[0] - row[2] for row in M], [row[1] - row[2] for row in M])
    total = weights[0] + weights[1] + weights[2]
    first, second = (jnp.clip(w / total, 0, 1) for w in weights[:2])
    second = jnp.minimum(second, 1 - first)
    return [first, second, (1 - first) - second]


def _mixing(M: Sequence[Vector], strategy: Vector) -> Array:
    """What three rows pay at worst."""
    first, second, third = strategy
    return _larger([first * a + second * b + third * c for a, b, c in zip(*M, strict=True)])


def _best(M: Sequence[Vector], largest: Array) -> tuple[Vector, Array]:
    """The rows' probabilities that pay the least at worst; and a bound on that payment.

    The largest absolute payoff lies from 1 to 2, or is 0.
    """
    rows = range(len(M))
    pairs = list(itertools.combinations(rows, 2))
    shares = {(i, k): _even_shares(M[i], M[k]) for i, k in pairs}
    three = _even_of_three(M) if len(M) == len(M[0]) == 3 else None

    worst = [_larger(row) for row in M]
    worst += [_sharing(M[i], M[k], share) for i, k in pairs for share in shares[i, k]]
    worst += [] if three is None else [_mixing(M, three)]
    best, least = jnp.zeros_like(worst[0]), worst[0]
    for number, payment in enumerate(worst[1:], 1):
        better = payment < least  # never, of a nan
        best, least = jnp.where(better, number, best), jnp.where(better, payment, least)
    # XLA computes what it takes for cheap again for every output that needs it, a division never.
    # By this 1, of which it doesn't know, the candidates are compared once.
    best = best / _power_of_two_below(largest)

    mixed = [{i: jnp.ones_like(least)} for i in rows]
    mixed += [{i: share, k: 1 - share} for i, k in pairs for share in shares[i, k]]
    mixed += [] if three is None else [dict(enumerate(three))]
    strategy = [jnp.zeros_like(least) for _ in rows]
    for number, mixture in enumerate(mixed):
        for i, probability in mixture.items():
            strategy[i] = jnp.where(best == number, probability, strategy[i])
    paid = [
        [p * x for p, x in zip(strategy, column, strict=True)] for column in zip(*M, strict=True)
    ]
    payment = _larger([functools.reduce(jnp.add, terms) for terms in paid])
    # In units of rounding of the largest payoff: 1 of the products, 1 of each sum but those with 0,
    # 1/2 of each probability that is what the others leave, and 1 of the sum here.
    three_play = functools.reduce(jnp.minimum, strategy) > 0 if len(M) == 3 else False
    units = jnp.where(three_play, 5, 4).astype(payment.dtype)
    return strategy, payment + units * (jnp.finfo(payment.dtype).eps / 2.0) * largest


def _require_small(M: Array) -> None:
    if M.ndim < 2 or not all(1 <= size <= 3 for size in M.shape[:2]):
        raise ValueError(f"a small game is [m, n] of at most 3 x 3; got the shape {M.shape}.")
    if M.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"payoffs are float32 or float64; got {M.dtype}.")


def _solve(M: Array, tolerance: float | None) -> tuple[Any, ...]:
    """The fields of a solution, with the strategies as tuples of probabilities."""
    rows, columns = range(M.shape[0]), range(M.shape[1])
    entries = [[M[i, j] for j in columns] for i in rows]
    largest = _larger([jnp.abs(x) for row in entries for x in row])
    scale = _power_of_two_below(largest)
    entries = [[x / scale for x in row] for row in entries]
    p, upper = _best(entries, largest / scale)
    q, lower = _best([[-entries[i][j] for i in rows] for j in columns], largest / scale)
    finite = jnp.isfinite(largest)
    kept = lambda x: jnp.where(finite, x, jnp.nan)
    upper, lower = kept(upper * scale), kept(-lower * scale)
    gap = upper - lower
    finest = 1e-6 if M.dtype == jnp.float32 else 1e-14
    allowed = finest * largest if tolerance is None else tolerance
    status = jnp.where(gap <= allowed, CONVERGED, NOT_CONVERGED)
    status = jnp.where(finite, status, NOT_FINITE).astype(jnp.int32)
    value = 0.5 * lower + 0.5 * upper
    return tuple(map(kept, p)), tuple(map(kept, q)), value, lower, upper, gap, status


def solve_small_game(M: Array, *, tolerance: float | None = None) -> MatrixGameSolution:
    r"""Solves a game of at most 3 x 3 in closed form, with its certificate, in its own dtype.

    Some optimal strategy of each player is that of a square sub-game which makes the other
    player's choices in it equal. All are tried, and the best of each player is taken: no game is
    degenerate, and what the bounds say holds whatever rounding did. Under `jax.vmap` with the batch
    as the last axis (``in_axes=-1, out_axes=-1``) every operation is one of whole vectors.

    Args:
      M: ``[m, n]``, m and n at most 3, float32 or float64.
      tolerance: the largest gap of a solution, in the units of M; by default 1e-6 (float32) or
        1e-14 (float64) of the largest absolute payoff.

    Returns:
      The solution. Its bounds are widened by what rounding can do: by 4 or 5 units of it in the
      largest payoff, so that a gap is never below 4.7e-7 (float32) or 8.8e-16 (float64) of that.

    Raises:
      ValueError: the game is larger, or empty.
      TypeError: the payoffs are neither float32 nor float64.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> M = jnp.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
      >>> minimax.solve_small_game(M).row_strategy.round(4)
      Array([0.3333, 0.3333, 0.3333], dtype=float32)

    References:
      Shapley and Snow (1950), Basic Solutions of Discrete Games.
    """
    _require_small(M)
    p, q, *rest = _solve(M, tolerance)
    return MatrixGameSolution(jnp.stack(p), jnp.stack(q), *rest)


def solve_small_games(M: Array, *, block_size: int = 256) -> MatrixGameSolution:
    """Solves a batch of games of at most 3 x 3, block by block so that a block stays in cache.

    Args:
      M: ``[m, n, B]``, the batch last, float32 or float64.
      block_size: games in one block.

    Returns:
      The solutions, the batch last: strategies ``[m, B]`` and ``[n, B]``, the rest ``[B]``; each
      has the tolerance of `solve_small_game`.

    Raises:
      ValueError: the games are larger than 3 x 3, or there is none.
      TypeError: the payoffs are neither float32 nor float64.

    Example:
      >>> import jax
      >>> from iwae_jax import minimax
      >>> M = jax.random.normal(jax.random.key(0), (3, 3, 1000))
      >>> solutions = jax.jit(minimax.solve_small_games)(M)
      >>> bool((solutions.status == minimax.CONVERGED).all())
      True

    References:
      Shapley and Snow (1950), Basic Solutions of Discrete Games.
    """
    _require_small(M)
    if M.ndim != 3 or M.shape[-1] == 0:
        raise ValueError(f"a batch of games is [m, n, B]; got the shape {M.shape}.")
    batch = M.shape[-1]
    # At least two blocks: XLA unrolls a loop of one, and solves a game once per probability.
    size = min(block_size, -(-batch // 2))
    together = jax.vmap(lambda M: _solve(M, None), in_axes=-1, out_axes=-1)
    like = jax.eval_shape(together, M)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)

    def solve_block(index: Array, solved: PyTree) -> PyTree:
        # The last block overlaps the one before it, where the batch is no multiple of the blocks.
        first = jnp.minimum(index * size, batch - size)
        block = together(jax.lax.dynamic_slice_in_dim(M, first, size, axis=2))
        put = lambda whole, piece: jax.lax.dynamic_update_slice_in_dim(whole, piece, first, 0)
        return jax.tree.map(put, solved, block)

    # Stacked outside of the loop, for the same reason.
    p, q, *rest = jax.lax.fori_loop(0, -(-batch // size), solve_block, empty)
    return MatrixGameSolution(jnp.stack(p), jnp.stack(q), *rest)
