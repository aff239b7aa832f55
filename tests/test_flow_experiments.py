"""Experiments with flows as a person runs them, on the bundled digits."""

import json

import numpy as np
import pytest

from experiments import (
    flow_anomaly,
    flow_baselines,
    flow_density,
    flow_judging,
    flow_materials,
    flow_models,
    ood_matrix,
    run,
)
from iwae_jax import anomaly, data

SMALL = {
    "epochs": 1, "seeds": 2, "splits": 3, "num_blocks": 1, "hidden_size": 8, "num_leading": 10,
    "baselines": tuple(flow_baselines.BASELINES), "baseline_epochs": 2, "nice_hidden_size": 8,
}  # fmt: skip
KEYS = {
    "type_1_rate", "type_1_ci", "type_2_rate", "type_2_ci", "auroc", "fpr95", "threshold",
    "bits_per_dim", "train_seconds", "num_parameters", "seeds", "splits", "models",
}  # fmt: skip


@pytest.fixture(scope="module")
def detected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, flow_anomaly.main(flow_anomaly.Options(output_dir=folder, **SMALL))


def test_a_run_writes_what_the_conventions_say(detected):
    folder, summary = detected
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary.keys() >= KEYS
    rows = {row["model"]: row for row in summary["models"]}
    mixture = "mixture of the 2 RealNVPs"
    assert list(rows) == ["RealNVP", mixture, *flow_baselines.BASELINES]
    for name, row in rows.items():
        assert row["num_parameters"] > 1000, name
    # The bound is of black and white images, so it has no bits per pixel like those of the others.
    assert [n for n, row in rows.items() if row["bits_per_dim"] is None] == [mixture, "IWAE bound"]
    # Its scales begin at those of the pixels: it beats the 8 bits of a flat density at once.
    assert rows["NICE"]["bits_per_dim"] < 7.9
    pictures = {"histograms.png", "roc.png", "oddities.png", "samples.png"}
    assert {path.name for path in folder.iterdir()} >= pictures
    low, high = summary["type_1_ci"]
    assert 0.0 <= low <= summary["type_1_rate"] + 0.5 / 179 <= high + 0.5 / 179
    assert 0.5 < summary["auroc"] <= 1.0


def test_a_mixture_has_the_mean_density_and_rates_fall_with_the_threshold():
    rng = np.random.default_rng(0)
    runs = [
        {"held_out": rng.normal(size=50), "test": rng.normal(size=400),
         "anomalous": rng.normal(-4.0, 1.0, 300)} for _ in range(2)
    ]  # fmt: skip
    both = flow_judging.mixture(runs)
    for name, values in both.items():
        mean = 0.5 * (np.exp(runs[0][name]) + np.exp(runs[1][name]))
        np.testing.assert_allclose(np.exp(values), mean, rtol=1e-12)
    rates = flow_judging.by_num_std(runs, splits=3)
    row = flow_judging.row("both", runs, splits=3, num_std=3.0)
    (same,) = [rate for rate in rates if rate["num_std"] == 3.0]
    assert same == {name: 3.0 if name == "num_std" else row[name] for name in same}
    assert [r["type_1_rate"] for r in rates] == sorted(r["type_1_rate"] for r in rates)[::-1]
    assert [r["type_2_rate"] for r in rates] == sorted(r["type_2_rate"] for r in rates)


def check_saved_detector(folder, summary):
    options = flow_anomaly.as_saved(flow_anomaly.Options(flow=folder / "detector"))
    material = flow_anomaly.load(options)
    ((density, seconds),) = flow_anomaly.flows_of(options, material, run.Run(folder))
    assert seconds == 0.0
    scores = {
        name: flow_models.log_probs(density, getattr(material, name))
        for name in ("test", "anomalous")
    }
    (line,) = flow_judging.judge(scores, splits=1, num_std=3.0)
    assert line["threshold"] == summary["threshold"]
    for kind in ("1", "2"):
        assert line[f"type_{kind}_errors"] == summary[f"type_{kind}_errors_first_split"]


def test_a_saved_detector_gives_the_same_errors_without_training(detected):
    check_saved_detector(*detected)


def test_a_damaged_detector_ends_the_run(tmp_path):
    broken = anomaly.save(tmp_path / "broken", anomaly.Detector(np.ones(2), 0.0, {}))
    (broken / "arrays.npz").write_bytes(b"")
    with pytest.raises(anomaly.DetectorError, match="damaged"):
        flow_anomaly.main(flow_anomaly.Options(output_dir=tmp_path / "run", flow=broken))


def test_judging_counts_what_lies_below():
    scores = {"test": np.arange(10.0), "anomalous": np.array([-100.0, 5.0])}
    for line in flow_judging.judge(scores, splits=2, num_std=3.0):
        assert line["type_1_errors"] == 0
        assert line["type_2_errors"] == 1
    one, other = flow_judging.judge(scores, splits=2, num_std=3.0)
    assert one["threshold"] != other["threshold"]


def test_the_study_of_alpha_compresses_better_where_alpha_is_small(tmp_path):
    options = flow_density.Options(output_dir=tmp_path / "run", alphas=(1e-6, 0.1), held_out=50)
    rows = flow_density.main(options)["models"]
    gaussian = [row["bits_per_dim"] for row in rows if row["model"] == "Gaussian"]
    assert gaussian[0] < gaussian[1]


def test_the_matrix_sees_that_a_black_image_is_too_likely(tmp_path):
    options = ood_matrix.Options(output_dir=tmp_path / "run", members=2, evaluation_images=60)
    rows = {row["anomalous"]: row for row in ood_matrix.main(options)["rows"]}
    assert rows["black"]["log p"] < 0.5 < 0.9 < rows["black"]["density of states"]
    assert rows["noise"]["log p"] > 0.99
    with pytest.raises(run.BadInput, match="--members"):
        ood_matrix.main(ood_matrix.Options(output_dir=tmp_path / "other", members=1))


def test_spliced_images_are_of_two_classes():
    images = np.repeat(np.arange(10, dtype=np.uint8), 64 * 3).reshape(30, 8, 8)
    labels = np.repeat(np.arange(10), 3)
    for image in flow_materials.spliced(images, labels):
        values, counts = np.unique(image, return_counts=True)
        assert len(values) == 2
        assert counts.tolist() == [32, 32]
    assert flow_materials.shifted(images).shape == images.shape


def test_convolutional_couplings_are_an_architecture(tmp_path):
    flow = {"architecture": "multi_scale", "width": 4, "num_bins": 2}
    changes = flow | {"seeds": 1, "baselines": ()}
    options = flow_anomaly.Options(output_dir=tmp_path, **SMALL | changes)
    summary = flow_anomaly.main(options)
    assert summary["bits_per_dim"] < 8.0
    check_saved_detector(tmp_path, summary)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"alpha": 0.5}, "--alpha"), ({"seeds": 0}, "--seeds"), ({"learning_rate": 0.0}, "--learn")],
)
def test_bad_options_are_refused(change, word, tmp_path):
    with pytest.raises(run.BadInput, match=word):
        flow_anomaly.main(flow_anomaly.Options(output_dir=tmp_path / "run", **change))
    with pytest.raises(run.BadInput, match="--alphas"):
        flow_density.main(flow_density.Options(output_dir=tmp_path / "run", alphas=(0.7,)))


@pytest.mark.raw_data
def test_the_gaussian_of_mnist_has_its_published_bits(optimised):
    """Papamakarios et al. (2017) print 2.01."""
    with optimised():
        density = flow_models.gaussian(data.load("mnist", "train").images, alpha=1e-6)
        bits, error = flow_models.test_bits(density, data.load("mnist", "test").images, seed=0)
    assert error < 0.004
    assert abs(bits - 2.012) < 0.005
