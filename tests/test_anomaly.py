"""Thresholds and their promises, rates against scikit-learn and scipy, and detectors on disk."""

import json

import jax
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from iwae_jax import anomaly, flows

RNG = np.random.default_rng(0)
NORMAL, ANOMALOUS = RNG.normal(1.0, 1.0, 400), RNG.normal(-0.5, 2.0, 300)
# With many ties between and within the two.
TIED = np.round(NORMAL), np.round(ANOMALOUS)
PAIRS = {"continuous": (NORMAL, ANOMALOUS), "tied": TIED}


@pytest.mark.parametrize("pair", PAIRS)
def test_areas_are_scikit_learns(pair):
    normal, anomalous = PAIRS[pair]
    scores = np.concatenate([normal, anomalous])
    is_normal = np.repeat([1, 0], [len(normal), len(anomalous)])
    auroc = sklearn.metrics.roc_auc_score(is_normal, scores)
    np.testing.assert_allclose(anomaly.auroc(normal, anomalous), auroc, rtol=1e-12)
    aupr_in = sklearn.metrics.average_precision_score(is_normal, scores)
    np.testing.assert_allclose(anomaly.average_precision(normal, anomalous), aupr_in, rtol=1e-12)
    aupr_out = sklearn.metrics.average_precision_score(1 - is_normal, -scores)
    ours = anomaly.average_precision(-anomalous, -normal)
    np.testing.assert_allclose(ours, aupr_out, rtol=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("kept", [0.8, 0.95, 1.0])
def test_what_is_missed_is_read_off_scikit_learns_curve(pair, kept):
    normal, anomalous = PAIRS[pair]
    is_normal = np.repeat([1, 0], [len(normal), len(anomalous)])
    false, true, _ = sklearn.metrics.roc_curve(
        is_normal, np.concatenate([normal, anomalous]), drop_intermediate=False
    )
    expected = false[np.argmax(true >= kept - 1e-12)]
    np.testing.assert_allclose(anomaly.missed_at(normal, anomalous, kept=kept), expected)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("errors", "number"), [(0, 20), (66, 5000), (20, 10000), (20, 20)])
def test_wilson_interval_is_scipys(errors, number, confidence):
    theirs = scipy.stats.binomtest(errors, number).proportion_ci(confidence, method="wilson")
    ours = anomaly.wilson_interval(errors, number, confidence=confidence)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    if confidence == 0.95:
        assert ours == anomaly.wilson_interval(errors, number)


def test_thresholds_are_their_formulas():
    scores = np.array([3.0, -1.0, 4.0, 1.0, 5.0])
    expected = np.mean(scores) - 2.0 * np.std(scores, ddof=1)
    assert anomaly.mean_minus_std(scores, num_std=2.0) == pytest.approx(expected)
    expected = 3.0 - 2.0 * scipy.stats.median_abs_deviation(scores, scale="normal")
    assert anomaly.median_minus_mad(scores, num_std=2.0) == pytest.approx(expected)


def test_a_score_on_the_threshold_is_not_flagged():
    assert anomaly.error_counts([1.0, 2.0], [2.0, 1.9], threshold=2.0) == (1, 1)


@pytest.mark.parametrize(("number", "level", "rank"), [(9, 0.3, 3), (99, 0.05, 5), (5, 0.1, 0)])
def test_a_conformal_threshold_errs_as_often_as_it_promises(number, level, rank):
    """Every score of n + 1 in turn is the new one: the exact average over exchangeable data."""
    scores = RNG.permutation(np.arange(number + 1.0))
    flagged = [
        scores[i] < anomaly.conformal_quantile(np.delete(scores, i), level=level)
        for i in range(number + 1)
    ]
    assert sum(flagged) == rank
    assert rank / (number + 1) <= level


@pytest.mark.parametrize(("level", "low", "high"), [(0.001, 0.0, 0.0024), (0.01, 0.0064, 0.0142),
                                                    (0.05, 0.0418, 0.0588)])  # fmt: skip
def test_the_conformal_interval_is_the_beta_binomials(level, low, high):
    found = anomaly.conformal_interval(num_validation=5000, num_test=5000, level=level)
    rank = int(level * 5001)
    law = scipy.stats.betabinom(5000, rank, 5001 - rank)
    np.testing.assert_allclose(found, np.array(law.ppf([0.025, 0.975])) / 5000)
    np.testing.assert_allclose(found, (low, high), atol=5e-5)
    half = anomaly.conformal_interval(
        num_validation=5000, num_test=5000, level=level, confidence=0.5
    )
    np.testing.assert_allclose(half, np.array(law.ppf([0.25, 0.75])) / 5000)


def test_most_splits_lie_inside_the_conformal_interval():
    scores = RNG.normal(size=2000)
    low, high = anomaly.conformal_interval(num_validation=1000, num_test=1000, level=0.05)
    rates = []
    for _ in range(200):
        scores = RNG.normal(size=2000)
        threshold = anomaly.conformal_quantile(scores[:1000], level=0.05)
        rates.append(np.mean(scores[1000:] < threshold))
    inside = np.mean((np.array(rates) >= low) & (np.array(rates) <= high))
    assert abs(inside - 0.95) <= 4.0 * np.sqrt(0.95 * 0.05 / 200)


def test_p_values_are_uniform_on_exchangeable_data():
    scores = RNG.permutation(np.arange(20.0))
    found = [anomaly.p_values([scores[i]], validation=np.delete(scores, i))[0] for i in range(20)]
    np.testing.assert_allclose(np.sort(found), np.arange(1, 21) / 20)


def test_benjamini_hochberg_is_scipys():
    for _ in range(50):
        p = RNG.uniform(size=30) ** 2
        expected = scipy.stats.false_discovery_control(p) <= 0.2
        np.testing.assert_array_equal(anomaly.benjamini_hochberg(p, level=0.2), expected)


def test_typicality_sees_what_is_too_likely():
    validation = RNG.normal(size=1000)
    low, usual, high = anomaly.typicality([-9.0, 0.0, 9.0], validation=validation)
    assert usual > max(low, high) + 5.0
    groups = anomaly.batch_typicality(np.arange(7.0), validation=[0.0], batch_size=3)
    np.testing.assert_allclose(groups, [-1.0, -4.0])


def test_waic_is_mean_less_variance():
    log_probs = RNG.normal(size=(4, 6))
    expected = log_probs.mean(0) - log_probs.var(0)
    np.testing.assert_allclose(anomaly.waic(log_probs), expected)


def test_density_of_states_is_scipys_kernel_estimate():
    usual, values = RNG.normal(size=(300, 2)), RNG.normal(size=(20, 2))
    expected = 0.0
    for points, column in zip(usual.T, values.T, strict=True):
        kernel = scipy.stats.gaussian_kde(points)(column) * np.std(points, ddof=1)
        tail = scipy.stats.cauchy.pdf((column - np.median(points)) / np.std(points, ddof=1))
        expected += np.log(0.99 * kernel + 0.01 * tail)
    found = anomaly.density_of_states(values, validation=usual)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def detector():
    flow, params = flows.realnvp(
        jax.random.key(0), (2, 2), num_blocks=1, hidden_sizes=(4,),
        preprocessing=flows.logit_pixels((2, 2)),
    )  # fmt: skip
    return flow, anomaly.Detector(params, -np.pi / 7, {"flow": "realnvp", "alpha": 0.05})


def test_a_loaded_detector_decides_the_same_to_the_bit(detector, tmp_path):
    flow, saved = detector
    anomaly.save(tmp_path, saved)
    assert anomaly.load_config(tmp_path) == saved.config
    loaded = anomaly.load(tmp_path, like=saved.params)
    assert loaded.threshold == saved.threshold
    images = RNG.integers(0, 256, (50, 2, 2), dtype=np.uint8)
    score = jax.jit(jax.vmap(flow.log_prob, (None, 0)))
    one, other = (score(d.params, flows.midpoints(images)) for d in (saved, loaded))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("damage", ["array", "threshold", "text", "missing", "schema"])
def test_a_damaged_detector_is_refused(detector, tmp_path, damage):
    _, saved = detector
    anomaly.save(tmp_path, saved)
    arrays, record = tmp_path / "arrays.npz", tmp_path / "detector.json"
    if damage == "array":
        content = bytearray(arrays.read_bytes())
        content[len(content) // 2] ^= 1
        arrays.write_bytes(content)
    elif damage == "threshold":
        found = json.loads(record.read_text()) | {"threshold": (0.0).hex()}
        record.write_text(json.dumps(found))
    elif damage == "text":
        record.write_text(record.read_text()[:-20])
    elif damage == "missing":
        arrays.unlink()
    else:
        record.write_text(json.dumps([1]))
    with pytest.raises(anomaly.DetectorError, match=r"damaged|no whole"):
        anomaly.load(tmp_path, like=saved.params)


def test_another_models_parameters_are_refused(detector, tmp_path):
    _, saved = detector
    anomaly.save(tmp_path, saved)
    with pytest.raises(anomaly.DetectorError, match="another model"):
        anomaly.load(tmp_path, like=np.zeros(3))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: anomaly.mean_minus_std([1.0]), "at least 2"),
        (lambda: anomaly.mean_minus_std([1.0, np.nan]), "nan"),
        (lambda: anomaly.conformal_quantile([1.0], level=1.0), "level"),
        (lambda: anomaly.conformal_interval(num_validation=5, num_test=5, level=0.01), "level"),
        (lambda: anomaly.wilson_interval(3, 2), "errors"),
        (lambda: anomaly.auroc([], [1.0]), "scores"),
        (lambda: anomaly.auroc([np.nan], [1.0]), "nan"),
        (lambda: anomaly.missed_at([1.0], [1.0], kept=0.0), "kept"),
        (lambda: anomaly.p_values([1.0], validation=[]), "validation"),
        (lambda: anomaly.benjamini_hochberg([0.5], level=0.0), "level"),
        (lambda: anomaly.benjamini_hochberg([1.5], level=0.1), "from 0 to 1"),
        (lambda: anomaly.batch_typicality([1.0], validation=[1.0], batch_size=2), "batch_size"),
        (lambda: anomaly.waic([1.0]), "two models"),
        (lambda: anomaly.density_of_states([[1.0]], validation=[[1.0], [1.0]]), "vary"),
        (lambda: anomaly.density_of_states([1.0], validation=[[1.0]]), "needed"),
        (lambda: anomaly.check_images(np.zeros((2, 3)), event_shape=(2, 2)), "shape"),
        (lambda: anomaly.check_images(np.full((1, 2), np.nan), event_shape=(2,)), "nan"),
        (lambda: anomaly.check_images(np.full((1, 2), 256.0), event_shape=(2,)), "0 to 255"),
        (lambda: anomaly.check_images(np.full((1, 2), -1.0), event_shape=(2,)), "0 to 255"),
    ],
)
def test_bad_input_is_refused(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_a_compressor_wants_bytes():
    with pytest.raises(TypeError, match="uint8"):
        anomaly.complexity(np.zeros((1, 2)))
