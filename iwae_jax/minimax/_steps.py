"""What the methods share: the move of a point, and the size of a step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iwae_jax.minimax.method import Info, Method, Schedule, State, start
from iwae_jax.minimax.problem import Loss, Saddle, field
from iwae_jax.types import Array, PyTree

Project = Callable[[PyTree], PyTree]
Move = Callable[[Saddle, Saddle, Array], Saddle]  # (point, field, step size) -> point


def unconstrained(point: Saddle) -> Saddle:
    return point


def size_at(step_size: Schedule, iteration: Array, point: Saddle) -> Array:
    """The step size, in the dtype of the point."""
    size = step_size(iteration) if callable(step_size) else step_size
    return jnp.asarray(size, jax.tree.leaves(point)[0].dtype)


def scaled(point: Saddle, size: Array, slope: Saddle) -> Saddle:
    """``point - size * slope``."""
    return jax.tree.map(lambda x, g: x - size.astype(x.dtype) * g, point, slope)


def projected(project: Project) -> Move:
    return lambda point, slope, size: project(scaled(point, size, slope))


def method_of(
    step: Callable[[State], tuple[State, Info]],
    project: Project,
    memory: Callable[[Saddle], PyTree] = lambda point: (),
) -> Method:
    """A method whose state is a `State`, from its step and the memory that it starts with."""

    def init(theta: PyTree, phi: PyTree) -> State:
        point = start(theta, phi, project)
        return State(jnp.zeros((), jnp.int32), point, memory(point))

    return Method(init, step, lambda state: state.point)


def zeros_like(point: PyTree) -> PyTree:
    return jax.tree.map(jnp.zeros_like, point)


def extragradient_by(move: Move, loss: Loss, step_size: Schedule, project: Project) -> Method:
    """The extragradient method by any move: Euclidean or entropic."""

    def step(state: State) -> tuple[State, Info]:
        size = size_at(step_size, state.iteration, state.point)
        ahead = move(state.point, field(*state.point, loss=loss), size)
        slope = field(*ahead, loss=loss)
        point = move(state.point, slope, size)
        return State(state.iteration + 1, point, ()), Info(ahead, slope, size)

    return method_of(step, project)


def optimistic_by(move: Move, loss: Loss, step_size: Schedule, project: Project) -> Method:
    """The optimistic method by any move; its memory is the last field."""

    def step(state: State) -> tuple[State, Info]:
        size = size_at(step_size, state.iteration, state.point)
        ahead = move(state.point, state.memory, size)
        slope = field(*ahead, loss=loss)
        point = move(state.point, slope, size)
        return State(state.iteration + 1, point, slope), Info(ahead, slope, size)

    return method_of(step, project, lambda point: field(*point, loss=loss))
