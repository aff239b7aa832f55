"""Running a method: stopping on the gap, refusing a wrong start, the value's gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import minimax
from tests.test_minimax_methods import SIMPLEX, A, B, rps


def test_solve_stops_on_the_gap_under_jit_and_vmap(float64):
    gap = partial(minimax.duality_gap, loss=rps, feasible=SIMPLEX)
    method = minimax.optimistic(rps, step_size=0.3, project=SIMPLEX.project)
    call = lambda p, q, tolerance: minimax.solve(
        p, q, method=method, gap=gap, tolerance=tolerance, max_steps=1000, check_every=10
    )
    tolerances = jnp.array([1e-3, 1e-9, 0.0])
    together = jax.jit(jax.vmap(call, (None, None, 0)))(A, B, tolerances)
    np.testing.assert_array_equal(together.status, [0, 0, 1])
    assert together.steps[0] < together.steps[1] < together.steps[2] == 1000
    assert np.all(together.gap[:2] <= tolerances[:2])
    alone = jax.jit(call)(A, B, 1e-9)
    assert alone.steps == together.steps[1]
    np.testing.assert_allclose(alone.point.theta, together.point.theta[1], rtol=1e-12)
    with pytest.raises(ValueError, match="multiple"):
        minimax.solve(A, B, method=method, gap=gap, tolerance=0.1, max_steps=15, check_every=10)


def test_solve_is_honest_about_nan_and_about_float32():
    bad = lambda x, y: jnp.log(x) * y
    solution = minimax.solve(
        0.5, 2.0, method=minimax.extragradient(bad, step_size=9.0), tolerance=1e-3, max_steps=50,
        gap=lambda x, y: abs(x) + abs(y),
    )  # fmt: skip
    assert solution.status == minimax.NOT_FINITE
    p, q = jnp.asarray(A, "f4"), jnp.asarray(B, "f4")
    method = minimax.optimistic(rps, step_size=0.3, project=SIMPLEX.project)
    solution = minimax.solve(
        p, q, method=method, tolerance=1e-20, max_steps=300,
        gap=partial(minimax.duality_gap, loss=lambda p, q: rps(p, q), feasible=SIMPLEX),
    )  # fmt: skip
    assert (solution.status == minimax.CONVERGED) == bool(solution.gap <= 1e-20)
    assert solution.gap < 1e-5


@pytest.mark.parametrize(
    ("start", "error", "word"),
    [
        ((jnp.ones(3), jnp.ones(3) / 3), ValueError, "project it first"),
        ((jnp.array([jnp.nan, 0.5, 0.5]), jnp.ones(3) / 3), ValueError, "away"),
        ((jnp.array([1, 0, 0]), jnp.array([1, 0, 0])), TypeError, "floats"),
    ],
)
def test_a_wrong_start_is_refused(start, error, word):
    method = minimax.extragradient(rps, step_size=0.1, project=SIMPLEX.project)
    with pytest.raises(error, match=word):
        method.init(*start)


def test_more_wrong_uses_are_refused():
    corner, middle = jnp.array([1.0, 0.0, 0.0]), jnp.ones(3) / 3
    with pytest.raises(ValueError, match="zero"):
        minimax.multiplicative_weights(rps, step_size=0.1).init(corner, middle)
    sets = minimax.product((SIMPLEX, SIMPLEX, SIMPLEX))
    with pytest.raises(ValueError, match="structure"):
        minimax.extragradient(rps, step_size=0.1, project=sets.project).init(middle, middle)
    with pytest.raises(ValueError, match="changes"):
        minimax.extragradient(rps, step_size=0.1, project=lambda z: z[0]).init(middle, middle)
    with pytest.raises(ValueError, match="bounded"):
        minimax.duality_gap(middle, middle, loss=rps, feasible=minimax.everything())
    with pytest.raises(ValueError, match="safety"):
        minimax.adaptive_extragradient(rps, safety=1.0)
    for build in (
        partial(minimax.dual_fast_extragradient, rps, step_size=0.1),
        partial(minimax.dual_halpern, lambda z: z),
    ):
        with pytest.raises(ValueError, match="num_steps"):
            build(num_steps=0)


def test_a_traced_start_is_projected():
    method = minimax.extragradient(rps, step_size=0.1, project=SIMPLEX.project)
    state = jax.jit(method.init)(jnp.ones(3), jnp.ones(3))
    np.testing.assert_allclose(state.point.theta, 1.0 / 3.0, rtol=1e-6)


def test_the_gradient_of_the_value_is_implicit(float64):
    """Of a matrix game it is outer(p, q); here against the closed form of a 2 x 2 game."""

    def solve(M):
        method = minimax.optimistic(lambda p, q: p @ M @ q, step_size=0.1, project=SIMPLEX.project)
        half = jnp.array([0.5, 0.5])
        return minimax.trajectory(half, half, method=method, num_steps=1500)

    last = lambda M: jax.tree.map(lambda x: x[-1], solve(M))
    value = lambda M: minimax.saddle_value(M, loss=lambda M, p, q: p @ M @ q, solve=last)
    closed = lambda M: (
        (M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]) / (M[0, 0] + M[1, 1] - M[0, 1] - M[1, 0])
    )
    M = jnp.array([[2.0, -1.0], [-0.5, 1.0]])
    for actual, expected in zip(
        jax.jit(jax.value_and_grad(value))(M), jax.value_and_grad(closed)(M), strict=True
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-10)


def test_nothing_leaks_from_a_trace():
    gap = partial(minimax.duality_gap, loss=rps, feasible=SIMPLEX)
    method = minimax.averaged(minimax.extragradient(rps, step_size=0.3, project=SIMPLEX.project))
    call = partial(minimax.solve, method=method, gap=gap, tolerance=0.1, max_steps=100)
    with jax.checking_leaks():
        solution = jax.jit(call)(jnp.asarray(A, jnp.float32), jnp.asarray(B, jnp.float32))
        small = jax.jit(minimax.solve_small_game)(jnp.eye(2, dtype=jnp.float32))
    assert solution.status == small.status == minimax.CONVERGED
    assert solution.gap.dtype == jnp.float32
