"""How good a set of importance weights is, and how noisy the gradients of an estimator are."""

from iwae_jax.diagnostics._gradients import (
    GradientMoments,
    gradient_moments,
    merge_moments,
    no_moments,
    standard_error,
    variance,
)
from iwae_jax.diagnostics._ratios import (
    directional_snr,
    exact_signal_snr,
    naive_snr,
    pooled_signal_snr,
)
from iwae_jax.diagnostics._weights import effective_sample_size, pareto_k_hat

__all__ = [
    "GradientMoments",
    "directional_snr",
    "effective_sample_size",
    "exact_signal_snr",
    "gradient_moments",
    "merge_moments",
    "naive_snr",
    "no_moments",
    "pareto_k_hat",
    "pooled_signal_snr",
    "standard_error",
    "variance",
]
