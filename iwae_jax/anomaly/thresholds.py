"""Where to draw the line, from the scores of validation data: below it lies an anomaly."""

import math

import numpy as np
import numpy.typing as npt


def _checked(scores: npt.ArrayLike, *, least: int = 1) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or len(scores) < least:
        raise ValueError(f"at least {least} scores in one row are needed; got {scores.shape}.")
    if np.any(np.isnan(scores)):
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are nan.")
    return scores


def mean_minus_std(scores: npt.ArrayLike, *, num_std: float = 3.0) -> float:
    r"""The mean of the scores less some standard deviations.

    .. math:: t = \bar s - c \sqrt{\tfrac{1}{n - 1} \sum_i (s_i - \bar s)^2}

    It promises no error rate: that of a Gaussian, 0.13 % at c = 3, needs scores that are Gaussian,
    and a few bad ones among them move it far.

    Args:
      scores: ``[n]``, of validation data, two or more; higher is more normal.
      num_std: c.

    Returns:
      t; an anomaly scores strictly less.

    Raises:
      ValueError: there are too few scores, or one is nan.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.mean_minus_std([1.0, 2.0, 3.0])
      -1.0

    References:
      Chandola, Banerjee and Kumar (2009), Anomaly Detection: A Survey, ACM Computing Surveys 41.
    """
    scores = _checked(scores, least=2)
    return float(scores.mean() - num_std * scores.std(ddof=1))


def median_minus_mad(scores: npt.ArrayLike, *, num_std: float = 3.0) -> float:
    r"""As `mean_minus_std`, with a median and a spread that a few bad scores do not move.

    .. math:: t = m - 1.4826\, c\, \mathrm{median}_i |s_i - m|, \quad m = \mathrm{median}_i\, s_i

    Args:
      scores: ``[n]``, of validation data; higher is more normal.
      num_std: c.

    Returns:
      t; an anomaly scores strictly less.

    Raises:
      ValueError: there are no scores, or one is nan.

    Example:
      >>> from iwae_jax import anomaly
      >>> round(anomaly.median_minus_mad([1.0, 2.0, 3.0, -1000.0]), 3)
      -2.948

    References:
      Rousseeuw and Croux (1993), Alternatives to the Median Absolute Deviation, Journal of the
      American Statistical Association 88.
    """
    scores = _checked(scores)
    middle = np.median(scores)
    return float(middle - 1.482602218505602 * num_std * np.median(np.abs(scores - middle)))


def conformal_quantile(scores: npt.ArrayLike, *, level: float) -> float:
    r"""The threshold that flags a normal datum with probability at most `level`.

    .. math:: t = s_{(k)}, \quad k = \lfloor \alpha (n + 1) \rfloor

    The promise holds for any scores of data that are exchangeable with those validated on, on
    average over both. Scores that no tie has are flagged with probability k / (n + 1) exactly.

    Args:
      scores: ``[n]``, of validation data; higher is more normal.
      level: alpha, the type I error rate that is allowed.

    Returns:
      t; an anomaly scores strictly less. -inf where n is too small for the level.

    Raises:
      ValueError: the level is not between 0 and 1, there are no scores, or one is nan.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.conformal_quantile([4.0, 1.0, 2.0, 3.0], level=0.4)
      2.0

    References:
      Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World; Angelopoulos and
      Bates (2021), A Gentle Introduction to Conformal Prediction, arXiv:2107.07511.
    """
    scores = _checked(scores)
    rank = _rank(len(scores), level)
    return float(np.sort(scores)[rank - 1]) if rank else -math.inf


def _rank(number: int, level: float) -> int:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1; got {level}.")
    # 1e-9 undoes rounding, as in 0.3 * 10.
    return math.floor(level * (number + 1) + 1e-9)


def conformal_interval(
    *, num_validation: int, num_test: int, level: float, confidence: float = 0.95
) -> tuple[float, float]:
    r"""Range of the error rate on test data under a conformal threshold.

    .. math:: m \hat e \sim \mathrm{BetaBinomial}(m,\, k,\, n + 1 - k)

    A binomial interval is too narrow: the threshold itself is random.

    Args:
      num_validation: n, scores behind the threshold.
      num_test: m, data that are tested.
      level: alpha of `conformal_quantile`.
      confidence: probability of the range, cut off equally on both sides.

    Returns:
      The lowest and the highest rate.

    Raises:
      ValueError: n is too small for the level, or an argument is out of its range.

    Example:
      >>> from iwae_jax import anomaly
      >>> low, high = anomaly.conformal_interval(num_validation=5000, num_test=5000, level=0.01)
      >>> round(low, 4), round(high, 4)
      (0.0064, 0.0142)

    References:
      Angelopoulos and Bates (2021), A Gentle Introduction to Conformal Prediction,
      arXiv:2107.07511.
    """
    rank = _rank(num_validation, level)
    if num_test < 1 or not 0.0 < confidence < 1.0 or not rank:
        raise ValueError(
            "num_test must be positive, confidence between 0 and 1 and level at least "
            f"1 / (num_validation + 1); got {num_test}, {confidence}, {level}."
        )
    a, b, m = rank, num_validation + 1 - rank, num_test
    log_beta = lambda x, y: math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)
    log_choose = lambda j: -math.log(m + 1) - log_beta(m - j + 1, j + 1)
    log_probs = [log_choose(j) + log_beta(j + a, m - j + b) - log_beta(a, b) for j in range(m + 1)]
    cumulative = np.cumsum(np.exp(log_probs))
    tail = 0.5 * (1.0 - confidence)
    low, high = np.searchsorted(cumulative, [tail, 1.0 - tail])
    return float(low) / m, float(high) / m
