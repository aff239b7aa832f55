"""Small games in closed form, their certificates and analysis, against rational enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.fuzzed_games import SHAPES, bounds_in_float64, fuzz
from iwae_jax import minimax
from iwae_jax.minimax import _rational
from iwae_jax.minimax.analysis import _by_conditions

RPS = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
UNIFORM = np.full(3, 1.0 / 3.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_fuzzed_game_is_solved(shape, dtype, float64):
    rng = np.random.default_rng(hash(shape) % 1000)
    M = np.asarray(fuzz(rng, *shape, 4000), dtype)
    solutions = jax.device_get(jax.jit(minimax.solve_small_games)(jnp.asarray(M)))
    largest = np.abs(M).max((0, 1)).astype(np.float64)
    relative = 1e-6 if dtype == "float32" else 1e-14
    solved = np.asarray(solutions.status) == minimax.CONVERGED
    np.testing.assert_array_equal(
        solved, np.asarray(solutions.gap) <= np.asarray(relative * np.abs(M).max((0, 1)), dtype)
    )
    # In float32 a few games of nearly dependent rows miss 1e-6, and say so.
    assert np.mean(solved) >= (0.999 if dtype == "float32" else 1.0)
    assert np.all(solutions.gap <= 2.0 * relative * largest)
    lower, upper = bounds_in_float64(M.astype(np.float64), solutions)
    # What the certificate says holds: the bounds of float64 are inside.
    assert np.all(solutions.lower <= lower + 1e-15 * largest)
    assert np.all(upper <= solutions.upper + 1e-15 * largest)
    for index in range(0, 4000, 160):
        value = float(_rational.extreme_strategies(M[..., index])[0])
        margin = 4e-16 * abs(value)
        assert solutions.lower[index] - margin <= value <= solutions.upper[index] + margin
    alone = minimax.solve_small_game(jnp.asarray(M[..., 7]))
    np.testing.assert_allclose(alone.value, solutions.value[7], rtol=1e-6)


def test_a_batch_has_any_size_and_keeps_its_dtype():
    for batch in (1, 2, 5, 4097):
        M = jax.random.normal(jax.random.key(batch), (3, 2, batch), jnp.float32)
        solutions = minimax.solve_small_games(M, block_size=4)
        assert solutions.row_strategy.shape == (3, batch)
        assert solutions.column_strategy.shape == (2, batch)
        assert {x.dtype for x in solutions[:-1]} == {jnp.dtype("float32")}
        assert np.all(np.asarray(solutions.status) == minimax.CONVERGED)
        if batch == 5:
            alone = jax.vmap(minimax.solve_small_game, -1, -1)(M)
            np.testing.assert_allclose(alone.value, solutions.value, atol=1e-6)


def test_small_games_are_honest():
    M = jnp.zeros((3, 3), jnp.float32).at[0, 1].set(jnp.nan)
    solution = jax.jit(minimax.solve_small_game)(M)
    assert solution.status == minimax.NOT_FINITE
    assert jnp.isnan(solution.value)
    solution = minimax.solve_small_game(jnp.asarray(RPS, jnp.float32), tolerance=1e-12)
    assert solution.status == minimax.NOT_CONVERGED
    with pytest.raises(ValueError, match="3 x 3"):
        minimax.solve_small_game(jnp.zeros((4, 3)))
    with pytest.raises(TypeError, match="float32"):
        minimax.solve_small_game(jnp.zeros((3, 3), jnp.int32))
    with pytest.raises(ValueError, match="batch"):
        minimax.solve_small_games(jnp.zeros((3, 3)))


def test_certificates_hold_whatever_the_strategies():
    rng = np.random.default_rng(0)
    for _ in range(20):
        M = rng.integers(-3, 4, (3, 4)).astype(float)
        solution = minimax.certify(
            M, rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4)), tolerance=1e-9
        )
        value = float(_rational.extreme_strategies(M)[0])
        assert solution.lower <= value <= solution.upper
        assert solution.status == minimax.NOT_CONVERGED
    solution = minimax.certify(RPS, UNIFORM, UNIFORM, tolerance=1e-14)
    assert solution.status == minimax.CONVERGED
    assert 0.0 < solution.gap < 1e-14  # rounding is part of it
    assert minimax.certify(RPS, UNIFORM, UNIFORM, tolerance=0.0).status == minimax.NOT_CONVERGED


@pytest.mark.parametrize(
    ("M", "error", "word"),
    [
        ([[0.0, np.nan]], ValueError, "finite"),
        ([[0.0, np.inf]], ValueError, "finite"),
        ([[]], ValueError, "empty"),
        ([], ValueError, "empty"),
        ([1.0, 2.0], ValueError, "matrix"),
        ([[1.0], [1.0, 2.0]], ValueError, "ragged"),
        ([["a"]], TypeError, "real"),
        ([[1j]], TypeError, "real"),
    ],
)
def test_wrong_payoffs_are_refused(M, error, word):
    with pytest.raises(error, match=word):
        minimax.payoffs(M)


def test_wrong_strategies_are_refused():
    for p in ([0.5, 0.5], [0.5, 0.6, 0.1], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]):
        with pytest.raises(ValueError, match="strategy"):
            minimax.certify(RPS, p, UNIFORM, tolerance=1e-9)
    with pytest.raises(ValueError, match="m \\+ n"):
        minimax.all_equilibria(np.zeros((6, 6)))


def test_rock_paper_scissors_is_what_the_exercise_says():
    M = np.array(RPS, float)
    p = np.array([0.6, 0.3, 0.1])
    expected = [p[2] - p[1], p[0] - p[2], p[1] - p[0]]
    np.testing.assert_allclose(p @ M, expected)
    found = minimax.exploitability(M, p, UNIFORM)
    np.testing.assert_allclose(found, [0.0, 0.5, 0.5], atol=1e-15)
    assert minimax.best_columns(M, p).tolist() == [False, True, False]
    assert minimax.best_rows(M, UNIFORM).tolist() == [True, True, True]
    for q in np.eye(3):
        assert minimax.exploitability(M, q, UNIFORM).row == pytest.approx(0.0, abs=1e-15)
    equilibria = minimax.all_equilibria(M)
    assert equilibria.value == 0.0
    np.testing.assert_allclose(equilibria.row_strategies, [UNIFORM])
    np.testing.assert_allclose(equilibria.column_strategies, [UNIFORM])
    assert minimax.uniqueness(M, UNIFORM, UNIFORM).verdict == minimax.UNIQUE


def test_all_equilibria_of_known_games():
    constant = minimax.all_equilibria(np.full((2, 3), 4.0))
    assert constant.value == 4.0
    np.testing.assert_array_equal(constant.row_strategies, np.eye(2))
    np.testing.assert_array_equal(constant.column_strategies, np.eye(3))
    twice = minimax.all_equilibria([[1, -1, -1], [-1, 1, 1]])  # the last two columns are one
    assert twice.value == 0.0
    np.testing.assert_array_equal(twice.row_strategies, [[0.5, 0.5]])
    np.testing.assert_array_equal(twice.column_strategies, [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])


def test_uniqueness_agrees_with_the_enumeration():
    """The conditions on the choices played, against all extreme strategies of integer games."""
    rng, verdicts = np.random.default_rng(5), []
    for _ in range(400):
        M = rng.integers(-2, 3, rng.integers(1, 5, 2)).astype(float)
        _, rows, columns = _rational.extreme_strategies(M)
        middle = lambda vertices: np.mean([[float(x) for x in v] for v in vertices], 0)
        alone = len(rows) == len(columns) == 1
        verdict = minimax.uniqueness(M, middle(rows), middle(columns)).verdict
        assert verdict == (minimax.UNIQUE if alone else minimax.NOT_UNIQUE)
        for p, q in itertools.product(rows, columns):
            found = _by_conditions(M, middle([p]), middle([q])).verdict
            assert found in (
                (minimax.UNIQUE,) if alone else (minimax.NOT_UNIQUE, minimax.UNDECIDED)
            )
            verdicts.append(found)
    assert {minimax.UNIQUE, minimax.NOT_UNIQUE, minimax.UNDECIDED} == set(verdicts)
    far = minimax.uniqueness(RPS, [1.0, 0.0, 0.0], UNIFORM)
    assert far.verdict == minimax.UNDECIDED
    assert "away" in far.reason


def test_large_games_are_judged_with_a_margin():
    size = 15  # a rock-paper-scissors of 15 choices, each of which beats 7
    cyclic = sum(np.roll(np.eye(size), k, 1) - np.roll(np.eye(size), -k, 1) for k in range(1, 8))
    uniform = np.full(size, 1.0 / size)
    assert minimax.uniqueness(cyclic, uniform, uniform).verdict == minimax.UNIQUE
    doubled = np.hstack([cyclic, cyclic[:, :1]])
    verdict = minimax.uniqueness(doubled, uniform, np.append(uniform, 0.0)).verdict
    assert verdict == minimax.UNDECIDED
