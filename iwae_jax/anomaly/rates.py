"""How often a detector errs, and how well scores separate."""

import statistics

import numpy as np
import numpy.typing as npt


def error_counts(
    normal: npt.ArrayLike, anomalous: npt.ArrayLike, *, threshold: float
) -> tuple[int, int]:
    """Errors of both types: normal data that are flagged, and anomalies that are not.

    Args:
      normal: ``[n]``, scores of normal data.
      anomalous: ``[m]``, scores of anomalies.
      threshold: what lies strictly below is flagged.

    Returns:
      The number of type I errors, of n, and of type II errors, of m.

    Raises:
      ValueError: a score is nan.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.error_counts([1.0, 2.0, 3.0], [0.0, 2.0], threshold=2.0)
      (1, 1)

    References:
      Neyman and Pearson (1933), On the Problem of the Most Efficient Tests of Statistical
      Hypotheses, Philosophical Transactions of the Royal Society A 231.
    """
    normal, anomalous = _pair(normal, anomalous)
    return int(np.sum(normal < threshold)), int(np.sum(anomalous >= threshold))


def wilson_interval(errors: int, number: int, *, confidence: float = 0.95) -> tuple[float, float]:
    r"""Confidence interval of a rate, from a count.

    .. math:: \frac{\hat p + z^2 / 2n \pm z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4 n^2}}{1 + z^2/n}

    Args:
      errors: the count.
      number: n, of how many.
      confidence: of the interval.

    Returns:
      Its two ends.

    Raises:
      ValueError: the count is not from 0 to `number`, or the confidence not between 0 and 1.

    Example:
      >>> from iwae_jax import anomaly
      >>> low, high = anomaly.wilson_interval(66, 5000)
      >>> round(low, 4), round(high, 4)
      (0.0104, 0.0168)

    References:
      Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference, Journal
      of the American Statistical Association 22.
    """
    if not 0 <= errors <= number or number < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(
            "errors must be from 0 to number, number positive and confidence between 0 and 1; got "
            f"{errors}, {number}, {confidence}."
        )
    z = statistics.NormalDist().inv_cdf(0.5 + 0.5 * confidence)
    rate, scale = errors / number, 1.0 + z**2 / number
    centre = (rate + z**2 / (2 * number)) / scale
    half = z / scale * (rate * (1.0 - rate) / number + z**2 / (4 * number**2)) ** 0.5
    # Rounding would leave the ends of a count of 0 or n a hair outside.
    return max(0.0, centre - half), min(1.0, centre + half)


def auroc(normal: npt.ArrayLike, anomalous: npt.ArrayLike) -> float:
    r"""Probability that a normal datum scores higher than an anomaly; ties count half.

    Args:
      normal: ``[n]``, scores of normal data.
      anomalous: ``[m]``, scores of anomalies.

    Returns:
      The area under the curve of true against false positives.

    Raises:
      ValueError: a score is nan, or there are none.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.auroc([1.0, 2.0], [0.0, 1.0])
      0.875

    References:
      Hanley and McNeil (1982), The Meaning and Use of the Area under a Receiver Operating
      Characteristic (ROC) Curve, Radiology 143.
    """
    normal, anomalous = _pair(normal, anomalous)
    order = np.sort(anomalous)
    below = np.searchsorted(order, normal, "left")
    at_most = np.searchsorted(order, normal, "right")
    return float((below + at_most).mean() / (2 * len(anomalous)))


def average_precision(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    r"""Mean precision over the positives, the highest scores first; ties are taken together.

    With normal data as the positives this is AUPR-in; with the anomalies, and the scores' signs
    turned, AUPR-out.

    Args:
      positive: ``[n]``, scores of those to be found.
      negative: ``[m]``, scores of the others.

    Returns:
      The area under the curve of precision against recall, as a sum of steps.

    Raises:
      ValueError: a score is nan, or there are none.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.average_precision([3.0, 1.0], [2.0])
      0.8333333333333333

    References:
      Davis and Goadrich (2006), The Relationship between Precision-Recall and ROC Curves, ICML.
    """
    positive, negative = _pair(positive, negative)
    levels = np.unique(positive)
    found = len(positive) - np.searchsorted(np.sort(positive), levels, "left")
    false = len(negative) - np.searchsorted(np.sort(negative), levels, "left")
    recall_steps = -np.diff(np.append(found, 0)) / len(positive)
    return float(np.sum(recall_steps * found / (found + false)))


def missed_at(normal: npt.ArrayLike, anomalous: npt.ArrayLike, *, kept: float = 0.95) -> float:
    """Share of anomalies that pass where a given share of normal data passes: FPR95, FPR80.

    Args:
      normal: ``[n]``, scores of normal data, the positives.
      anomalous: ``[m]``, scores of anomalies.
      kept: share of normal data that must pass.

    Returns:
      The smallest such share.

    Raises:
      ValueError: `kept` is not above 0 and at most 1, a score is nan, or there are none.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.missed_at([4.0, 3.0, 2.0, 1.0], [2.5, 0.0], kept=0.75)
      0.5

    References:
      Hendrycks and Gimpel (2017), A Baseline for Detecting Misclassified and Out-of-Distribution
      Examples in Neural Networks, arXiv:1610.02136.
    """
    if not 0.0 < kept <= 1.0:
        raise ValueError(f"kept must be above 0 and at most 1; got {kept}.")
    normal, anomalous = _pair(normal, anomalous)
    # 1e-9 undoes rounding, as in 0.95 * 100.
    needed = int(np.ceil(kept * len(normal) - 1e-9))
    return float(np.mean(anomalous >= np.sort(normal)[len(normal) - needed]))


def _pair(one: npt.ArrayLike, other: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    arrays = np.asarray(one, np.float64), np.asarray(other, np.float64)
    for array in arrays:
        if array.ndim != 1 or not len(array):
            raise ValueError(f"scores come as rows of one or more; got shape {array.shape}.")
        if np.any(np.isnan(array)):
            raise ValueError(f"{int(np.isnan(array).sum())} of {len(array)} scores are nan.")
    return arrays
