"""Tests of many data at once: p-values, and the share of false discoveries."""

import numpy as np
import numpy.typing as npt


def p_values(scores: npt.ArrayLike, *, validation: npt.ArrayLike) -> np.ndarray:
    r"""Conformal p-values: how unusual each score is among those of validation data.

    .. math:: p = \frac{1 + |\{i : v_i \le s\}|}{n + 1}

    For a datum exchangeable with the validation data, P(p <= u) <= u for every u.

    Args:
      scores: ``[m]``; higher is more normal.
      validation: ``[n]``, scores of normal data.

    Returns:
      ``[m]``, from 1 / (n + 1) to 1.

    Raises:
      ValueError: there are no validation scores, or a score is nan.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.p_values([0.0, 2.0], validation=[1.0, 2.0, 3.0]).tolist()
      [0.25, 0.75]

    References:
      Bates, Candès, Lei, Romano and Sesia (2023), Testing for Outliers with Conformal p-values,
      arXiv:2104.08279.
    """
    scores, order = np.asarray(scores, np.float64), np.sort(np.asarray(validation, np.float64))
    if not order.size or np.any(np.isnan(scores)) or np.any(np.isnan(order)):
        raise ValueError("validation scores are needed, and no score may be nan.")
    return (1 + np.searchsorted(order, scores, "right")) / (len(order) + 1)


def benjamini_hochberg(p_values: npt.ArrayLike, *, level: float) -> np.ndarray:
    r"""Flags data of a batch so that the expected share of false alarms among the flags is held.

    .. math:: \text{flag } p_{(1)}, \dots, p_{(j)}, \quad j = \max\{i : p_{(i)} \le \alpha i / m\}

    Args:
      p_values: ``[m]``, as of `p_values`.
      level: alpha, the false discovery rate that is allowed.

    Returns:
      ``[m]``, bool.

    Raises:
      ValueError: the level is not between 0 and 1, or a p-value is not from 0 to 1.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.benjamini_hochberg([0.01, 0.9, 0.04], level=0.1).tolist()
      [True, False, True]

    References:
      Benjamini and Hochberg (1995), Controlling the False Discovery Rate, Journal of the Royal
      Statistical Society B 57.
    """
    p = np.asarray(p_values, np.float64)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1; got {level}.")
    if p.ndim != 1 or not np.all((p >= 0.0) & (p <= 1.0)):
        raise ValueError("p-values come as one row, each from 0 to 1.")
    order = np.sort(p)
    small = np.flatnonzero(order <= level * np.arange(1, len(p) + 1) / max(len(p), 1))
    return p <= order[small[-1]] if len(small) else np.zeros(len(p), bool)
