"""Corrections of the field for games that are not convex-concave, as optax transformations.

Each takes the field of the pair `Saddle` as its gradient, is chained before a step of optax, and
reaches the loss's second derivatives by products with vectors alone.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from iwae_jax.minimax import _steps
from iwae_jax.minimax.problem import Loss, Saddle, field


def _transformation(
    change: Callable[[Saddle, Saddle], Saddle],
) -> optax.GradientTransformation:
    """A transformation without a state, of the field and the point."""

    def update(updates, state, params=None):
        if not isinstance(params, Saddle) or not isinstance(updates, Saddle):
            raise ValueError("pass the field and the point, both Saddle: update(F, state, point).")
        return change(updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _add(tree: Saddle, scale: float, other: Saddle) -> Saddle:
    return jax.tree.map(lambda x, y: x + scale * y, tree, other)


def consensus(loss: Loss, *, strength: float) -> optax.GradientTransformation:
    r"""Consensus optimisation: both players also descend the squared norm of the field.

    .. math:: F + \gamma J^\top F, \quad J^\top F = \nabla \tfrac12 \|F\|^2

    Args:
      loss: ``(theta, phi) -> []``.
      strength: gamma.

    Returns:
      The transformation; one product with J^T more than the gradient.

    Raises:
      ValueError: when used, the field or the point is not a `Saddle`.

    Example:
      >>> import optax
      >>> from iwae_jax import minimax
      >>> loss = lambda x, y: x * y
      >>> z = minimax.Saddle(1.0, 0.0)
      >>> change = minimax.consensus(loss, strength=0.5)
      >>> F, _ = change.update(minimax.field(*z, loss=loss), change.init(z), z)
      >>> float(F.theta), float(F.phi)
      (0.5, -1.0)

    References:
      Mescheder, Nowozin and Geiger (2017), The Numerics of GANs, arXiv:1705.10461.
    """

    def change(slope: Saddle, point: Saddle) -> Saddle:
        _, pull = jax.vjp(lambda z: field(*z, loss=loss), point)
        return _add(slope, strength, pull(slope)[0])

    return _transformation(change)


def symplectic_adjustment(loss: Loss, *, strength: float = 1.0) -> optax.GradientTransformation:
    r"""Symplectic gradient adjustment: turns the field against the rotation of the game.

    .. math:: F + \lambda A^\top F, \quad A = \tfrac12 (J - J^\top)

    The sign of the adjustment is that of
    :math:`\langle F, J^\top F \rangle \langle A^\top F, J^\top F \rangle`, so that stable fixed
    points attract and unstable ones repel.

    Args:
      loss: ``(theta, phi) -> []``.
      strength: the absolute value of lambda.

    Returns:
      The transformation; a product with J and one with J^T more than the gradient.

    Raises:
      ValueError: when used, the field or the point is not a `Saddle`.

    Example:
      >>> from iwae_jax import minimax
      >>> loss = lambda x, y: x * y
      >>> z = minimax.Saddle(1.0, 0.0)
      >>> change = minimax.symplectic_adjustment(loss)
      >>> F, _ = change.update(minimax.field(*z, loss=loss), change.init(z), z)
      >>> float(F.theta), float(F.phi)
      (1.0, -1.0)

    References:
      Balduzzi et al. (2018), The Mechanics of n-Player Differentiable Games, arXiv:1802.05642.
    """

    def change(slope: Saddle, point: Saddle) -> Saddle:
        of_point = lambda z: field(*z, loss=loss)
        _, along = jax.jvp(of_point, (point,), (slope,))
        _, pull = jax.vjp(of_point, point)
        uphill = pull(slope)[0]
        turned = jax.tree.map(lambda a, b: 0.5 * (a - b), uphill, along)
        # A tenth keeps the sign positive where the product vanishes, as on a bilinear game.
        product = optax.tree.vdot(slope, uphill) * optax.tree.vdot(turned, uphill)
        sign = jnp.where(product >= -0.1, 1.0, -1.0)
        return jax.tree.map(lambda x, y: x + (strength * sign).astype(x.dtype) * y, slope, turned)

    return _transformation(change)


def competitive(
    loss: Loss, *, step_size: float, num_iterations: int = 20
) -> optax.GradientTransformation:
    r"""Competitive gradient descent: the equilibrium of the game's local bilinear model.

    .. math:: (I + \eta B)^{-1} F, \quad
       B = \begin{pmatrix} 0 & D_{\theta\phi} L \\ -D_{\phi\theta} L & 0 \end{pmatrix}

    The system is solved by conjugate gradients on
    :math:`(I + \eta^2 B^\top B)\, x = (I - \eta B) F`.

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: eta, also the step that follows: ``optax.chain(competitive(...), optax.sgd(eta))``.
      num_iterations: most steps of conjugate gradients, each of two products with B.

    Returns:
      The transformation.

    Raises:
      ValueError: when used, the field or the point is not a `Saddle`.

    Example:
      >>> from iwae_jax import minimax
      >>> loss = lambda x, y: x * y
      >>> z = minimax.Saddle(1.0, 0.0)
      >>> change = minimax.competitive(loss, step_size=1.0)
      >>> F, _ = change.update(minimax.field(*z, loss=loss), change.init(z), z)
      >>> float(F.theta), float(F.phi)
      (0.5, -0.5)

    References:
      Schäfer and Anandkumar (2019), Competitive Gradient Descent, arXiv:1905.12103.
    """

    def change(slope: Saddle, point: Saddle) -> Saddle:
        of_point = lambda z: field(*z, loss=loss)

        def mixed(v: Saddle) -> Saddle:
            _, by_theta = jax.jvp(of_point, (point,), (Saddle(v.theta, _steps.zeros_like(v.phi)),))
            _, by_phi = jax.jvp(of_point, (point,), (Saddle(_steps.zeros_like(v.theta), v.phi),))
            return Saddle(by_phi.theta, by_theta.phi)

        # B is skew-symmetric, so B^T B = -B^2.
        matrix = lambda v: _add(v, -(step_size**2), mixed(mixed(v)))
        right = _add(slope, -step_size, mixed(slope))
        solution, _ = jax.scipy.sparse.linalg.cg(matrix, right, tol=1e-6, maxiter=num_iterations)
        return solution

    return _transformation(change)
