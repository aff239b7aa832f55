"""Exact answers, in float64, to hold models, bounds and estimators against."""

from iwae_jax.exact.linear_gaussian import (
    linear_gaussian_elbo,
    linear_gaussian_log_likelihood,
    linear_gaussian_posterior,
)

__all__ = [
    "linear_gaussian_elbo",
    "linear_gaussian_log_likelihood",
    "linear_gaussian_posterior",
]
