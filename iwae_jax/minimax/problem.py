"""The problem min over theta, max over phi of L(theta, phi): its points, field, gap and value."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from iwae_jax.minimax.sets import ConvexSet
from iwae_jax.types import Array, PyTree

Loss = Callable[[PyTree, PyTree], Array]


class Saddle(NamedTuple):
    """What the two players do.

    Attributes:
      theta: any pytree, of the player who minimises L.
      phi: any pytree, of the player who maximises L.
    """

    theta: PyTree
    phi: PyTree


def field(theta: PyTree, phi: PyTree, *, loss: Loss) -> Saddle:
    r"""The field that both players descend.

    .. math:: F(\theta, \phi) = (\nabla_\theta L, -\nabla_\phi L)

    It is monotone where L is convex in theta and concave in phi; its zeros are the saddle points of
    a problem without constraints.

    Args:
      theta: any pytree.
      phi: any pytree.
      loss: ``(theta, phi) -> []``, differentiable.

    Returns:
      The field, with the structure of the point.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> F = minimax.field(2.0, 3.0, loss=lambda theta, phi: theta * phi)
      >>> float(F.theta), float(F.phi)
      (3.0, -2.0)

    References:
      Facchinei and Pang (2003), Finite-Dimensional Variational Inequalities and Complementarity
      Problems, section 1.4.
    """
    of_theta, of_phi = jax.grad(loss, argnums=(0, 1))(theta, phi)
    return Saddle(of_theta, jax.tree.map(jnp.negative, of_phi))


def duality_gap(theta: PyTree, phi: PyTree, *, loss: Loss, feasible: ConvexSet) -> Array:
    r"""How much the two players could gain together, by the linearised game.

    .. math:: \max_{z \in Z} \langle F(\theta, \phi), (\theta, \phi) - z \rangle
       \;\ge\; \max_{\phi'} L(\theta, \phi') - \min_{\theta'} L(\theta', \phi)

    The two sides are equal where L is bilinear; the bound holds where L is convex in theta and
    concave in phi, for a feasible point. It is zero at saddle points and nowhere else.

    Args:
      theta: a point of the set.
      phi: a point of the set.
      loss: ``(theta, phi) -> []``.
      feasible: a bounded set of `Saddle` points.

    Returns:
      The gap, ``[]``, in the units of L; exact up to the rounding of its dtype.

    Raises:
      ValueError: the set is not bounded.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> M = jnp.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
      >>> p, q = jnp.array([0.6, 0.3, 0.1]), jnp.ones(3) / 3
      >>> gap = minimax.duality_gap(
      ...     p, q, loss=lambda p, q: p @ M @ q, feasible=minimax.simplex())
      >>> float(gap).__round__(6)
      0.5

    References:
      Nemirovski (2004), Prox-Method with Rate of Convergence O(1/t) for Variational Inequalities
      with Lipschitz Continuous Monotone Operators and Smooth Convex-Concave Saddle Point Problems.
    """
    if feasible.lowest is None:
        raise ValueError(
            "a duality gap needs a bounded set; without one, use the norm of minimax.field."
        )
    slope = field(theta, phi, loss=loss)
    lowest = feasible.lowest(slope)
    moves = jax.tree.map(jnp.subtract, Saddle(theta, phi), lowest)
    return optax.tree.vdot(slope, moves)


def saddle_value(
    params: PyTree, *, loss: Callable[[PyTree, PyTree, PyTree], Array], solve: Callable
) -> Array:
    r"""The value at the saddle point, with its gradient in what the game depends on.

    .. math:: V(w) = \min_\theta \max_\phi L(w, \theta, \phi), \quad
       \nabla V(w) = \nabla_w L(w, \theta^\star, \phi^\star)

    The envelope theorem: nothing is differentiated through the solver. For a matrix game the
    gradient in the matrix is ``outer(p, q)``. The sets must not depend on w, and where a saddle
    point is not unique V may have no gradient; this one is then a directional one.

    Args:
      params: w, any pytree.
      loss: ``(w, theta, phi) -> []``.
      solve: ``w -> (theta, phi)``, a saddle point.

    Returns:
      The value, ``[]``; its error is at most the duality gap of the point.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> value = lambda w: minimax.saddle_value(
      ...     w, loss=lambda w, x, y: (x - w) ** 2 - (y - 1.0) ** 2 + w * y,
      ...     solve=lambda w: (w, 1.0 + w / 2.0))
      >>> float(jax.grad(value)(2.0))
      2.0

    References:
      Milgrom and Segal (2002), Envelope Theorems for Arbitrary Choice Sets, theorem 5.
    """
    theta, phi = jax.lax.stop_gradient(solve(jax.lax.stop_gradient(params)))
    return loss(params, theta, phi)
