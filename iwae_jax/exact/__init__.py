"""Exact answers, in float64, to hold models, bounds and estimators against."""

from iwae_jax.exact.bounds import elbo, iwae, vr_iwae
from iwae_jax.exact.expectation import (
    finite_expectation,
    gauss_hermite,
    gaussian_expectation,
    trapezoid,
)
from iwae_jax.exact.gaussian_toy import gaussian_toy_law, gaussian_toy_log_likelihood
from iwae_jax.exact.laws import WeightLaw, finite_law, lognormal_law, quadrature_law
from iwae_jax.exact.linear_gaussian import (
    linear_gaussian_elbo,
    linear_gaussian_log_likelihood,
    linear_gaussian_posterior,
)
from iwae_jax.exact.linear_gaussian_upper import linear_gaussian_cubo, linear_gaussian_eubo
from iwae_jax.exact.uniform import gauss_legendre, tanh_sinh, uniform_expectation
from iwae_jax.exact.upper_bounds import cubo, eubo, log_evidence

__all__ = [
    "WeightLaw",
    "cubo",
    "elbo",
    "eubo",
    "finite_expectation",
    "finite_law",
    "gauss_hermite",
    "gauss_legendre",
    "gaussian_expectation",
    "gaussian_toy_law",
    "gaussian_toy_log_likelihood",
    "iwae",
    "linear_gaussian_cubo",
    "linear_gaussian_elbo",
    "linear_gaussian_eubo",
    "linear_gaussian_log_likelihood",
    "linear_gaussian_posterior",
    "log_evidence",
    "lognormal_law",
    "quadrature_law",
    "tanh_sinh",
    "trapezoid",
    "uniform_expectation",
    "vr_iwae",
]
