"""An interior-point method made for matrix games: one Cholesky factor of the rows a step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.types import Array


class Interior(NamedTuple):
    """A strictly feasible point: everything in it is positive, and the gap is exact.

    Attributes:
      p: ``[m]``, the row player's probabilities.
      q: ``[n]``, the column player's.
      upper: ``[]``, above what every column wins against p.
      lower: ``[]``, below what every row pays to q.
      row_slack: ``[m]``, ``M q - lower``.
      column_slack: ``[n]``, ``upper - p' M``.
    """

    p: Array
    q: Array
    upper: Array
    lower: Array
    row_slack: Array
    column_slack: Array


def _feasible(M: Array, p: Array, q: Array, upper: Array, lower: Array) -> Interior:
    return Interior(p, q, upper, lower, M @ q - lower, upper - p @ M)


def start_interior(M: Array) -> Interior:
    """The uniform strategies, with bounds that leave room.

    Args:
      M: ``[m, n]``, what the row player pays to the column player, of the order of 1.

    Returns:
      A strictly feasible point.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> state = minimax.start_interior(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
      >>> float(state.upper), float(state.lower)
      (1.5, -0.5)

    References:
      Mehrotra (1992), On the Implementation of a Primal-Dual Interior Point Method.
    """
    m, n = M.shape
    p, q = jnp.full(m, 1 / m, M.dtype), jnp.full(n, 1 / n, M.dtype)
    room = jnp.max(jnp.abs(M))
    return _feasible(M, p, q, jnp.max(p @ M) + room, jnp.min(M @ q) - room)


def interior_step(state: Interior, M: Array) -> Interior:
    r"""One predictor-corrector step towards the complementary point.

    .. math:: p_i (M q - l)_i = \sigma \mu, \quad q_j (u - M^\top p)_j = \sigma \mu, \quad
       \mu = \frac{u - l}{m + n}

    The Newton system is reduced to ``diag(r / p) + M diag(q / s) M'`` on the rows, bordered by the
    two bounds; p and q sum to one and stay feasible, so the gap is ``u - l`` at every step.

    Args:
      state: a strictly feasible point.
      M: ``[m, n]``, of the order of 1; fewer rows than columns are faster.

    Returns:
      The next one.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> M = jnp.array([[0.0, 1.0], [1.0, 0.0]])
      >>> state = minimax.interior_step(minimax.start_interior(M), M)
      >>> bool(state.upper - state.lower < 0.5)
      True

    References:
      Mehrotra (1992), On the Implementation of a Primal-Dual Interior Point Method.
    """
    p, q, upper, lower, r, s = state
    ratio = q / s
    matrix = (M * ratio) @ M.T
    # What rounding leaves of positive definite is kept so.
    diagonal = r / p + jnp.finfo(M.dtype).eps * jnp.diagonal(matrix)
    factor = jax.scipy.linalg.cho_factor(matrix + jnp.diag(diagonal), lower=True)
    pull = M @ ratio
    edges = jax.scipy.linalg.cho_solve(factor, jnp.stack([pull, jnp.ones_like(p)], 1))

    def direction(row: Array, column: Array) -> Interior:
        """Solves ``r dp + p dr = row``, ``s dq + q ds = column`` in the feasible directions."""
        inner = jax.scipy.linalg.cho_solve(factor, row / p - M @ (column / s))
        rows = jnp.stack([jnp.stack([pull @ edges[:, 0] - jnp.sum(ratio), pull @ edges[:, 1]]),
                          jnp.sum(edges, 0)])  # fmt: skip
        right = -jnp.stack([jnp.sum(column / s) + pull @ inner, jnp.sum(inner)])
        determinant = rows[0, 0] * rows[1, 1] - rows[0, 1] * rows[1, 0]
        rise = (right[0] * rows[1, 1] - rows[0, 1] * right[1]) / determinant
        fall = (rows[0, 0] * right[1] - rows[1, 0] * right[0]) / determinant
        dp = inner + edges @ jnp.stack([rise, fall])
        ds = rise - dp @ M
        dq = (column - q * ds) / s
        return Interior(dp, dq, rise, fall, M @ dq - fall, ds)

    def longest(change: Interior) -> Array:
        """The step at which the first of the positive quantities would vanish."""
        reach = lambda x, dx: jnp.min(jnp.where(dx < 0, -x / jnp.where(dx < 0, dx, -1), jnp.inf))
        parts = [reach(p, change.p), reach(q, change.q),
                 reach(r, change.row_slack), reach(s, change.column_slack)]  # fmt: skip
        return jnp.min(jnp.stack(parts))

    mean = (p @ r + q @ s) / (p.size + q.size)
    trial = direction(-p * r, -q * s)
    step = jnp.minimum(longest(trial), 1)
    ahead = (p + step * trial.p) @ (r + step * trial.row_slack)
    ahead += (q + step * trial.q) @ (s + step * trial.column_slack)
    target = mean * (ahead / (p.size + q.size) / mean) ** 3
    change = direction(
        target - p * r - trial.p * trial.row_slack, target - q * s - trial.q * trial.column_slack
    )
    step = jnp.minimum(0.99 * longest(change), 1)
    p, q = p + step * change.p, q + step * change.q
    # Rounding of the sums, before it can add up.
    p, q = p / jnp.sum(p), q / jnp.sum(q)
    return _feasible(M, p, q, upper + step * change.upper, lower + step * change.lower)
