"""Methods that look ahead before they move: extragradient, optimistic, stochastic."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from iwae_jax import keys
from iwae_jax.minimax import _steps
from iwae_jax.minimax.method import Info, Method, Schedule, State
from iwae_jax.minimax.problem import Loss, field
from iwae_jax.types import Array, Key, PyTree


def extragradient(
    loss: Loss, *, step_size: Schedule, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""The extragradient method: the field of a trial step moves the point.

    .. math:: w_t = P(z_t - \eta F(z_t)), \quad z_{t+1} = P(z_t - \eta F(w_t))

    For a monotone field of Lipschitz constant R and eta < 1/R its last point converges, linearly on
    bilinear games over polytopes; the average of the w_t has a gap of order 1/T.

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: eta, or a schedule ``iteration -> []``.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.extragradient(lambda x, y: x * y, step_size=0.5)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.75, 0.5)

    References:
      Korpelevich (1976), The Extragradient Method for Finding Saddle Points and Other Problems.
      Linear convergence: Tseng (1995), On Linear Convergence of Iterative Methods for the
      Variational Inequality Problem.
    """
    return _steps.extragradient_by(_steps.projected(project), loss, step_size, project)


def adaptive_extragradient(
    loss: Loss,
    *,
    step_size: float = 1.0,
    safety: float = 0.9,
    project: _steps.Project = _steps.unconstrained,
) -> Method:
    r"""The extragradient method with a step that shrinks to what the field allows.

    .. math:: \eta_{t+1} = \min\left(\eta_t,
       \nu \, \frac{\|z_t - w_t\|}{\|F(z_t) - F(w_t)\|}\right)

    No Lipschitz constant is needed: the step ends between nu / R and the first one.

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: the first step, rather too large than too small.
      safety: nu, between 0 and 1.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step.

    Raises:
      ValueError: `safety` is not between 0 and 1.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.adaptive_extragradient(lambda x, y: 9.0 * x * y)
      >>> state, _ = method.step(method.init(1.0, 1.0))
      >>> float(state.memory).__round__(6)
      0.1

    References:
      Yang and Liu (2018), Modified Extragradient-like Algorithms with New Stepsizes for Variational
      Inequalities.
    """
    if not 0.0 < safety < 1.0:
        raise ValueError(f"safety must be between 0 and 1; got {safety}.")

    def step(state: State) -> tuple[State, Info]:
        size = state.memory
        here = field(*state.point, loss=loss)
        ahead = project(_steps.scaled(state.point, size, here))
        slope = field(*ahead, loss=loss)
        point = project(_steps.scaled(state.point, size, slope))
        distance = lambda a, b: optax.tree.norm(jax.tree.map(jnp.subtract, a, b))
        moved, changed = distance(state.point, ahead), distance(here, slope)
        allowed = safety * moved / jnp.where(changed > 0, changed, 1)
        smaller = jnp.where(changed > 0, jnp.minimum(size, allowed), size)
        return State(state.iteration + 1, point, smaller), Info(ahead, slope, size)

    first = lambda point: jnp.asarray(step_size, jax.tree.leaves(point)[0].dtype)
    return _steps.method_of(step, project, first)


def optimistic(
    loss: Loss, *, step_size: Schedule, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""The optimistic method, which looks ahead with the last field: one gradient per step.

    .. math:: w_t = P(z_t - \eta F(w_{t-1})), \quad z_{t+1} = P(z_t - \eta F(w_t))

    Popov's extragradient from the past. Its last point converges linearly on bilinear games over
    polytopes, for eta at most 1 / (8 R), in practice below 1 / (2 R).

    Args:
      loss: ``(theta, phi) -> []``.
      step_size: eta, or a schedule ``iteration -> []``.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; its first step takes one gradient more.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.optimistic(lambda x, y: x * y, step_size=0.5)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.75, 0.5)

    References:
      Popov (1980), A Modification of the Arrow-Hurwicz Method for Search of Saddle Points.
      The last point: Wei, Lee, Zhang and Luo (2021), Linear Last-iterate Convergence in Constrained
      Saddle-point Optimization, arXiv:2006.09517.
    """
    return _steps.optimistic_by(_steps.projected(project), loss, step_size, project)


def stochastic_extragradient(
    key: Key,
    loss: Callable[[Key, PyTree, PyTree], Array],
    *,
    exploration: Schedule,
    step_size: Schedule,
    project: _steps.Project = _steps.unconstrained,
) -> Method:
    r"""The extragradient method on noisy gradients: it looks far ahead and moves little.

    .. math:: w_t = P(z_t - \gamma_t \hat F_t(z_t)), \quad z_{t+1} = P(z_t - \eta_t \hat F'_t(w_t))

    With equal steps it need not converge on bilinear games; with gamma_t of order t^(-1/3) and
    eta_t of order t^(-2/3) it does.

    Args:
      key: root of the noise, ``[]``; a step's own is derived from its number.
      loss: ``(key, theta, phi) -> []``, unbiased for L.
      exploration: gamma, or a schedule ``iteration -> []``.
      step_size: eta, or a schedule ``iteration -> []``, smaller than gamma.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step, of independent noise.

    Example:
      >>> import jax
      >>> from iwae_jax import minimax
      >>> noisy = lambda key, x, y: x * y + 0.1 * jax.random.normal(key) * (x + y)
      >>> method = minimax.stochastic_extragradient(
      ...     jax.random.key(0), noisy, exploration=0.5, step_size=0.1)
      >>> int(method.step(method.init(1.0, 0.0))[0].iteration)
      1

    References:
      Hsieh, Iutzeler, Malick and Mertikopoulos (2020), Explore Aggressively, Update Conservatively:
      Stochastic Extragradient Methods with Variable Stepsize Scaling, arXiv:2003.10162.
    """

    def step(state: State) -> tuple[State, Info]:
        far = _steps.size_at(exploration, state.iteration, state.point)
        near = _steps.size_at(step_size, state.iteration, state.point)
        step_key = keys.step(key, state.iteration)
        first, second = keys.example(step_key, 0), keys.example(step_key, 1)
        noisy = lambda key: lambda theta, phi: loss(key, theta, phi)
        ahead = project(_steps.scaled(state.point, far, field(*state.point, loss=noisy(first))))
        slope = field(*ahead, loss=noisy(second))
        point = project(_steps.scaled(state.point, near, slope))
        return State(state.iteration + 1, point, ()), Info(ahead, slope, near)

    return _steps.method_of(step, project)
