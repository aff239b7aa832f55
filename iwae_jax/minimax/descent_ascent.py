"""Descent-ascent, which need not converge: both at once, one after the other, or by optax."""

import jax
import optax

from iwae_jax.minimax import _steps
from iwae_jax.minimax.method import Info, Method, Schedule, State
from iwae_jax.minimax.problem import Loss, Saddle, field
from iwae_jax.types import PyTree


def simultaneous_descent_ascent(
    loss: Loss, *, step_size: Schedule, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""Gradient descent-ascent, both players at once.

    .. math:: z_{t+1} = P(z_t - \eta F(z_t))

    On a bilinear game its last point spirals outwards; in a bounded set its average converges,
    to a gap of order 1/sqrt(T) with steps of that order.

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: eta, or a schedule ``iteration -> []``.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.simultaneous_descent_ascent(lambda x, y: x * y, step_size=0.5)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (1.0, 0.5)

    References:
      Arrow, Hurwicz and Uzawa (1958), Studies in Linear and Non-Linear Programming. The spiral:
      Bailey and Piliouras (2018), Multiplicative Weights Update in Zero-Sum Games.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        slope = field(*state.point, loss=loss)
        point = project(_steps.scaled(state.point, size, slope))
        return State(state.iteration + 1, point, ()), Info(state.point, slope, size)

    return _steps.method_of(step, project)


def alternating_descent_ascent(
    loss: Loss, *, step_size: Schedule, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""Gradient descent-ascent, the second player seeing the first one's move.

    .. math:: \theta_{t+1} = P(\theta_t - \eta \nabla_\theta L(\theta_t, \phi_t)), \quad
       \phi_{t+1} = P(\phi_t + \eta \nabla_\phi L(\theta_{t+1}, \phi_t))

    On a bilinear game it stays near its start and cycles.

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: eta, or a schedule ``iteration -> []``.
      project: the projection on a product of a set of theta and one of phi.

    Returns:
      The method.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.alternating_descent_ascent(lambda x, y: x * y, step_size=0.5)
      >>> state, info = method.step(method.init(1.0, 1.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.5, 1.25)

    References:
      Gidel et al. (2019), Negative Momentum for Improved Game Dynamics, arXiv:1807.04740.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        first = field(*state.point, loss=loss)
        moved = project(_steps.scaled(state.point, size, first)).theta
        met = Saddle(moved, state.point.phi)
        slope = Saddle(first.theta, field(*met, loss=loss).phi)
        phi = project(_steps.scaled(met, size, slope)).phi
        return State(state.iteration + 1, Saddle(moved, phi), ()), Info(state.point, slope, size)

    return _steps.method_of(step, project)


def with_optimizer(
    loss: Loss,
    *,
    optimizer: optax.GradientTransformation,
    project: _steps.Project = _steps.unconstrained,
) -> Method:
    r"""Both players at once by one optimiser of optax, projected.

    .. math:: z_{t+1} = P(z_t + \mathrm{update}(F(z_t)))

    With `optax.adam` it cycles on bilinear games. `consensus`, `symplectic_adjustment` and
    `competitive` are transformations to chain before a step.

    Args:
      loss: ``(theta, phi) -> []``.
      optimizer: an optimiser of the pair `Saddle`, fed the field as gradient.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; the step size that it shows is nan, as optax does not tell it.

    Example:
      >>> import optax
      >>> from iwae_jax import minimax
      >>> method = minimax.with_optimizer(lambda x, y: x * y, optimizer=optax.sgd(0.5))
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (1.0, 0.5)

    References:
      Daskalakis et al. (2018), Training GANs with Optimism, arXiv:1711.00141.
    """

    def step(state: State) -> tuple[State, Info]:
        slope = field(*state.point, loss=loss)
        # optax raises floats to integer powers, which a user's strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = optimizer.update(slope, state.memory, state.point)
        point: PyTree = project(optax.apply_updates(state.point, updates))
        size = _steps.size_at(float("nan"), state.iteration, state.point)
        return State(state.iteration + 1, point, memory), Info(state.point, slope, size)

    return _steps.method_of(step, project, optimizer.init)
