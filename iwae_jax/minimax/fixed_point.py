"""Saddle points as fixed points of nonexpansive maps: Halpern's method and its dual."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iwae_jax.minimax import _steps
from iwae_jax.minimax.method import Info, Method, Schedule, State
from iwae_jax.minimax.problem import Loss, Saddle, field


def primal_dual(
    point: Saddle, *, loss: Loss, step_size: float, project: _steps.Project = _steps.unconstrained
) -> Saddle:
    r"""One step of the primal-dual hybrid gradient, whose fixed points are the saddle points.

    .. math:: \theta^+ = P(\theta - \eta \nabla_\theta L(\theta, \phi)), \quad
       \phi^+ = P(\phi + \eta \nabla_\phi L(2 \theta^+ - \theta, \phi))

    For a bilinear L of norm R and eta < 1/R it is nonexpansive, in the norm
    ``|theta|^2 + |phi|^2 - 2 eta <theta, A phi>`` up to the sign of the coupling.

    Args:
      point: where it steps from.
      loss: ``(theta, phi) -> []``, bilinear.
      step_size: eta.
      project: the projection on a product of a set of theta and one of phi.

    Returns:
      The next point.

    Example:
      >>> from iwae_jax import minimax
      >>> z = minimax.Saddle(1.0, 1.0)
      >>> z = minimax.primal_dual(z, loss=lambda x, y: x * y, step_size=0.5)
      >>> float(z.theta), float(z.phi)
      (0.5, 1.0)

    References:
      Chambolle and Pock (2011), A First-Order Primal-Dual Algorithm for Convex Problems with
      Applications to Imaging.
    """
    point = jax.tree.map(jnp.asarray, point)
    size = _steps.size_at(step_size, jnp.zeros((), jnp.int32), point)
    theta = project(_steps.scaled(point, size, field(*point, loss=loss))).theta
    reflected = jax.tree.map(lambda new, old: 2.0 * new - old, theta, point.theta)
    slope = field(reflected, point.phi, loss=loss)
    phi = project(_steps.scaled(Saddle(theta, point.phi), size, slope)).phi
    return Saddle(theta, phi)


def krasnoselskii_mann(
    operator: Callable[[Saddle], Saddle],
    *,
    relaxation: Schedule = 1.0,
    project: _steps.Project = _steps.unconstrained,
) -> Method:
    r"""Repeats a map, such as `primal_dual`.

    .. math:: z_{k+1} = z_k + \lambda (T z_k - z_k)

    Args:
      operator: T, ``Saddle -> Saddle``.
      relaxation: lambda, or a schedule ``iteration -> []``; at most 1 for a nonexpansive map, and
        2 for a firmly nonexpansive one.
      project: the projection that a start is held against.

    Returns:
      The method; the field that it shows is the residual z - T z.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.krasnoselskii_mann(lambda z: minimax.Saddle(z.theta / 2, z.phi / 2))
      >>> state, info = method.step(method.init(1.0, 4.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.5, 2.0)

    References:
      Ryu and Yin (2022), Large-Scale Convex Optimization, section 2.4.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(relaxation, state.iteration, state.point)
        residual = jax.tree.map(jnp.subtract, state.point, operator(state.point))
        point = _steps.scaled(state.point, size, residual)
        return State(state.iteration + 1, point, ()), Info(state.point, residual, size)

    return _steps.method_of(step, project)


def halpern(
    operator: Callable[[Saddle], Saddle], *, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""OHM, the optimal Halpern method: a map pulled back to the start.

    .. math:: z_{k+1} = \tfrac{1}{k+2} z_0 + \tfrac{k+1}{k+2} T z_k

    For a nonexpansive T with a fixed point:

    .. math:: \|z_k - T z_k\|^2 \le \frac{4 \|z_0 - z^\star\|^2}{(k+1)^2}

    Args:
      operator: T, ``Saddle -> Saddle``, such as `primal_dual`.
      project: the projection that a start is held against.

    Returns:
      The method; the field that it shows is the residual z - T z.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.halpern(lambda z: minimax.Saddle(-z.theta, -z.phi))
      >>> state, info = method.step(method.init(1.0, 4.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.0, 0.0)

    References:
      Halpern (1967), Fixed Points of Nonexpanding Maps. The bound: Lieder (2021), On the
      Convergence Rate of the Halpern-Iteration.
    """

    def step(state: State) -> tuple[State, Info]:
        mapped = operator(state.point)
        residual = jax.tree.map(jnp.subtract, state.point, mapped)
        size = 1.0 / (state.iteration + 2).astype(jax.tree.leaves(mapped)[0].dtype)
        pull = lambda anchor, x: x + size.astype(x.dtype) * (anchor - x)
        point = jax.tree.map(pull, state.memory, mapped)
        info = Info(state.point, residual, 1.0 - size)
        return State(state.iteration + 1, point, state.memory), info

    return _steps.method_of(step, project, lambda point: point)


def dual_halpern(
    operator: Callable[[Saddle], Saddle],
    *,
    num_steps: int,
    project: _steps.Project = _steps.unconstrained,
) -> Method:
    r"""Dual-OHM, the H-dual of Halpern's method: no start is kept, but the last value of the map.

    .. math:: z_{k+1} = z_k + \tfrac{N-k-1}{N-k} (T z_k - T z_{k-1}), \quad T z_{-1} = z_0

    For a nonexpansive T with a fixed point, after the N - 1 steps it is made for, and only then:

    .. math:: \|z_{N-1} - T z_{N-1}\|^2 \le \frac{4 \|z_0 - z^\star\|^2}{N^2}

    Args:
      operator: T, ``Saddle -> Saddle``, such as `primal_dual`.
      num_steps: N - 1; a step beyond it stays where it is.
      project: the projection that a start is held against.

    Returns:
      The method; the field that it shows is the residual z - T z.

    Raises:
      ValueError: `num_steps` is not positive.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.dual_halpern(
      ...     lambda z: minimax.Saddle(-z.theta, -z.phi), num_steps=1)
      >>> state, info = method.step(method.init(1.0, 4.0))
      >>> float(state.point.theta), float(state.point.phi)
      (0.0, 0.0)

    References:
      Yoon, Kim, Suh and Ryu (2024), Optimal Acceleration for Minimax and Fixed-Point Problems is
      Not Unique, arXiv:2404.13228.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1; got {num_steps}.")

    def step(state: State) -> tuple[State, Info]:
        mapped = operator(state.point)
        residual = jax.tree.map(jnp.subtract, state.point, mapped)
        left = jnp.maximum(num_steps + 1 - state.iteration, 1)
        left = left.astype(jax.tree.leaves(mapped)[0].dtype)
        size = (left - 1.0) / left
        change = jax.tree.map(jnp.subtract, state.memory, mapped)
        point = _steps.scaled(state.point, size, change)
        return State(state.iteration + 1, point, mapped), Info(state.point, residual, size)

    return _steps.method_of(step, project, lambda point: point)
