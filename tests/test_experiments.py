"""Experiments as a person runs them: their records, their refusals, going on after a stop."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from experiments import run, train_iwae
from iwae_jax import training
from tests.house import ROOT

SMALL = {
    "epochs": 2,
    "num_samples": 2,
    "hidden_size": 8,
    "latent_size": 2,
    "evaluation_samples": 20,
    "evaluation_images": 10,
}
SUMMARY_KEYS = {
    "dataset", "objective", "num_samples", "layers", "epochs", "test_nll", "test_nll_se",
    "test_elbo", "active_units", "train_seconds", "eval_seconds", "steps_per_second",
}  # fmt: skip
PICTURES = {"learning_curves.png", "samples.png", "reconstructions.png", "bound_vs_samples.png"}


def train(folder, **changes):
    return train_iwae.main(train_iwae.Options(output_dir=folder, **SMALL | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, train(folder)


def command(*arguments):
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "experiments.train_iwae", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_run_writes_what_the_conventions_say(finished):
    folder, summary = finished
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary.keys() >= SUMMARY_KEYS
    assert all(isinstance(value, int | float | str | list | None) for value in summary.values())
    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["epochs"] == 2
    assert config["options"]["dataset"] == "digits"
    assert config["versions"].keys() == {"jax", "flax", "optax", "iwae_jax"}
    assert config["device"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"train_bound", "train_ess", "validation_bound", "validation_ess"} <= lines[0].keys()
    assert {path.name for path in folder.iterdir()} >= PICTURES


def test_the_numbers_hang_together(finished):
    _, summary = finished
    assert -summary["test_elbo"] > summary["test_nll"] > 0.0
    assert 0.0 < summary["test_nll_se"] < 5.0
    assert 1.0 <= summary["test_ess"] <= 20.0
    assert 0 <= summary["active_units"] <= 2
    # An untrained network starts at the mean image, and two passes do not leave it far behind.
    assert abs(summary["test_nll"] - summary["independent_pixels_nll"]) < 5.0


def test_a_finished_run_is_shown_again_and_never_overwritten(finished):
    folder, summary = finished
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(run.BadInput, match="not empty"):
        train(folder)
    assert train(folder, resume=True) == summary
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(run.BadInput, match="not empty"):
        train(tmp_path)
    with pytest.raises(run.BadInput, match="holds no run"):
        train(tmp_path, resume=True)
    with pytest.raises(run.BadInput, match="is a file"):
        train(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_going_on_with_other_options_is_refused(finished):
    folder, _ = finished
    with pytest.raises(run.BadInput, match=r"num_samples=2 \(now 3\)"):
        train(folder, resume=True, num_samples=3)


def test_a_stopped_run_goes_on_to_the_same_end(finished, tmp_path, monkeypatch):
    _, whole = finished
    folder, fit = tmp_path / "stopped", training.fit

    def stopping(*args, on_progress, **options):
        def stop_before_the_last_checkpoint(progress):
            on_progress(progress)
            if progress.step == progress.num_steps:
                raise KeyboardInterrupt

        return fit(
            *args,
            on_progress=stop_before_the_last_checkpoint,
            **options | {"checkpoint_seconds": 0.0},
        )

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(folder)
    assert not (folder / "summary.json").exists()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "cut sho')
    summary = train(folder, resume=True)
    timeless = lambda summary: {k: v for k, v in summary.items() if "second" not in k}
    assert timeless(summary) == timeless(whole)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_two_layers_count_the_units_of_each(tmp_path):
    summary = train(tmp_path / "two", layers=2)
    assert summary["layers"] == 2
    lower, upper = summary["active_units"]
    assert 0 <= lower <= 4
    assert 0 <= upper <= 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--num-samples", "0"), "--num-samples must be at least 1"),
        (("--batch-size", "5000"), "--batch-size 5000 exceeds"),
        (("--validation-images", "9999"), "--validation-images"),
        (("--resume",), "--output-dir"),
        (("--dataset", "cifar"), "cifar"),
    ],
)
def test_bad_input_ends_with_status_2_and_says_what_to_change(arguments, word):
    answer = command(*arguments)
    assert answer.returncode == 2
    text = answer.stdout + answer.stderr
    assert word in text
    assert "Traceback" not in text


def test_the_run_of_another_experiment_is_left_alone(tmp_path):
    run.start(run.Options(output_dir=tmp_path), name="other", case="x")
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"seed"', '"steps": 9, "seed"'))
    before = config.read_text()
    answer = command("--resume", "--output-dir", str(tmp_path))
    assert answer.returncode == 2
    assert "another experiment or version, with the options steps" in " ".join(
        (answer.stdout + answer.stderr).split()
    )
    assert [path.read_text() for path in tmp_path.iterdir()] == [before]


def test_help_has_a_line_for_each_option():
    answer = command("--help")
    assert answer.returncode == 0
    for name in train_iwae.Options.__dataclass_fields__:
        assert re.search(rf"--{name.replace('_', '-')}\b", answer.stdout), name
    assert "samples of the bound that is trained" in answer.stdout


def test_the_command_prints_plain_lines_in_a_pipe(tmp_path):
    options = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    answer = command(*options, "--output-dir", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    assert "test NLL (nats)" in answer.stdout
    assert str(tmp_path / "run") in answer.stdout
    assert "\x1b" not in answer.stdout


def test_mean_and_error_are_those_of_independent_values():
    mean, error = run.mean_and_error(np.array([1.0, 2.0, 4.0, 5.0]))
    assert mean == 3.0
    np.testing.assert_allclose(error, np.sqrt(10.0 / 3.0 / 4.0))
