"""Anchored methods and their duals against their published bounds, step by step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import minimax
from iwae_jax.minimax import Saddle
from tests.test_minimax_methods import SIMPLEX, A, B, rps, run


def worst_case(n):
    """The bilinear game on which every first-order method is slow: norm at most 1, R at most 1."""
    A = np.fliplr(np.eye(n)) - np.fliplr(np.eye(n, k=-1))
    A, b = 0.5 * A, np.eye(n)[-1]
    loss = lambda x, y: y @ (jnp.asarray(A, x.dtype) @ x - jnp.asarray(b, x.dtype))
    return loss, float(np.linalg.norm(A, 2)), np.linalg.norm(np.linalg.solve(A, b))


BOUNDS = {  # name -> method of (loss, R), bound of |F(z_k)|^2 in units of R^2 |z_0 - z*|^2
    "eag-c": (
        lambda loss, R: minimax.anchored_extragradient(loss, step_size=1.0 / (8.0 * R)),
        lambda k: 4.0 * (1 + 1 / 8 + 1 / 64) * 64.0 / (1 + 1 / 8) / (k + 1) ** 2,
    ),
    "eag-v": (
        lambda loss, R: minimax.varying_anchored_extragradient(loss, lipschitz=R),
        lambda k: 27.0 / ((k + 1) * (k + 2)),
    ),
    "feg": (
        lambda loss, R: minimax.fast_extragradient(loss, step_size=1.0 / R),
        lambda k: 4.0 / np.maximum(k, 1) ** 2,
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_anchored_methods_obey_their_bounds_at_every_step(name, float64):
    n, steps = 40, 300
    loss, R, distance = worst_case(n)
    build, bound = BOUNDS[name]
    _, field = run(loss, build(loss, R), (jnp.zeros(n), jnp.zeros(n)), steps)
    squares = np.sum(field.theta**2 + field.phi**2, -1)
    # No first-order method can be faster than this, while k is below n.
    floor = (R * distance / (2 * (n // 2) + 1)) ** 2
    assert np.all(squares <= bound(np.arange(steps + 1)) * (R * distance) ** 2 + 1e-12)
    assert squares[n // 2] >= floor


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_dual_methods_obey_their_bounds_at_their_end(steps, float64):
    loss, R, distance = worst_case(20)
    start = (jnp.zeros(20), jnp.zeros(20))
    method = minimax.dual_fast_extragradient(loss, step_size=1.0 / R, num_steps=steps)
    points, field = run(loss, method, start, steps + 3)
    square = field.theta[steps] @ field.theta[steps] + field.phi[steps] @ field.phi[steps]
    assert square <= 4.0 * (R * distance / steps) ** 2
    np.testing.assert_array_equal(points.theta[steps], points.theta[-1])
    # H-duality: the dual runs its primal's steps from the end, so on a linear field without an
    # offset both end at the same point.
    linear = lambda x, y: loss(x, y) - loss(jnp.zeros(20), y)
    start = (jnp.linspace(0.0, 1.0, 20), jnp.linspace(1.0, 3.0, 20) ** 2)
    ends = [
        run(linear, method, start, steps)[0]
        for method in (
            minimax.dual_fast_extragradient(linear, step_size=0.7, num_steps=steps),
            minimax.fast_extragradient(linear, step_size=0.7),
        )
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[-1], b[-1], atol=1e-10), *ends)


def rotation(angle):
    """A nonexpansive map whose plain repetition turns for ever."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def operator(point):
        theta, phi = jnp.asarray(turn) @ jnp.stack([point.theta, point.phi])
        return Saddle(theta, phi)

    return operator


def test_halpern_and_its_dual_obey_their_bound(float64):
    operator = rotation(0.3)
    observe = lambda state: jax.tree.map(jnp.subtract, state.point, operator(state.point))
    history = lambda method, steps: minimax.trajectory(
        3.0, 4.0, method=method, num_steps=steps, observe=observe
    )
    norm = lambda residual: np.hypot(residual.theta, residual.phi)
    primal = norm(history(minimax.halpern(operator), 200))
    assert np.all(primal <= 2.0 * 5.0 / np.arange(1, 202))
    for steps in (1, 9, 50):
        dual = norm(history(minimax.dual_halpern(operator, num_steps=steps), steps + 2))
        np.testing.assert_allclose(dual[[steps, steps + 2]], primal[steps], atol=1e-12)
    plain = norm(history(minimax.krasnoselskii_mann(operator), 200))
    np.testing.assert_allclose(plain, plain[0])
    halfway = norm(history(minimax.krasnoselskii_mann(operator, relaxation=0.5), 200))
    np.testing.assert_allclose(halfway, halfway[0] * np.cos(0.15) ** np.arange(201))


def test_halpern_on_the_primal_dual_map_solves_rock_paper_scissors(float64):
    operator = partial(
        minimax.primal_dual, loss=rps, step_size=0.5, project=SIMPLEX.project
    )  # fmt: skip
    gap = partial(minimax.duality_gap, loss=rps, feasible=SIMPLEX)
    for build in (minimax.halpern, minimax.krasnoselskii_mann):
        solution = jax.jit(
            partial(minimax.solve, method=build(operator), gap=gap, tolerance=2e-3, max_steps=3000)
        )(A, B)
        assert solution.status == minimax.CONVERGED
