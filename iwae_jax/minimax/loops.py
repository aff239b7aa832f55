"""What runs a method: to a tolerance, or step by step with its history."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iwae_jax.minimax.method import CONVERGED, NOT_CONVERGED, NOT_FINITE, Method
from iwae_jax.minimax.problem import Saddle
from iwae_jax.types import Array, PyTree


class Solution(NamedTuple):
    """What `solve` answers.

    Attributes:
      point: the answer.
      gap: ``[]``, the gap of the point.
      steps: ``[]``, the number of steps taken.
      status: ``[]``, `CONVERGED`, `NOT_CONVERGED` within the steps allowed, or `NOT_FINITE` where
        the gap became infinite or nan.
      state: the method's last state, to go on from.
    """

    point: Saddle
    gap: Array
    steps: Array
    status: Array
    state: Any


def solve(
    theta: PyTree,
    phi: PyTree,
    *,
    method: Method,
    gap: Callable[[PyTree, PyTree], Array],
    tolerance: float | Array,
    max_steps: int,
    check_every: int = 1,
) -> Solution:
    """Steps until the gap is small enough; one loop on the device, under `jit` and `vmap`.

    Under `vmap` every game waits for the slowest. A tolerance below what the dtype can resolve is
    not reached, and the status says so.

    Args:
      theta: a start.
      phi: a start.
      method: a method.
      gap: ``(theta, phi) -> []``, such as `duality_gap`, of the method's answer.
      tolerance: the largest gap of an answer.
      max_steps: the most steps, a multiple of `check_every`.
      check_every: steps between two looks at the gap.

    Returns:
      The answer with its gap and status.

    Raises:
      TypeError: a start does not hold floats.
      ValueError: a start is not feasible, or `max_steps` is not a multiple of `check_every`.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> method = minimax.extragradient(lambda x, y: x * y, step_size=0.5)
      >>> solution = minimax.solve(3.0, 4.0, method=method, max_steps=999, tolerance=1e-6,
      ...     gap=lambda x, y: jnp.hypot(x, y))
      >>> solution.status.item() == minimax.CONVERGED, solution.steps.item()
      (True, 149)

    References:
      Korpelevich (1976), The Extragradient Method for Finding Saddle Points and Other Problems.
    """
    if check_every < 1 or max_steps < 0 or max_steps % check_every:
        raise ValueError(
            f"max_steps={max_steps} must be a multiple of check_every={check_every}, at least 1."
        )
    first = method.init(theta, phi)
    steps = jnp.zeros((), jnp.int32)

    def unfinished(carry: tuple[Any, Array, Array]) -> Array:
        _, size, steps = carry
        return jnp.isfinite(size) & (size > tolerance) & (steps < max_steps)

    def advance(carry: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
        state, size, steps = carry
        state = jax.lax.fori_loop(0, check_every, lambda _, x: method.step(x)[0], state)
        return state, gap(*method.answer(state)).astype(size.dtype), steps + check_every

    carry = (first, jnp.asarray(gap(*method.answer(first))), steps)
    state, size, steps = jax.lax.while_loop(unfinished, advance, carry)
    status = jnp.where(size <= tolerance, CONVERGED, NOT_CONVERGED)
    status = jnp.where(jnp.isfinite(size), status, NOT_FINITE)
    return Solution(method.answer(state), size, steps, status, state)


def trajectory(
    theta: PyTree,
    phi: PyTree,
    *,
    method: Method,
    num_steps: int,
    observe: Callable[[Any], PyTree] | None = None,
) -> PyTree:
    """The history of a method, stacked on the device.

    Args:
      theta: a start.
      phi: a start.
      method: a method.
      num_steps: T, the steps taken.
      observe: ``state -> what to record``; by default the method's answer.

    Returns:
      What was observed of the start and after each step, stacked along a first axis, of T + 1.

    Raises:
      TypeError: a start does not hold floats.
      ValueError: a start is not feasible.

    Example:
      >>> from iwae_jax import minimax
      >>> method = minimax.extragradient(lambda x, y: x * y, step_size=0.5)
      >>> minimax.trajectory(3.0, 4.0, method=method, num_steps=10).theta.shape
      (11,)

    References:
      Korpelevich (1976), The Extragradient Method for Finding Saddle Points and Other Problems.
    """
    see = observe or method.answer
    first = method.init(theta, phi)

    def step(state: Any, _: None) -> tuple[Any, PyTree]:
        state = method.step(state)[0]
        return state, see(state)

    _, seen = jax.lax.scan(step, first, None, length=num_steps)
    return jax.tree.map(lambda x, xs: jnp.concatenate([jnp.asarray(x)[None], xs]), see(first), seen)
