"""Convex sets: the point of each that is nearest, and the one that is lowest in a direction."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import flatten_util
from optax import projections

from iwae_jax.minimax._checks import require_positive, with_standard_promotion
from iwae_jax.types import Array, PyTree

OptionalFunction = Callable[[PyTree], PyTree] | None


class ConvexSet(NamedTuple):
    """A closed convex set of pytrees.

    Attributes:
      project: ``x -> y``, the argmin of the distance from x over the set.
      lowest: ``g -> y``, an argmin of ``<g, y>`` over the set, which makes duality gaps; None
        where the set is not bounded.
    """

    project: Callable[[PyTree], PyTree]
    lowest: OptionalFunction


def _map_leaves(function: Callable[..., Array], tree: PyTree, *bounds: PyTree) -> PyTree:
    """Maps over the leaves of a tree and of its bounds; a lone bound is for every leaf."""
    lone = lambda bound: jax.tree_util.all_leaves([bound])
    spread = lambda bound: jax.tree.map(lambda _: bound, tree) if lone(bound) else bound
    return jax.tree.map(function, tree, *map(spread, bounds))


def _require_rows(x: Array) -> None:
    if jnp.ndim(x) == 0 or x.shape[-1] == 0:
        raise ValueError(
            f"a simplex is along the last axis of a leaf; this one has the shape {jnp.shape(x)}."
        )


def _project_rows(x: Array, total: float | Array) -> Array:
    """Newton's method on the threshold, from below: it ends after at most n steps, usually 5."""
    _require_rows(x)
    fixed = jax.lax.stop_gradient(x)

    def threshold(support: Array, values: Array) -> Array:
        mass = jnp.sum(jnp.where(support, values, 0), -1, keepdims=True) - total
        return mass / jnp.sum(support, -1, keepdims=True, dtype=values.dtype)

    def shrink(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        support, _ = carry
        smaller = support & (fixed > threshold(support, fixed))
        # Rounding must not empty a support: then the set before it is the answer.
        smaller = jnp.where(jnp.any(smaller, -1, keepdims=True), smaller, support)
        return smaller, jnp.any(smaller != support)

    # The largest entry less the total is below every entry of a support; a nan keeps them all.
    everything = ~(fixed < jnp.max(fixed, -1, keepdims=True) - total)
    support, _ = jax.lax.while_loop(lambda carry: carry[1], shrink, (everything, jnp.array(True)))
    # The support found, the projection is linear, so that its derivative needs no loop.
    return jnp.where(support, jnp.maximum(x - threshold(support, x), 0), 0)


def simplex(*, total: float | Array = 1.0) -> ConvexSet:
    r"""Simplices, one for each row of each leaf: an axis of probabilities comes last.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; y \ge 0,\ \textstyle\sum_i y_i = c
       \quad = \quad \max(x - \tau, 0)

    A leaf ``[..., n]`` is as many simplices as it has rows; `joint_simplex` is one for the whole
    tree. A row that holds a nan is projected onto nans.

    Args:
      total: c, what a row sums to; 1 for probabilities.

    Returns:
      The set, in float32 and float64 alike, differentiable almost everywhere.

    Raises:
      ValueError: the total is not positive; when used, a leaf without rows.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.simplex().project(jnp.array([[0.5, 1.5, 0.0], [3.0, 3.0, 3.0]])).round(3)
      Array([[0.   , 1.   , 0.   ],
             [0.333, 0.333, 0.333]], dtype=float32)

    References:
      Held, Wolfe and Crowder (1974), Validation of Subgradient Optimization. The set of active
      entries: Michelot (1986), A Finite Algorithm for Finding the Projection of a Point onto the
      Canonical Simplex of R^n.
    """
    require_positive(total, "total")

    def lowest(g: Array) -> Array:
        _require_rows(g)
        return total * jax.nn.one_hot(jnp.argmin(g, -1), g.shape[-1], dtype=g.dtype)

    return ConvexSet(
        project=lambda tree: jax.tree.map(lambda x: _project_rows(x, total), tree),
        lowest=lambda tree: jax.tree.map(lowest, tree),
    )


def joint_simplex(*, total: float | Array = 1.0) -> ConvexSet:
    r"""One simplex that all entries of all leaves share.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; y \ge 0,\ \textstyle\sum_i y_i = c

    Args:
      total: c, what the entries sum to.

    Returns:
      The set.

    Raises:
      ValueError: the total is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.joint_simplex().project((jnp.array([2.0]), jnp.array([1.5])))
      (Array([0.75], dtype=float32), Array([0.25], dtype=float32))

    References:
      Duchi et al. (2008), Efficient Projections onto the l1-Ball for Learning in High Dimensions.
    """
    require_positive(total, "total")

    def lowest(tree: PyTree) -> PyTree:
        flat, unravel = flatten_util.ravel_pytree(tree)
        return unravel(total * jax.nn.one_hot(jnp.argmin(flat), flat.size, dtype=flat.dtype))

    project = with_standard_promotion(lambda tree: projections.projection_simplex(tree, total))
    return ConvexSet(project, lowest)


def box(lower: PyTree, upper: PyTree) -> ConvexSet:
    r"""A box, with bounds for each entry.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; l \le y \le u

    Args:
      lower: l, a number or a pytree like the points.
      upper: u, a number or a pytree like the points.

    Returns:
      The set.

    Raises:
      ValueError: a lower bound exceeds its upper bound.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.box(0.0, 1.0).project(jnp.array([-1.0, 0.5, 2.0]))
      Array([0. , 0.5, 1. ], dtype=float32)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    for low, high in zip(jax.tree.leaves(lower), jax.tree.leaves(upper), strict=True):
        if not any(isinstance(bound, jax.core.Tracer) for bound in (low, high)) and not np.all(
            np.asarray(low) <= np.asarray(high)
        ):
            raise ValueError(f"lower {low} exceeds upper {high}: the box is empty.")

    def project(x: Array, low: Array, high: Array) -> Array:
        return jnp.clip(x, jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype))

    def lowest(g: Array, low: Array, high: Array) -> Array:
        return jnp.where(g > 0, jnp.asarray(low, g.dtype), jnp.asarray(high, g.dtype))

    return ConvexSet(
        project=lambda tree: _map_leaves(project, tree, lower, upper),
        lowest=lambda tree: _map_leaves(lowest, tree, lower, upper),
    )


def non_negative() -> ConvexSet:
    r"""The orthant of entries at or above zero.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; y \ge 0

    Returns:
      The set, which is not bounded.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.non_negative().project(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    return ConvexSet(with_standard_promotion(projections.projection_non_negative), None)
