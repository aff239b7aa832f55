"""Products of sets, and the set of everything."""

from typing import Any

import jax

from iwae_jax.minimax.sets import ConvexSet
from iwae_jax.types import PyTree


def everything() -> ConvexSet:
    r"""The whole space: no constraint.

    .. math:: \arg\min_y \tfrac12 \|y - x\|^2 = x

    Returns:
      The set, which is not bounded.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.everything().project(jnp.array(-7.0))
      Array(-7., dtype=float32, weak_type=True)

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 1.1.
    """
    return ConvexSet(project=lambda tree: tree, lowest=None)


def product(sets: PyTree) -> ConvexSet:
    r"""The product of the sets in a pytree, which is a prefix of the points.

    .. math:: \arg\min_y \tfrac12 \sum_k \|y_k - x_k\|^2 \;\text{s.t.}\; y_k \in C_k

    Args:
      sets: a pytree of `ConvexSet`; for the two players, ``Saddle(theta's, phi's)``.

    Returns:
      The product; bounded if all of its sets are.

    Raises:
      TypeError: a leaf is not a `ConvexSet`.
      ValueError: when used, points that do not have the structure of the sets.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> sets = minimax.product({"p": minimax.simplex(), "x": minimax.box(-1.0, 1.0)})
      >>> sets.project({"p": jnp.array([1.0, 1.0]), "x": jnp.array(3.0)})
      {'p': Array([0.5, 0.5], dtype=float32), 'x': Array(1., dtype=float32)}

    References:
      Parikh and Boyd (2014), Proximal Algorithms, section 2.1.
    """
    is_set = lambda node: isinstance(node, ConvexSet)
    leaves, treedef = jax.tree.flatten(sets, is_leaf=is_set)
    structure: Any = treedef
    if not leaves or not all(map(is_set, leaves)):
        raise TypeError(f"a product is of a pytree of ConvexSet; got {sets!r}.")

    def over(field: str, tree: PyTree) -> PyTree:
        try:
            parts = structure.flatten_up_to(tree)
        except ValueError as error:
            raise ValueError(
                f"the sets have the structure {structure}, the point has "
                f"{jax.tree.structure(tree)}: give one set for each part of the point."
            ) from error
        results = [getattr(leaf, field)(part) for leaf, part in zip(leaves, parts, strict=True)]
        return jax.tree.unflatten(structure, results)

    bounded = all(leaf.lowest is not None for leaf in leaves)
    return ConvexSet(
        project=lambda tree: over("project", tree),
        lowest=(lambda tree: over("lowest", tree)) if bounded else None,
    )
