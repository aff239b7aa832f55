"""Matrix games of any size: every answer is proved by its certificate, which is recomputed here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import minimax
from iwae_jax.minimax import matrix_games

SIZE = 40


def skew(rng):
    M = rng.normal(size=(SIZE, SIZE))
    return M - M.T


def hilbert(rng):
    return 1.0 / (1.0 + np.add.outer(np.arange(SIZE), np.arange(SIZE)))


def near_duplicates(rng):
    M = rng.normal(size=(SIZE, SIZE))
    M[1::2] = M[::2] + 1e-7 * rng.normal(size=(SIZE // 2, SIZE))
    return M


FAMILIES = {
    "gaussian": lambda rng: rng.normal(size=(SIZE, SIZE)),
    "skew": skew,
    "integers": lambda rng: rng.integers(-1, 2, (SIZE, SIZE)).astype(float),
    "hilbert": hilbert,
    "near duplicates": near_duplicates,
    "sparse": lambda rng: rng.normal(size=(SIZE, SIZE)) * (rng.uniform(size=(SIZE, SIZE)) < 0.1),
    "scaled columns": lambda rng: rng.normal(size=(SIZE, SIZE)) * np.logspace(-3, 3, SIZE),
    "far from zero": lambda rng: 1e6 + rng.normal(size=(SIZE, SIZE)),
    "tiny": lambda rng: 1e-6 * rng.normal(size=(SIZE, SIZE)),
    "rank one": lambda rng: np.outer(rng.normal(size=SIZE), rng.normal(size=SIZE)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_solved_to_a_proven_gap(name):
    M = FAMILIES[name](np.random.default_rng(1))
    # Rows that differ by 1e-7, and scales from 1e-3 to 1e3, leave fewer digits.
    hard = name in ("near duplicates", "scaled columns")
    tolerance = (1e-8 if hard else 1e-10) * np.max(np.abs(M))
    solution = minimax.solve_matrix_game(M, tolerance=tolerance)
    p, q = solution.row_strategy, solution.column_strategy
    assert p.min() >= 0.0
    assert q.min() >= 0.0
    np.testing.assert_allclose([p.sum(), q.sum()], 1.0, rtol=1e-14)
    upper, lower = np.max(p @ M), np.min(M @ q)
    assert solution.lower <= lower <= upper <= solution.upper
    assert solution.status == minimax.CONVERGED
    assert solution.upper - solution.lower == solution.gap <= tolerance
    if name == "skew":
        assert abs(solution.value) <= tolerance


def test_rows_and_columns_change_places():
    M = np.random.default_rng(2).normal(size=(30, SIZE))
    wide = minimax.solve_matrix_game(M, tolerance=1e-10)
    tall = minimax.solve_matrix_game(-M.T, tolerance=1e-10)
    assert wide.status == tall.status == minimax.CONVERGED
    np.testing.assert_allclose(tall.value, -wide.value, atol=1e-10)
    np.testing.assert_allclose(tall.column_strategy, wide.row_strategy, atol=1e-7)


def test_large_games_are_solved_in_float32_where_that_is_enough():
    M = np.random.default_rng(3).normal(size=(300, 260))
    solution = minimax.solve_matrix_game(M, tolerance=1e-2)
    assert solution.status == minimax.CONVERGED
    assert 1e-6 < solution.gap <= 1e-2
    assert solution.lower <= np.min(M @ solution.column_strategy)


# Told too early, the choices that matter are chosen again, with those that turned out to.
@pytest.mark.parametrize(("coarse", "games"), [(1e-4, 1), (3e-3, 2)])
def test_large_games_are_solved_on_the_choices_that_matter(coarse, games, monkeypatch):
    M = np.random.default_rng(3).normal(size=(260, 300))
    shapes, solve = [], matrix_games._by_interior_point
    monkeypatch.setattr(matrix_games, "COARSE", coarse)
    monkeypatch.setattr(
        matrix_games,
        "_by_interior_point",
        lambda M, *rest: shapes.append(M.shape) or solve(M, *rest),
    )
    solution = minimax.solve_matrix_game(M, tolerance=1e-11)
    assert shapes == [(156, 180)] * games
    assert solution.status == minimax.CONVERGED
    assert np.max(solution.row_strategy @ M) - np.min(M @ solution.column_strategy) <= 1e-11


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 3)])
def test_thin_and_small_games(shape):
    M = np.random.default_rng(4).integers(-3, 4, shape).astype(float)
    solution = minimax.solve_matrix_game(M, tolerance=1e-13)
    assert solution.status == minimax.CONVERGED
    assert solution.lower <= minimax.all_equilibria(M).value <= solution.upper


def test_a_saddle_of_the_matrix_and_a_constant_game():
    M = np.add.outer(np.arange(6.0), np.zeros(5)) + np.array([0.0, 3.0, 1.0, 2.0, 0.5])
    solution = minimax.solve_matrix_game(M, tolerance=1e-12)
    assert solution.row_strategy[0] == solution.column_strategy[1] == 1.0
    assert solution.value == pytest.approx(3.0)
    assert minimax.solve_matrix_game(np.full((4, 9), 7.0), tolerance=1e-12).status == 0


def test_the_answer_is_honest_where_no_dtype_can_do_it():
    M = np.random.default_rng(5).normal(size=(SIZE, SIZE))
    solution = minimax.solve_matrix_game(M, tolerance=0.0)
    assert solution.status == minimax.NOT_CONVERGED
    assert 0.0 < solution.gap < 1e-11


def test_it_runs_with_double_precision_off_and_leaves_it_off():
    before = jax.config.jax_enable_x64
    M = np.random.default_rng(6).normal(size=(SIZE, SIZE)).astype(np.float32)
    solution = minimax.solve_matrix_game(jnp.asarray(M), tolerance=1e-9)
    assert solution.status == minimax.CONVERGED
    assert solution.row_strategy.dtype == np.float64
    assert jax.config.jax_enable_x64 == before


@pytest.mark.parametrize(
    ("M", "tolerance", "error", "word"),
    [
        ([[0.0, np.nan]], 1e-6, ValueError, "finite"),
        ([[]], 1e-6, ValueError, "empty"),
        ([[1.0], [1.0, 2.0]], 1e-6, ValueError, "ragged"),
        ([[1.0, 2.0]], -1.0, ValueError, "tolerance"),
        ([[1.0, 2.0]], np.nan, ValueError, "tolerance"),
    ],
)
def test_wrong_input_is_refused(M, tolerance, error, word):
    with pytest.raises(error, match=word):
        minimax.solve_matrix_game(M, tolerance=tolerance)


FIRST_ORDER = {
    "predictive regret matching": minimax.predictive_regret_matching,
    "restarted primal-dual": minimax.restarted_primal_dual,
}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_first_order_methods_in_both_dtypes(name, float64):
    solve = FIRST_ORDER[name]
    M = np.random.default_rng(7).normal(size=(20, 30))
    exact = minimax.solve_matrix_game(M, tolerance=1e-12)
    for dtype, tolerance in ((jnp.float32, 1e-4), (jnp.float64, 1e-6)):
        found = solve(jnp.asarray(M, dtype), tolerance=tolerance)
        assert found.row_strategy.dtype == dtype
        proved = minimax.certify(
            M, found.row_strategy, found.column_strategy, tolerance=1.1 * tolerance
        )
        assert proved.status == minimax.CONVERGED
        assert proved.lower <= exact.value <= proved.upper
        np.testing.assert_allclose(found.gap, proved.gap, atol=0.1 * tolerance)
    stopped = solve(jnp.asarray(M), tolerance=0.0, max_steps=32)
    assert stopped.steps == 32
    assert stopped.gap > 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_restarted_primal_dual_takes_every_family(name, float64):
    M = FAMILIES[name](np.random.default_rng(1))
    found = minimax.restarted_primal_dual(
        jnp.asarray(M), tolerance=1e-3 * np.ptp(M), max_steps=10_000
    )
    proved = minimax.certify(
        M, found.row_strategy, found.column_strategy, tolerance=1.01e-3 * np.ptp(M)
    )
    assert proved.status == minimax.CONVERGED
    # What is added to all payoffs is no part of the norm that sets the step.
    moved = minimax.restarted_primal_dual(
        jnp.asarray(M) + 64.0 * np.ptp(M), tolerance=1e-3 * np.ptp(M), max_steps=10_000
    )
    assert abs(int(moved.steps) - int(found.steps)) <= 0.2 * int(found.steps) + 2


def test_restarts_make_the_primal_dual_method_linear(float64):
    M = jnp.asarray(np.random.default_rng(8).normal(size=(30, 30)))
    steps = [
        int(minimax.restarted_primal_dual(M, tolerance=10.0**-digits).steps)
        for digits in (4, 6, 8, 10)
    ]
    assert steps[-1] < 3000
    # Every two digits take about as many steps; of a rate 1 / k they would take 100 times as many.
    assert max(np.diff(steps)) < 6 * max(min(np.diff(steps)), 50)


def test_float32_refines_what_it_found_from_an_origin_in_float64():
    M = np.random.default_rng(9).normal(size=(60, 50))
    single, gaps, origin = jnp.asarray(M, jnp.float32), [], None
    for tolerance in (1e-4, 1e-6, 1e-8):
        found = minimax.restarted_primal_dual(
            single, tolerance=tolerance, max_steps=20_000, origin=origin
        )
        assert found.row_strategy.dtype == jnp.float32
        assert found.gap <= tolerance
        proved = minimax.certify(M, found.row_strategy, found.column_strategy, tolerance=0.0)
        gaps.append(float(proved.gap))
        p, q = proved.row_strategy, proved.column_strategy
        known = (p, q, p @ M - proved.value, M @ q - proved.value)
        origin = minimax.Origin(*(x.astype(np.float32) for x in known))
    # Without the origins float32 stops at the rounding of its sums.
    alone = minimax.restarted_primal_dual(single, tolerance=1e-8, max_steps=20_000)
    lost = minimax.certify(M, alone.row_strategy, alone.column_strategy, tolerance=0.0).gap
    assert gaps[1] < 1.1e-6
    assert gaps[2] < 0.5 * lost


def test_the_primal_dual_method_on_games_of_no_interest():
    for M in (np.zeros((4, 5)), np.full((4, 5), 3.0), np.ones((4, 1)) * np.arange(5.0)):
        found = minimax.restarted_primal_dual(jnp.asarray(M, jnp.float32), tolerance=1e-6)
        assert found.gap <= 1e-6
        assert found.steps < 100
    lost = minimax.restarted_primal_dual(jnp.full((3, 3), jnp.nan), tolerance=1e-3, max_steps=5)
    assert lost.steps == 5
    assert not lost.gap <= 1e-3
