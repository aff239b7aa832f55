"""The experiments on games, as a person runs them, on fewer steps and methods."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import matrix_games, rock_paper_scissors, run, two_player_training
from experiments.games import GAMES
from tests.house import ROOT

THIRDS = [1.0 / 3.0] * 3


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "rps"
    summary = rock_paper_scissors.main(rock_paper_scissors.Options(output_dir=folder))
    return folder, summary


def test_rock_paper_scissors_is_solved_and_certified(played):
    folder, summary = played
    assert summary == json.loads((folder / "summary.json").read_text())
    assert {"trajectories.png", "gaps.png", "exploitability.png"} <= {
        path.name for path in folder.iterdir()
    }
    np.testing.assert_allclose([summary["p_a"], summary["p_b"]], [THIRDS, THIRDS], atol=1e-15)
    assert summary["value_lower"] <= 0.0 <= summary["value_upper"]
    assert summary["unique"] is True
    assert summary["scores_against_uniform_b"] == [0.0, 0.0, 0.0]
    assert summary["start_a_loses"] == pytest.approx(0.5)
    assert summary["start_a_loses_to"] == ["paper"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 101


def test_methods_cycle_or_converge_as_they_should(played):
    methods = played[1]["methods"]
    assert all(row["iterations"] == 1000 for row in methods.values())
    assert methods["optimistic"]["last_gap"] <= 1e-12
    assert methods["extragradient"]["last_gap"] <= 1e-12
    cycling = {
        "descent_ascent", "alternating_descent_ascent", "multiplicative_weights", "adam",
        "optimistic_adam",
    }  # fmt: skip
    for name, row in methods.items():
        assert (row["last_gap"] > 0.1) if name in cycling else (row["last_gap"] <= 1e-2), name
        assert row["average_gap"] < 0.1, name
    assert cycling < methods.keys()


def test_every_method_of_the_experiment_keeps_its_points():
    for method in rock_paper_scissors.methods(0.3).values():
        take = lambda p, q, method=method: method.answer(method.step(method.init(p, q))[0])
        answer = jax.eval_shape(take, *np.ones((2, 3), np.float32))
        assert [leaf.shape for leaf in answer] == [(3,), (3,)]


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"step_size": 1.5}])
def test_bad_options_are_refused(wrong):
    with pytest.raises(run.BadInput, match="must be"):
        rock_paper_scissors.main(rock_paper_scissors.Options(**wrong))


def test_a_bad_command_ends_with_status_2():
    command = [sys.executable, "-m", "experiments.rock_paper_scissors", "--num-steps", "0"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "--num-steps" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_games_of_every_family_have_their_values(tmp_path):
    summary = matrix_games.main(matrix_games.Options(output_dir=tmp_path / "all", size=3))
    assert (tmp_path / "all" / "strategies.png").exists()
    for name in GAMES:
        assert summary[f"{name}_converged"] == "yes"
        exact = summary[f"{name}_exact_value"]
        if exact is not None:
            assert summary[f"{name}_lower"] <= exact <= summary[f"{name}_upper"]
    assert summary["kuhn_poker_exact_value"] == -1.0 / 18.0
    assert summary["kuhn_poker_rows"] == 64
    with pytest.raises(run.BadInput, match="--size"):
        matrix_games.main(matrix_games.Options(size=2))
    with pytest.raises(run.BadInput, match="--tolerance"):
        matrix_games.main(matrix_games.Options(tolerance=0.0))


def test_two_players_cycle_or_converge(tmp_path):
    few = ("descent_ascent", "adam", "extragradient", "anchored_extragradient", "consensus")
    every = two_player_training.methods
    with pytest.MonkeyPatch.context() as patch:
        chosen = lambda *args: {k: v for k, v in every(*args).items() if k in few}
        patch.setattr(two_player_training, "methods", chosen)
        options = two_player_training.Options(output_dir=tmp_path / "gan", num_steps=5000)
        summary = two_player_training.main(options)
    assert {"training.png", "discriminators.png"} <= {p.name for p in (tmp_path / "gan").iterdir()}
    for game in ("dirac", "gaussian"):
        start = np.sqrt(1.25) if game == "dirac" else np.hypot(1.0, np.log(2.0))
        for name in ("descent_ascent", "adam"):
            assert summary[f"{game}_{name}_distance"] > start
        for name in ("extragradient", "anchored_extragradient", "consensus"):
            assert summary[f"{game}_{name}_distance"] < 0.01
    score = -2.0 * np.log(2.0)
    assert summary["perfect_generator_score"] == pytest.approx(score)
    assert summary["half_discriminator_score"] == pytest.approx(score)
    assert summary["best_discriminator_score"] > score
    with pytest.raises(run.BadInput, match="--num-steps"):
        two_player_training.main(two_player_training.Options(num_steps=0))
