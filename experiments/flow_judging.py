"""Steps 4 to 6 of the homework: a threshold, and the errors on both sides of it."""

from typing import Any

import numpy as np

from iwae_jax import anomaly

REFERENCE = {"type_1_rate": 0.0132, "type_2_rate": 0.0020}
"""The homework's one printed run: 66 of 5000 and 20 of 10000."""

LEVELS = (0.001, 0.01, 0.05)
CONFORMAL_SPLITS = 100
NUM_STDS = (2.0, 2.5, 3.0, 3.5, 4.0)

Scores = dict[str, np.ndarray]
"""Log p of what is judged: "held_out" training images, "test" images, "anomalous" ones."""


def judge(scores: Scores, *, splits: int, num_std: float) -> list[dict[str, float]]:
    """Steps 4 to 6 on each split of the test images, in halves."""
    lines = []
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(scores["test"]))
        half = len(order) // 2
        validation, test = scores["test"][order[half:]], scores["test"][order[:half]]
        threshold = anomaly.mean_minus_std(validation, num_std=num_std)
        type_1, type_2 = anomaly.error_counts(test, scores["anomalous"], threshold=threshold)
        one_percent = anomaly.conformal_quantile(validation, level=0.01)
        strict = anomaly.error_counts(test, scores["anomalous"], threshold=one_percent)
        lines.append({
            "threshold": threshold, "type_1_errors": type_1, "type_2_errors": type_2,
            "type_1_rate": type_1 / len(test), "type_2_rate": type_2 / len(scores["anomalous"]),
            "conformal_type_1_rate": strict[0] / len(test),
            "conformal_type_2_rate": strict[1] / len(scores["anomalous"]),
        })  # fmt: skip
    return lines


def mixture(runs: list[Scores]) -> Scores:
    """Log p under the mixture, in equal parts, of the densities of several trainings."""
    return {
        name: np.logaddexp.reduce([scores[name] for scores in runs]) - np.log(len(runs))
        for name in runs[0]
    }


def by_num_std(runs: list[Scores], *, splits: int) -> list[dict[str, float]]:
    """The two error rates at other numbers of standard deviations."""
    rates = []
    for num_std in NUM_STDS:
        lines = [line for s in runs for line in judge(s, splits=splits, num_std=num_std)]
        mean = lambda key, lines=lines: float(np.mean([line[key] for line in lines]))
        rates.append(
            {"num_std": num_std} | {f"type_{k}_rate": mean(f"type_{k}_rate") for k in (1, 2)}
        )
    return rates


def row(
    name: str, runs: list[Scores], *, splits: int, num_std: float, **more: Any
) -> dict[str, Any]:
    """One model in the table: means over seeds and splits, and Wilson intervals of one split."""
    judged = [judge(s, splits=splits, num_std=num_std) for s in runs]
    lines = [line for lines in judged for line in lines]
    mean = {key: float(np.mean([line[key] for line in lines])) for key in lines[0]}
    number = {"1": len(runs[0]["test"]) // 2, "2": len(runs[0]["anomalous"])}
    over = lambda function: float(np.mean([function(s["test"], s["anomalous"]) for s in runs]))
    result: dict[str, Any] = {"model": name, "seeds": len(runs), "splits": splits}
    for kind in ("1", "2"):
        rate = mean[f"type_{kind}_rate"]
        errors = round(rate * number[kind])
        spread = [line[f"type_{kind}_rate"] for line in lines]
        result |= {
            f"type_{kind}_rate": rate,
            f"type_{kind}_ci": list(anomaly.wilson_interval(errors, number[kind])),
            f"type_{kind}_std": float(np.std(spread)),
            f"type_{kind}_errors_first_split": lines[0][f"type_{kind}_errors"],
            f"conformal_type_{kind}_rate": mean[f"conformal_type_{kind}_rate"],
        }
    trained = [
        anomaly.error_counts(s["test"], s["anomalous"],
                             threshold=anomaly.mean_minus_std(s["held_out"], num_std=num_std))
        for s in runs
    ]  # fmt: skip
    return result | {
        "threshold": lines[0]["threshold"],
        "type_1_rate_training_split": float(np.mean([t[0] for t in trained])) / (2 * number["1"]),
        "type_2_rate_training_split": float(np.mean([t[1] for t in trained])) / number["2"],
        "type_2_rate_at_reference_type_1": over(
            lambda a, b: anomaly.missed_at(a, b, kept=1.0 - REFERENCE["type_1_rate"])
        ),
        "auroc": over(anomaly.auroc),
        "aupr_in": over(anomaly.average_precision),
        "aupr_out": over(lambda a, b: anomaly.average_precision(-b, -a)),
        "fpr95": over(anomaly.missed_at),
        "fpr80": over(lambda a, b: anomaly.missed_at(a, b, kept=0.8)),
        **more,
    }


def conformal(scores: Scores) -> dict[str, Any]:
    """Type I rates of conformal thresholds over many splits, beside what they promise."""
    half = len(scores["test"]) // 2
    result: dict[str, Any] = {}
    for level in LEVELS:
        if level * (half + 1) < 1.0:
            continue
        low, high = anomaly.conformal_interval(num_validation=half, num_test=half, level=level)
        rates = []
        for split in range(CONFORMAL_SPLITS):
            order = np.random.default_rng(1000 + split).permutation(2 * half)
            validation, test = scores["test"][order[:half]], scores["test"][order[half:]]
            rates.append(np.mean(test < anomaly.conformal_quantile(validation, level=level)))
        inside = [low <= rate <= high for rate in rates]
        trained = anomaly.conformal_quantile(scores["held_out"], level=level)
        name = f"conformal_{level:g}"
        result |= {
            f"{name}_type_1_rate": float(np.mean(rates)),
            f"{name}_splits_inside": int(np.sum(inside)),
            f"{name}_interval": [low, high],
            f"{name}_training_split": float(np.mean(scores["test"] < trained)),
        }
    return result
