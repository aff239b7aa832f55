"""First-order steps on the part of a large game that matters: where, and proven on the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import minimax
from iwae_jax.minimax import _first_order
from iwae_jax.minimax.restarted import _project

GAUSSIAN = np.random.default_rng(0).normal(size=(540, 520))
DIAGONAL = np.diag(np.linspace(1.0, 2.0, 520))


def solve(M, tolerance, monkeypatch):
    """The solution, whose proof is computed again, and the shapes that steps were taken on."""
    shapes, steps = [], _first_order.first_order
    monkeypatch.setattr(
        _first_order, "first_order", lambda M, *rest: shapes.append(M.shape) or steps(M, *rest)
    )
    solution = minimax.solve_matrix_game(M, tolerance=tolerance)
    won, paid = solution.row_strategy @ M, M @ solution.column_strategy
    assert solution.lower <= paid.min() <= won.max() <= solution.upper
    assert solution.status == minimax.CONVERGED
    assert solution.gap <= tolerance
    return solution, shapes


def test_steps_go_on_on_what_matters(monkeypatch):
    solution, shapes = solve(GAUSSIAN, 1e-4, monkeypatch)
    assert shapes == [(540, 520), (324, 312)]
    assert np.count_nonzero(solution.row_strategy) <= 324


def test_what_matters_is_chosen_anew_where_it_was_told_too_early(monkeypatch):
    monkeypatch.setattr(_first_order, "COARSE", 1e-2)
    monkeypatch.setattr(_first_order, "_CLEAR", 0.0)
    _, shapes = solve(GAUSSIAN, 1e-4, monkeypatch)
    assert shapes[:2] == [(540, 520), (324, 312)]
    assert len(shapes) > 2


def test_nothing_is_left_out_where_all_is_played(monkeypatch):
    solution, shapes = solve(DIAGONAL, 1e-6, monkeypatch)
    assert set(shapes) == {DIAGONAL.shape}
    exact = 1.0 / np.sum(1.0 / np.diagonal(DIAGONAL))
    assert solution.lower <= exact <= solution.upper


@pytest.mark.parametrize(("scale", "shift"), [(1e300, 0.0), (1e-300, 0.0), (1.0, 1e6)])
def test_payoffs_of_any_size_are_scaled_before_float32(scale, shift, monkeypatch):
    M = scale * np.random.default_rng(1).normal(size=(260, 270)) + shift
    _, shapes = solve(M, 1e-3 * scale, monkeypatch)
    assert shapes


def test_payoffs_in_float32_are_not_copied_again():
    single = _first_order.in_single(np.random.default_rng(2).normal(size=(30, 41)), 0.1, 5.0)
    assert single.dtype == np.float32
    assert np.shares_memory(np.asarray(jax.device_put(single, jax.devices("cpu")[0])), single)


# What all payoffs have in common once took digits from sums, so that gaps were below 0.
@pytest.mark.parametrize("M", [DIAGONAL - 1.0, 1.0 + 1e-2 * GAUSSIAN], ids=["diagonal", "constant"])
def test_probabilities_in_float32_sum_to_one(M):
    found = minimax.restarted_primal_dual(jnp.asarray(M, jnp.float32), tolerance=1e-6)
    assert 0.0 <= found.gap <= 1e-6
    sums = [np.asarray(x, np.float64).sum() for x in (found.row_strategy, found.column_strategy)]
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)


# Whether it begins below the threshold, above it, or where no probability is left.
@pytest.mark.parametrize("guess", [-3.0, 0.0, 0.3, 3.0])
def test_projection_from_any_guess(guess):
    rng = np.random.default_rng(3)
    p, v = rng.dirichlet(np.ones(50)), rng.normal(size=50)
    change, _ = _project(jnp.asarray(v, jnp.float32), jnp.asarray(p, jnp.float32), guess)
    expected = minimax.simplex().project(jnp.asarray(p + v, jnp.float32)) - p
    np.testing.assert_allclose(change, expected, atol=1e-6)
