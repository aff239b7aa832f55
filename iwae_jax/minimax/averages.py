"""Averages of what a method has seen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.minimax.method import Info, Method
from iwae_jax.minimax.problem import Saddle
from iwae_jax.types import Array, PyTree


class Averaged(NamedTuple):
    """The state of `averaged`.

    Attributes:
      inner: the method's state.
      average: the weighted average of the evaluated points.
      total: ``[]``, the sum of their weights.
    """

    inner: Any
    average: Saddle
    total: Array


def averaged(method: Method, *, power: float = 0.0) -> Method:
    r"""The method that answers with an average of the points where it evaluated the field.

    .. math:: \bar z_T = \sum_{t=1}^T t^r z_t \Big/ \sum_{t=1}^T t^r

    In bounded sets, the average of descent-ascent converges where its last point cycles.

    Args:
      method: any method.
      power: r: 0 for the uniform average, 1 for the linear and 2 for the quadratic one.

    Returns:
      The method; its state is `Averaged`.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> method = minimax.averaged(minimax.extragradient(lambda x, y: x * y, step_size=0.5))
      >>> minimax.solve(1.0, 1.0, method=method, max_steps=99, tolerance=0.05,
      ...     gap=lambda x, y: abs(x) + abs(y)).status.item() == minimax.CONVERGED
      True

    References:
      Nemirovski (2004), Prox-Method with Rate of Convergence O(1/t) for Variational Inequalities
      with Lipschitz Continuous Monotone Operators and Smooth Convex-Concave Saddle Point Problems.
    """

    def init(theta: PyTree, phi: PyTree) -> Averaged:
        inner = method.init(theta, phi)
        point = method.answer(inner)
        return Averaged(inner, point, jnp.zeros((), jnp.result_type(*jax.tree.leaves(point))))

    def step(state: Averaged) -> tuple[Averaged, Info]:
        inner, info = method.step(state.inner)
        weight = inner.iteration.astype(state.total.dtype) ** power
        total = state.total + weight
        mean = jax.tree.map(
            lambda old, new: old + (weight / total).astype(old.dtype) * (new - old),
            state.average, info.evaluated,
        )  # fmt: skip
        return Averaged(inner, mean, total), info

    return Method(init, step, lambda state: state.average)
