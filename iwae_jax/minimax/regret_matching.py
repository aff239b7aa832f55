"""Predictive regret matching+ in self-play: no step size, two products with the matrix a step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.minimax.certificates import AnyArray
from iwae_jax.types import Array


class Progress(NamedTuple):
    """What an iterative solver of a matrix game has found.

    Attributes:
      row_strategy: ``[m]``, p.
      column_strategy: ``[n]``, q.
      gap: ``[]``, the duality gap as the solver's dtype has it; `certify` proves one.
      steps: ``[]``, the steps taken.
    """

    row_strategy: AnyArray
    column_strategy: AnyArray
    gap: AnyArray
    steps: AnyArray


class _Player(NamedTuple):
    regrets: Array
    strategy: Array
    average: Array
    payments: Array  # of the average strategy, to each choice of the other player


def _normalised(weights: Array) -> Array:
    total = jnp.sum(weights)
    return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1), 1 / weights.size)


def _learn(player: _Player, gains: Array) -> _Player:
    """Adds to the regrets, and plays what they will be if the same gains come again."""
    regret = gains - gains @ player.strategy
    regrets = jnp.maximum(player.regrets + regret, 0)
    regret = gains - gains @ player.strategy
    return player._replace(regrets=regrets, strategy=_normalised(jnp.maximum(regrets + regret, 0)))


def _average(player: _Player, payments: Array, share: Array) -> _Player:
    mix = lambda old, new: old + share * (new - old)
    return player._replace(
        average=mix(player.average, player.strategy), payments=mix(player.payments, payments)
    )


def predictive_regret_matching(
    M: Array, *, tolerance: float | Array, max_steps: int = 100_000, check_every: int = 16
) -> Progress:
    r"""Predictive regret matching+, the players in turns, with quadratic averaging.

    .. math:: z_t = \max(z_{t-1} + r_t, 0), \quad p_{t+1} \propto \max(z_t + r_t, 0), \quad
       \bar p_T \propto \sum_t t^2 p_t

    r_t is the regret of not having played each choice, and the prediction that it comes again.

    Args:
      M: ``[m, n]``, what the row player pays to the column player, float32 or float64.
      tolerance: the largest gap, in the units of M.
      max_steps: the most steps.
      check_every: steps between two looks at the gap, which costs nothing but the looking.

    Returns:
      The averages of the strategies, and their gap.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> M = jnp.array([[0.0, 2.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
      >>> bool(minimax.predictive_regret_matching(M, tolerance=1e-4).gap <= 1e-4)
      True

    References:
      Farina, Kroer and Sandholm (2021), Faster Game Solving via Predictive Blackwell
      Approachability: Connecting Regret Matching and Mirror Descent, arXiv:2007.14358.
    """
    m, n = M.shape
    transposed = M.T

    def player(size: int, other: int) -> _Player:
        uniform = jnp.full(size, 1 / size, M.dtype)
        return _Player(jnp.zeros_like(uniform), uniform, uniform, jnp.zeros(other, M.dtype))

    def step(_: int, carry: tuple[_Player, _Player, Array]) -> tuple[_Player, _Player, Array]:
        row, column, steps = carry
        t = (steps + 1).astype(M.dtype)
        # t^2 over the sum of the squares up to t.
        share = 6 * t / ((t + 1) * (2 * t + 1))
        column = _learn(column, transposed @ row.strategy)
        payments = M @ column.strategy
        column = _average(column, payments, share)
        row = _average(row, transposed @ row.strategy, share)
        row = _learn(row, -payments)
        return row, column, steps + 1

    def gap(carry: tuple[_Player, _Player, Array]) -> Array:
        row, column, _ = carry
        return jnp.max(row.payments) - jnp.min(column.payments)

    def advance(carry):
        inner, _ = carry
        inner = jax.lax.fori_loop(0, check_every, step, inner)
        return inner, gap(inner)

    unfinished = lambda carry: ~(carry[1] <= tolerance) & (carry[0][2] < max_steps)
    start = (player(m, n), player(n, m), jnp.zeros((), jnp.int32))
    (row, column, steps), size = jax.lax.while_loop(
        unfinished, advance, (start, jnp.array(jnp.inf, M.dtype))
    )
    return Progress(row.average, column.average, size, steps)
