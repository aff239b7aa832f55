"""Anchored methods: each step is pulled back to the start, less and less.

Without constraints, and for a monotone field of Lipschitz constant R, the last point of each obeys
a bound of order R^2 |z_0 - z*|^2 / k^2 on the squared norm of its field, which is optimal. With a
projection they are run as usual for constrained problems; the constants are then not theirs.
"""

import jax
import jax.numpy as jnp

from iwae_jax.minimax import _steps
from iwae_jax.minimax.method import Info, Method, State
from iwae_jax.minimax.problem import Loss, Saddle, field
from iwae_jax.types import Array


def _towards(anchor: Saddle, point: Saddle, share: Array) -> Saddle:
    return jax.tree.map(lambda a, x: x + share.astype(x.dtype) * (a - x), anchor, point)


def _share(iteration: Array, offset: int, like: Array) -> Array:
    return 1.0 / (iteration + offset).astype(like.dtype)


def anchored_extragradient(
    loss: Loss, *, step_size: float, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""EAG-C, the extra anchored gradient method with a constant step.

    .. math:: w_k = z_k + \tfrac{1}{k+2} (z_0 - z_k) - \eta F(z_k), \quad
       z_{k+1} = z_k + \tfrac{1}{k+2} (z_0 - z_k) - \eta F(w_k)

    For eta at most 1/(8 R):

    .. math:: \|F(z_k)\|^2 \le
       \frac{4 (1 + \eta R + \eta^2 R^2)}{\eta^2 (1 + \eta R)} \frac{\|z_0 - z^\star\|^2}{(k+1)^2},
       \quad \text{which is } \frac{260 R^2 \|z_0 - z^\star\|^2}{(k+1)^2}
       \text{ for } \eta = \tfrac{1}{8R}

    Args:
      loss: ``(theta, phi) -> []``, convex in theta and concave in phi.
      step_size: eta.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.anchored_extragradient(lambda x, y: x * y, step_size=0.125)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.phi)
      0.125

    References:
      Yoon and Ryu (2021), Accelerated Algorithms for Smooth Convex-Concave Minimax Problems with
      O(1/k^2) Rate on Squared Gradient Norm, arXiv:2102.07922.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        pulled = _towards(state.memory, state.point, _share(state.iteration, 2, size))
        ahead = project(_steps.scaled(pulled, size, field(*state.point, loss=loss)))
        slope = field(*ahead, loss=loss)
        point = project(_steps.scaled(pulled, size, slope))
        return State(state.iteration + 1, point, state.memory), Info(ahead, slope, size)

    return _steps.method_of(step, project, lambda point: point)


def varying_anchored_extragradient(
    loss: Loss, *, lipschitz: float, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""EAG-V, the extra anchored gradient method with steps that shrink to a positive limit.

    .. math:: \eta_{k+1} = \frac{\eta_k}{1 - \eta_k^2 R^2}
       \left(1 - \frac{(k+2)^2}{(k+1)(k+3)} \eta_k^2 R^2\right), \quad \eta_0 = 0.618 / R

    .. math:: \|F(z_k)\|^2 \le \frac{27 R^2 \|z_0 - z^\star\|^2}{(k+1)(k+2)}

    Args:
      loss: ``(theta, phi) -> []``, convex in theta and concave in phi.
      lipschitz: R.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.varying_anchored_extragradient(lambda x, y: x * y, lipschitz=1.0)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.phi).__round__(3)
      0.618

    References:
      Yoon and Ryu (2021), Accelerated Algorithms for Smooth Convex-Concave Minimax Problems with
      O(1/k^2) Rate on Squared Gradient Norm, arXiv:2102.07922.
    """

    def step(state: State) -> tuple[State, Info]:
        anchor, size = state.memory
        pulled = _towards(anchor, state.point, _share(state.iteration, 2, size))
        ahead = project(_steps.scaled(pulled, size, field(*state.point, loss=loss)))
        slope = field(*ahead, loss=loss)
        point = project(_steps.scaled(pulled, size, slope))
        k, square = state.iteration.astype(size.dtype), (size * lipschitz) ** 2
        ratio = (k + 2) ** 2 / ((k + 1) * (k + 3))
        smaller = size * (1.0 - ratio * square) / (1.0 - square)
        return State(state.iteration + 1, point, (anchor, smaller)), Info(ahead, slope, size)

    first = lambda point: jnp.asarray(0.618 / lipschitz, jax.tree.leaves(point)[0].dtype)
    return _steps.method_of(step, project, lambda point: (point, first(point)))


def fast_extragradient(
    loss: Loss, *, step_size: float, project: _steps.Project = _steps.unconstrained
) -> Method:
    r"""FEG, the fast extragradient method of monotone problems.

    .. math:: w_k = z_k + \tfrac{1}{k+1} (z_0 - z_k) - \tfrac{k}{k+1} \eta F(z_k), \quad
       z_{k+1} = z_k + \tfrac{1}{k+1} (z_0 - z_k) - \eta F(w_k)

    For eta = 1/R:

    .. math:: \|F(z_k)\|^2 \le \frac{4 R^2 \|z_0 - z^\star\|^2}{k^2}

    Args:
      loss: ``(theta, phi) -> []``, convex in theta and concave in phi.
      step_size: eta, at most 1/R.
      project: the projection on a set of `Saddle` points.

    Returns:
      The method; two gradients per step.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.fast_extragradient(lambda x, y: x * y, step_size=1.0)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (1.0, 1.0)

    References:
      Lee and Kim (2021), Fast Extra Gradient Methods for Smooth Structured Nonconvex-Nonconcave
      Minimax Problems, arXiv:2106.02326.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        share = _share(state.iteration, 1, size)
        pulled = _towards(state.memory, state.point, share)
        here = field(*state.point, loss=loss)
        ahead = project(_steps.scaled(pulled, (1.0 - share) * size, here))
        slope = field(*ahead, loss=loss)
        point = project(_steps.scaled(pulled, size, slope))
        return State(state.iteration + 1, point, state.memory), Info(ahead, slope, size)

    return _steps.method_of(step, project, lambda point: point)


def dual_fast_extragradient(loss: Loss, *, step_size: float, num_steps: int) -> Method:
    r"""Dual-FEG, the H-dual of the fast extragradient method: no start is kept, but a momentum.

    .. math:: w_k = z_k - \eta u_k - \eta F(z_k), \quad
       z_{k+1} = w_k - \tfrac{N-k-1}{N-k} \eta (F(w_k) - F(z_k)), \quad
       u_{k+1} = \tfrac{N-k-1}{N-k} u_k - \tfrac{1}{N-k} F(w_k)

    For eta = 1/R, after the N steps it is made for, and only then:

    .. math:: \|F(z_N)\|^2 \le \frac{4 R^2 \|z_0 - z^\star\|^2}{N^2}

    Args:
      loss: ``(theta, phi) -> []``, convex in theta and concave in phi.
      step_size: eta, at most 1/R.
      num_steps: N; a step beyond it stays where it is.

    Returns:
      The method, of problems without constraints; two gradients per step.

    Raises:
      ValueError: `num_steps` is not positive.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.dual_fast_extragradient(
      ...     lambda x, y: x * y, step_size=1.0, num_steps=1)
      >>> state, info = method.step(method.init(1.0, 0.0))
      >>> float(state.point.theta), float(state.point.phi)
      (1.0, 1.0)

    References:
      Yoon, Kim, Suh and Ryu (2024), Optimal Acceleration for Minimax and Fixed-Point Problems is
      Not Unique, arXiv:2404.13228.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1; got {num_steps}.")

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        left = jnp.maximum(num_steps - state.iteration, 1).astype(size.dtype)
        keep = (left - 1.0) / left
        here = field(*state.point, loss=loss)
        both = jax.tree.map(jnp.add, state.memory, here)
        ahead = _steps.scaled(state.point, size, both)
        slope = field(*ahead, loss=loss)
        change = jax.tree.map(jnp.subtract, slope, here)
        point = _steps.scaled(ahead, keep * size, change)
        fade = lambda u, g: keep.astype(u.dtype) * u - g / left.astype(u.dtype)
        memory = jax.tree.map(fade, state.memory, slope)
        over = state.iteration >= num_steps
        point = jax.tree.map(lambda old, new: jnp.where(over, old, new), state.point, point)
        return State(state.iteration + 1, point, memory), Info(ahead, slope, size)

    return _steps.method_of(step, _steps.unconstrained, _steps.zeros_like)
