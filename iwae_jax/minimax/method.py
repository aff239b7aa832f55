"""What a method is: its state, what it shows, and where it may start."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from iwae_jax.minimax.problem import Saddle
from iwae_jax.types import Array, PyTree

CONVERGED = 0
NOT_CONVERGED = 1
NOT_FINITE = 2
Schedule = float | Array | Callable[[Array], Array]


class State(NamedTuple):
    """What the next step of a method needs.

    Attributes:
      iteration: ``[]``, int32, the number of steps taken.
      point: where the method is.
      memory: the method's own: an anchor, the last field, an optimiser's state.
    """

    iteration: Array
    point: Saddle
    memory: PyTree


class Info(NamedTuple):
    """What a step shows of itself.

    Attributes:
      evaluated: the feasible point whose field moved the method: what its average is made of.
      field: the field there.
      step_size: ``[]``, the step taken along it.
    """

    evaluated: Saddle
    field: Saddle
    step_size: Array


class Method(NamedTuple):
    """A way to a saddle point.

    Attributes:
      init: ``(theta, phi) -> state``; a concrete start outside of the set is refused, a traced one
        is projected.
      step: ``state -> (state, info)``.
      answer: ``state -> Saddle``, what the method would answer now.
    """

    init: Callable[[PyTree, PyTree], Any]
    step: Callable[[Any], tuple[Any, Info]]
    answer: Callable[[Any], Saddle]


def start(theta: PyTree, phi: PyTree, project: Callable[[PyTree], PyTree]) -> Saddle:
    """The first point of a method: refused or projected where it is not feasible.

    Args:
      theta: any pytree of floats.
      phi: any pytree of floats.
      project: the projection on the set.

    Returns:
      The point; exactly as given where it is concrete and feasible.

    Raises:
      TypeError: a leaf does not hold floats.
      ValueError: the point is not finite or not feasible, or the set has another structure.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> minimax.start(jnp.ones(2), jnp.ones(2), minimax.simplex().project)
      Traceback (most recent call last):
      ...
      ValueError: the start is 0.5 away from the set: project it first.

    References:
      Korpelevich (1976), The Extragradient Method for Finding Saddle Points and Other Problems.
    """
    point = jax.tree.map(jnp.asarray, Saddle(theta, phi))
    for leaf in jax.tree.leaves(point):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"a start is of floats; got {leaf.dtype}.")
    projected = project(point)
    structures: list[Any] = [jax.tree.structure(tree) for tree in (point, projected)]
    if structures[0] != structures[1] or any(
        a.shape != b.shape
        for a, b in zip(jax.tree.leaves(projected), jax.tree.leaves(point), strict=True)
    ):
        raise ValueError("the projection changes the structure or a shape of the point.")
    moves = jax.tree.map(jnp.subtract, point, projected)
    largest = lambda tree: max(float(jnp.max(jnp.abs(x), initial=0)) for x in jax.tree.leaves(tree))
    try:
        distance, size = largest(moves), largest(point)
    except jax.errors.ConcretizationTypeError:
        return projected
    finest = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(point))
    if not distance <= 100.0 * finest * max(size, 1.0):
        raise ValueError(f"the start is {distance:.3g} away from the set: project it first.")
    return point


def field_norm(info: Info) -> Array:
    """The Euclidean norm of the field where a step evaluated it.

    Args:
      info: what a step showed.

    Returns:
      The norm, ``[]``; zero at the saddle points of a problem without constraints.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.extragradient(lambda x, y: x * y, step_size=0.5)
      >>> _, info = method.step(method.init(3.0, 4.0))
      >>> float(minimax.field_norm(info)).__round__(3)
      5.59

    References:
      Yoon and Ryu (2021), Accelerated Algorithms for Smooth Convex-Concave Minimax Problems with
      O(1/k^2) Rate on Squared Gradient Norm, arXiv:2102.07922.
    """
    return optax.tree.norm(info.field)
