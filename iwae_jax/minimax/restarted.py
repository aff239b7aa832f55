"""Restarted Halpern primal-dual hybrid gradient for matrix games: two products a step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.minimax.regret_matching import Progress
from iwae_jax.types import Array

# A restart follows when the fixed-point residual has fallen to the first share of what it was at
# the last one, or to the second and rises again, or when this share of all steps has gone by.
_ENOUGH, _SOME, _LONG = 0.2, 0.8, 0.7
# The first step in units of 1 / |M|; what part of the longest step that is safe is taken; and how
# much longer a step may become at a restart.
_FIRST, _SAFE, _GROWTH = 1.3, 0.95, 1.1


class _Point(NamedTuple):
    p: Array
    q: Array
    won: Array  # p' M, what each column wins
    paid: Array  # M q, what each row pays


class _State(NamedTuple):
    point: _Point
    anchor: _Point
    best: Progress
    thresholds: tuple[Array, Array]
    step: Array
    norm: Array  # the largest that was met lately
    since: Array  # steps since the last restart
    first: Array  # the residual after it
    last: Array


def _project(v: Array, guess: Array) -> tuple[Array, Array]:
    """The nearest probabilities and their threshold, by Newton's method: exact, and no sorting."""
    top = jnp.max(v)

    def newton(threshold: Array) -> tuple[Array, Array]:
        above = v > threshold
        total = jnp.sum(jnp.where(above, v, 0))
        return (total - 1) / jnp.sum(above, dtype=v.dtype), threshold

    # From wherever it starts, the first step leads below the solution, whence the thresholds rise
    # until rounding ends it.
    first, _ = newton(jnp.where(guess < top, guess, top - 1))
    threshold, _ = jax.lax.while_loop(
        lambda pair: pair[0] > pair[1], lambda pair: newton(pair[0]), newton(first)
    )
    p = jnp.maximum(v - threshold, 0)
    return p / jnp.sum(p), threshold


def _norm(M: Array) -> Array:
    """The norm of M between differences of strategies, by a few powers."""
    centred = lambda v: v - jnp.mean(v)

    def power(_: int, v: Array) -> Array:
        v = centred(centred(M @ (v / jnp.linalg.norm(v))) @ M)
        # A game of no interest: every strategy is as good.
        return jnp.where(jnp.any(v != 0), v, 1)

    start = centred(jnp.sin(jnp.arange(1.0, M.shape[1] + 1, dtype=M.dtype)) + 1)
    return jnp.sqrt(jnp.linalg.norm(jax.lax.fori_loop(0, 6, power, start + 1e-3)))


def restarted_primal_dual(
    M: Array, *, tolerance: float | Array, max_steps: int = 100_000
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
    zero = jnp.zeros((), M.dtype)
    unknown = jnp.full((), jnp.inf, M.dtype)

    def advance(state: _State) -> _State:
        point, anchor, step = state.point, state.anchor, state.step
        p, above = _project(point.p - step * point.paid, state.thresholds[0])
        won = p @ M
        q, beyond = _project(point.q + step * (2 * won - point.won), state.thresholds[1])
        image = _Point(p, q, won, M @ q)
        gap = jnp.max(won) - jnp.min(image.paid)
        better = gap < state.best.gap
        keep = lambda new, old: jnp.where(better, new, old)
        best = Progress(
            keep(p, state.best.row_strategy), keep(q, state.best.column_strategy),
            keep(gap, state.best.gap), state.best.steps + 1,
        )  # fmt: skip

        dp, dq = p - point.p, q - point.q
        moved = dp @ dp + dq @ dq
        coupling = 2 * (dq @ (won - point.won))
        met = jnp.where(moved > 0, jnp.abs(coupling) / jnp.where(moved > 0, moved, 1), 0)
        norm = jnp.maximum(state.norm, met)
        residual = jnp.sqrt(jnp.maximum(moved / step - coupling, 0))
        since = state.since + 1
        count, total = since.astype(M.dtype), best.steps.astype(M.dtype)
        first = jnp.where(since == 1, residual, state.first)

        too_long = step * met > 1
        falling = (residual <= _ENOUGH * first) | (
            (residual <= _SOME * first) & (residual > state.last)
        )
        done = (since > 1) & (falling | (count >= _LONG * total))
        restart = too_long | done
        longer = jnp.minimum(_GROWTH * step, _SAFE / jnp.where(norm > 0, norm, _SAFE / step))
        step = jnp.where(too_long, _SAFE / met, jnp.where(done, longer, step))
        share = count / (count + 1)

        def follow(now: Array, then: Array, start: Array) -> Array:
            return jnp.where(restart, now, share * (2 * now - then) + (1 - share) * start)

        return _State(
            point=jax.tree.map(follow, image, point, anchor),
            anchor=jax.tree.map(lambda new, old: jnp.where(restart, new, old), image, anchor),
            best=best,
            thresholds=(above, beyond),
            step=step,
            norm=jnp.where(done, 0.5 * norm, norm),
            since=jnp.where(restart, 0, since),
            first=first,
            last=jnp.where(restart, unknown, residual),
        )

    def unfinished(state: _State) -> Array:
        return ~(state.best.gap <= tolerance) & (state.best.steps < max_steps)

    p, q = jnp.full(m, 1 / m, M.dtype), jnp.full(n, 1 / n, M.dtype)
    start = _Point(p, q, p @ M, M @ q)
    none = jnp.zeros((), jnp.int32)
    state = _State(
        start, start, Progress(p, q, unknown, none), thresholds=(zero, zero),
        step=_FIRST / _norm(M), norm=zero, since=none, first=unknown, last=unknown,
    )  # fmt: skip
    return jax.lax.while_loop(unfinished, advance, state).best
