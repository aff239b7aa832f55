"""The variance study at a small size: its slopes, records and refusals, and going on."""

import json

import jax
import numpy as np
import pytest

from experiments import gradient_snr, iwae_model, objectives, run, snr_grid, train_iwae
from iwae_jax import data, estimators

SMALL = {"num_samples": (16, 256), "num_gradients": 400, "num_data": 4}


def study(folder, **changes):
    return gradient_snr.main(gradient_snr.Options(output_dir=folder, **SMALL | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "snr"
    return folder, study(folder, estimators=("pathwise", "dreg", "sticking_the_landing"))


def test_the_slopes_are_those_of_the_theory(finished):
    _, summary = finished
    slopes = summary["slopes"]
    assert abs(slopes["pathwise"]["theta"] - 0.5) < 0.1
    assert abs(slopes["dreg"]["theta"] - 0.5) < 0.1
    assert abs(slopes["pathwise"]["phi"] + 0.5) < 0.1
    assert 0.3 < slopes["dreg"]["phi"] < 0.6
    assert all(
        error < 0.03 for halves in summary["slopes_se"].values() for error in halves.values()
    )


def test_biases_are_seen_where_there_are_any(finished):
    folder, summary = finished
    with np.load(folder / "grid.npz") as grid:
        assert list(grid["estimators"]) == summary["estimators"]
        assert grid["snr"].shape == (3, 2, 2)
        ratio = grid["bias"] / grid["bias_noise"]
        assert np.all(ratio[:2] < 4.0)
        assert np.all(ratio[2, :, 0] < 4.0)
        assert np.all(ratio[2, :, 1] > 10.0)
        assert np.all(grid["variance"][1, :, 1] < 0.1 * grid["variance"][0, :, 1])
        np.testing.assert_allclose(grid["variance"][0, :, 0], grid["variance"][1, :, 0], rtol=1e-3)


def test_a_run_writes_what_the_conventions_say(finished):
    folder, summary = finished
    assert summary == json.loads((folder / "summary.json").read_text())
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.json", "metrics.jsonl", "summary.json", "grid.npz", "snr.png", "variance.png",
        "variance_cost.png", "bias.png",
    }  # fmt: skip
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 6


def test_a_stopped_run_measures_only_what_is_missing(finished, monkeypatch):
    folder, summary = finished
    (folder / "summary.json").unlink()
    (folder / "cells" / "dreg-16.npz").unlink()
    measured, measure = [], gradient_snr.measure

    def counting(options, study, name, num_samples, show):
        measured.append((name, num_samples))
        return measure(options, study, name, num_samples, show)

    monkeypatch.setattr(gradient_snr, "measure", counting)
    again = study(folder, estimators=tuple(summary["estimators"]), resume=True)
    assert measured == [("dreg", 16)]
    assert again["slopes"] == summary["slopes"]


def test_a_discrete_model_has_exact_signals(tmp_path):
    summary = study(
        tmp_path / "run", model="belief_network", num_samples=(4,), num_gradients=4000,
        estimators=("vimco_arithmetic", "wake_wake"),
    )  # fmt: skip
    assert summary["signal"] == "exact"
    with np.load(tmp_path / "run" / "grid.npz") as grid:
        ratio = grid["bias"] / grid["bias_noise"]
        assert np.all(ratio[0] < 4.0)
        assert np.all(ratio[1, :, 1] > 4.0)


def test_a_trained_network_has_the_pooled_signal(tmp_path):
    options = train_iwae.Options(
        output_dir=tmp_path / "trained", epochs=1, num_samples=2, hidden_size=8, latent_size=2
    )
    images = data.load("digits", "train").images
    model, params = iwae_model.build(options, images)
    its_run = run.start(options, name="train_iwae", case="digits")
    result, _ = train_iwae.train(options, model, params, images, its_run)
    _, _, found = train_iwae.trained(tmp_path / "trained")
    jax.tree.map(np.testing.assert_array_equal, found, result.params)
    summary = study(
        tmp_path / "run", model="trained", trained=tmp_path / "trained", num_samples=(8,),
        estimators=("pathwise", "dreg"), num_gradients=80, num_data=2,
    )  # fmt: skip
    assert summary["signal"] == "pooled"
    assert summary["slopes"]["dreg"] == {"theta": None, "phi": None}
    with np.load(tmp_path / "run" / "grid.npz") as grid:
        assert np.all(grid["snr"][:, :, 0] > 0.0)
        # What is pooled is independent, though the gradients in theta are the same functions.
        assert len(np.unique(grid["variance"][:, 0, 0])) == 2
        # The encoder's weights of black pixels have no noise, and the rest has some signal.
        assert np.all(grid["snr"][:, :, 1] >= 0.0)
        assert np.all(np.isnan(grid["bias"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimators": ("nothing",)}, "known: "),
        ({"estimators": ("dreg", "dreg")}, "repeat"),
        ({"estimators": ("disarm",)}, "disarm does not fit"),
        ({"estimators": ("vimco_arithmetic",), "num_samples": (1, 2)}, "at least 2"),
        ({"num_samples": ()}, "--num-samples"),
        ({"num_samples": (4, 2)}, "rise"),
        ({"num_gradients": 3}, "--num-gradients"),
        ({"num_data": 0}, "--num-data"),
        ({"model": "trained"}, "--trained"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(run.BadInput, match=message):
        study(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_every_estimator_is_compared_with_a_bound():
    unbiased = {n for n in estimators.__all__ if snr_grid.bound_of(n, "phi")[1]}
    assert unbiased == objectives.UNBIASED["iwae"] | objectives.UNBIASED["elbo"]
    assert snr_grid.bound_of("disarm", "phi") == ("elbo", True)
    assert snr_grid.bound_of("straight_through", "phi") == ("elbo", False)
    assert snr_grid.bound_of("wake_wake", "theta") == ("iwae", True)
    assert snr_grid.bound_of("wake_wake", "phi") == ("iwae", False)
