"""Balls and halfspaces; each takes its tree as one vector."""

import jax
import jax.numpy as jnp
import optax
from jax import flatten_util
from optax import projections

from iwae_jax.minimax._checks import require_positive, with_standard_promotion
from iwae_jax.minimax.sets import ConvexSet, box, simplex
from iwae_jax.types import Array, PyTree


def l1_ball(radius: float | Array) -> ConvexSet:
    r"""The ball of the l1 norm of the whole tree.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; \textstyle\sum_i |y_i| \le r

    Args:
      radius: r.

    Returns:
      The set.

    Raises:
      ValueError: the radius is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.l1_ball(1.0).project(jnp.array([2.0, -1.0]))
      Array([ 1., -0.], dtype=float32)

    References:
      Duchi et al. (2008), Efficient Projections onto the l1-Ball for Learning in High Dimensions.
    """
    require_positive(radius, "radius")

    def lowest(tree: PyTree) -> PyTree:
        flat, unravel = flatten_util.ravel_pytree(tree)
        steepest = jnp.argmax(jnp.abs(flat))
        one_hot = jax.nn.one_hot(steepest, flat.size, dtype=flat.dtype)
        return unravel(-radius * jnp.sign(flat[steepest]) * one_hot)

    def project(tree: PyTree) -> PyTree:
        # Optax's own refuses float32 in double precision: its two branches differ in dtype.
        flat, unravel = flatten_util.ravel_pytree(tree)
        size = jnp.abs(flat)
        outside = jnp.sign(flat) * simplex(total=radius).project(size)
        return unravel(jnp.where(jnp.sum(size) <= radius, flat, outside))

    return ConvexSet(project, lowest)


def l2_ball(radius: float | Array) -> ConvexSet:
    r"""The ball of the Euclidean norm of the whole tree.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; \|y\|_2 \le r

    Args:
      radius: r.

    Returns:
      The set.

    Raises:
      ValueError: the radius is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.l2_ball(1.0).project(jnp.array([3.0, 4.0])).round(3)
      Array([0.6, 0.8], dtype=float32)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 6.5.
    """
    require_positive(radius, "radius")

    def lowest(tree: PyTree) -> PyTree:
        norm = optax.tree.norm(tree)
        scale = -radius / jnp.where(norm > 0, norm, 1)
        return jax.tree.map(lambda x: scale.astype(x.dtype) * x, tree)

    project = with_standard_promotion(lambda tree: projections.projection_l2_ball(tree, radius))
    return ConvexSet(project, lowest)


def linf_ball(radius: float | Array) -> ConvexSet:
    r"""The ball of the largest absolute entry.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; \max_i |y_i| \le r

    Args:
      radius: r.

    Returns:
      The set.

    Raises:
      ValueError: the radius is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.linf_ball(1.0).project(jnp.array([3.0, -0.5]))
      Array([ 1. , -0.5], dtype=float32)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 6.5.
    """
    require_positive(radius, "radius")
    return box(-radius, radius)


def halfspace(normal: PyTree, offset: float | Array) -> ConvexSet:
    r"""A halfspace.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 \;\text{s.t.}\; \langle a, y \rangle \le b

    Args:
      normal: a, a pytree like the points.
      offset: b.

    Returns:
      The set, which is not bounded.

    Raises:
      ValueError: the normal is zero.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.halfspace(jnp.array([1.0, 1.0]), 1.0).project(jnp.array([1.0, 2.0]))
      Array([0., 1.], dtype=float32)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    norm = optax.tree.norm(normal)
    if not isinstance(norm, jax.core.Tracer) and not norm > 0:
        raise ValueError("the normal of a halfspace must not be zero.")
    project = lambda tree: projections.projection_halfspace(tree, normal, offset)
    return ConvexSet(with_standard_promotion(project), None)
