"""Restarted Halpern primal-dual hybrid gradient for matrix games: two products a step."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.minimax.certificates import AnyArray
from iwae_jax.minimax.regret_matching import Progress
from iwae_jax.types import Array

# A restart follows when the fixed-point residual has fallen to the first share of what it was at
# the last one, or to the second and rises again, or when this share of all steps has gone by.
_ENOUGH, _SOME, _LONG = 0.2, 0.7, 0.9
# Parts of M: XLA gives parts to different cores, which then keep theirs in cache, but of a single
# product from the left, or a small one from the right, no core a share.
_PARTS = 8
# The first step in units of 1 / |M|; what part of the longest step that is safe is taken; and how
# much longer a step may become at a restart.
_FIRST, _SAFE, _GROWTH = 1.2, 0.95, 1.05


_Product = Callable[[Array], Array]


class Origin(NamedTuple):
    """Where `restarted_primal_dual` begins, and what differences are taken from.

    Attributes:
      row_strategy: ``[m]``, p.
      column_strategy: ``[n]``, q.
      won: ``[n]``, ``p' M``, what each column wins.
      paid: ``[m]``, ``M q``, what each row pays.
    """

    row_strategy: AnyArray
    column_strategy: AnyArray
    won: AnyArray
    paid: AnyArray


class _State(NamedTuple):
    point: Array  # p, q, p' M and M q, one after the other, all less those of the origin
    anchor: Array
    best: Array  # that of the smallest gap
    gap: Array
    level: Array  # about the value, which would cost the digits of sums of products
    steps: Array
    thresholds: tuple[Array, Array]
    step: Array
    norm: Array  # the largest that was met lately
    since: Array  # steps since the last restart
    first: Array  # the residual after it
    last: Array


def _project(v: Array, room: Array, guess: Array) -> tuple[Array, Array]:
    """The nearest to v of a sum of 0, none below -room, and its threshold, by Newton's method."""
    zero = jnp.zeros((), v.dtype)

    def newton(threshold: Array) -> tuple[Array, Array]:
        above = v + room > threshold
        total, count = jax.lax.reduce(
            (jnp.where(above, v, -room), above.astype(v.dtype)), (zero, zero),
            lambda some, more: (some[0] + more[0], some[1] + more[1]), (0,),
        )  # fmt: skip
        return total / count, threshold

    # From wherever it starts, the first step leads below the solution (if none is above the guess,
    # to minus infinity), whence the thresholds rise until rounding ends it.
    first, _ = newton(guess)
    threshold, _ = jax.lax.while_loop(
        lambda pair: pair[0] > pair[1], lambda pair: newton(pair[0]), newton(first)
    )
    return jnp.maximum(v - threshold, -room), threshold


def _norm(from_left: _Product, from_right: _Product, start: Array) -> Array:
    """The norm of M between differences of strategies, by a few powers."""
    centred = lambda v: v - jnp.mean(v)

    def power(_: int, v: Array) -> Array:
        v = centred(from_left(centred(from_right(v / jnp.linalg.norm(v)))))
        # A game of no interest: every strategy is as good.
        return jnp.where(jnp.any(v != 0), v, 1)

    return jnp.sqrt(jnp.linalg.norm(jax.lax.fori_loop(0, 3, power, start)))


def restarted_primal_dual(
    M: Array, *, tolerance: float | Array, max_steps: int = 100_000, origin: Origin | None = None
) -> Progress:
    r"""Primal-dual hybrid gradient, reflected, anchored, and restarted by its own residual.

    .. math:: T(p, q) = (p^+, q^+), \quad p^+ = \Pi(p - \eta M q), \quad
       q^+ = \Pi(q + \eta M^\top (2 p^+ - p))

    .. math:: z_{k+1} = \tfrac{k+1}{k+2} \, (2 T(z_k) - z_k) + \tfrac{1}{k+2} \, z_0

    The step length eta follows the norm of M along the path, which is less than the whole; products
    with M are mixed as the points are, so that the gap of every T(z) is at hand.

    Args:
      M: ``[m, n]``, what the row player pays to the column player, float32 or float64.
      tolerance: the largest gap, in the units of M.
      max_steps: the most steps.
      origin: strategies to begin at, with their products with M less any one number; by default
        the uniform ones. All is computed in differences from it, which rounding harms the less the
        nearer they are: float32 with an origin from float64 goes on where float32 alone ends.

    Returns:
      The strategies of the smallest gap that was met.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> M = jnp.array([[0.0, 2.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
      >>> bool(minimax.restarted_primal_dual(M, tolerance=1e-5).gap <= 1e-5)
      True

    References:
      Lu and Yang (2024), Restarted Halpern PDHG for Linear Programming, arXiv:2407.16144.
      Applegate, Hinder, Lu and Lubin (2023), Faster First-Order Primal-Dual Methods for Linear
      Programming using Restarts and Sharpness, arXiv:2102.13154.
    """
    m, n = M.shape
    parts = jnp.pad(M, ((0, -m % _PARTS), (0, 0))).reshape(_PARTS, -1, n)
    zero, none = jnp.zeros((), M.dtype), jnp.zeros((), jnp.int32)
    unknown = jnp.full((), jnp.inf, M.dtype)

    def from_left(p: Array) -> Array:
        of_parts = jnp.pad(p, (0, -m % _PARTS)).reshape(_PARTS, -1)
        # XLA hands jnp.sum to another library, whose start takes longer than this sum.
        return functools.reduce(jnp.add, jnp.einsum("ki,kij->kj", of_parts, parts))

    def from_right(q: Array) -> Array:
        return jnp.einsum("kij,kj->ki", parts, jnp.broadcast_to(q, (_PARTS, n))).reshape(-1)[:m]

    if origin is None:
        p, q = jnp.full(m, 1 / m, M.dtype), jnp.full(n, 1 / n, M.dtype)
        origin = Origin(p, q, from_left(p), from_right(q))
    p_0, q_0, won_0, paid_0 = (jnp.asarray(x, M.dtype) for x in origin)
    split = lambda z: jnp.split(z, (m, m + n, m + 2 * n))

    def advance(state: _State) -> _State:
        step = state.step
        p, q, won, paid = split(state.point)
        p, above = _project(p - step * (paid_0 - state.level + paid), p_0, state.thresholds[0])
        wins = from_left(p)
        q, beyond = _project(
            q + step * (won_0 - state.level + 2 * wins - won), q_0, state.thresholds[1]
        )
        pays = from_right(q)
        image = jnp.concatenate((p, q, wins, pays))
        upper, lower = jnp.max(won_0 + wins), jnp.min(paid_0 + pays)
        gap = upper - lower
        better = gap < state.gap

        change = image - state.point
        moved = jnp.sum(change[: m + n] ** 2)
        coupling = 2 * jnp.sum(change[m : m + n] * change[m + n : m + 2 * n])
        met = jnp.where(moved > 0, jnp.abs(coupling) / jnp.where(moved > 0, moved, 1), 0)
        norm = jnp.maximum(state.norm, met)
        residual = jnp.sqrt(jnp.maximum(moved / step - coupling, 0))
        since, steps = state.since + 1, state.steps + 1
        count = since.astype(M.dtype)
        first = jnp.where(since == 1, residual, state.first)

        too_long = step * met > 1
        falling = (residual <= _ENOUGH * first) | (
            (residual <= _SOME * first) & (residual > state.last)
        )
        done = (since > 1) & (falling | (count >= _LONG * steps.astype(M.dtype)))
        restart = too_long | done
        longer = jnp.minimum(_GROWTH * step, _SAFE / jnp.where(norm > 0, norm, _SAFE / step))
        share = count / (count + 1)
        onward = share * (image + change) + (1 - share) * state.anchor
        return _State(
            point=jnp.where(restart, image, onward),
            anchor=jnp.where(restart, image, state.anchor),
            best=jnp.where(better, image, state.best),
            gap=jnp.where(better, gap, state.gap),
            level=0.5 * (upper + lower),
            steps=steps,
            thresholds=(above, beyond),
            step=jnp.where(too_long, _SAFE / met, jnp.where(done, longer, step)),
            norm=jnp.where(done, 0.5 * norm, norm),
            since=jnp.where(restart, 0, since),
            first=first,
            last=jnp.where(restart, unknown, residual),
        )

    def unfinished(state: _State) -> Array:
        return ~(state.gap <= tolerance) & (state.steps < max_steps)

    norm = _norm(from_left, from_right, jnp.sin(jnp.arange(1, n + 1, dtype=M.dtype)))
    start = jnp.zeros(2 * (m + n), M.dtype)
    state = _State(
        start, start, start, unknown, jnp.mean(paid_0), none, thresholds=(zero, zero),
        step=_FIRST / norm, norm=zero, since=none, first=unknown, last=unknown,
    )  # fmt: skip
    state = jax.lax.while_loop(unfinished, advance, state)
    p, q, _, _ = split(state.best)
    return Progress(p_0 + p, q_0 + q, state.gap, state.steps)
