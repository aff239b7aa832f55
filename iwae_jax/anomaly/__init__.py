"""Anomaly detection from scores, of which the higher is the more normal; strictly below is flagged.

Thresholds: `mean_minus_std`, `median_minus_mad`, `conformal_quantile` with `conformal_interval`.
Rates: `error_counts`, `wilson_interval`, `auroc`, `average_precision`, `missed_at`.
Batches: `p_values`, `benjamini_hochberg`.
Scores: `typicality`, `batch_typicality`, `complexity`, `waic`, `density_of_states`,
`gradient_norm`; log p itself, and the difference of two flows' log p, are scores too.
Detectors: `Detector`, `save`, `load`, `load_config`, `check_images`.
"""

from iwae_jax.anomaly.batches import benjamini_hochberg, p_values
from iwae_jax.anomaly.detector import (
    Detector,
    DetectorError,
    check_images,
    load,
    load_config,
    save,
)
from iwae_jax.anomaly.rates import (
    auroc,
    average_precision,
    error_counts,
    missed_at,
    wilson_interval,
)
from iwae_jax.anomaly.scores import (
    batch_typicality,
    complexity,
    density_of_states,
    gradient_norm,
    typicality,
    waic,
)
from iwae_jax.anomaly.thresholds import (
    conformal_interval,
    conformal_quantile,
    mean_minus_std,
    median_minus_mad,
)

__all__ = [
    "Detector",
    "DetectorError",
    "auroc",
    "average_precision",
    "batch_typicality",
    "benjamini_hochberg",
    "check_images",
    "complexity",
    "conformal_interval",
    "conformal_quantile",
    "density_of_states",
    "error_counts",
    "gradient_norm",
    "load",
    "load_config",
    "mean_minus_std",
    "median_minus_mad",
    "missed_at",
    "p_values",
    "save",
    "typicality",
    "waic",
    "wilson_interval",
]
