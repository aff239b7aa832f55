"""Log-densities in nats, each with the parameters first and the value last."""

from iwae_jax.densities.discrete import (
    BernoulliLatents,
    CategoricalLatents,
    bernoulli_log_prob,
    bernoulli_sample_and_log_prob,
    categorical_log_prob,
    categorical_sample_and_log_prob,
    uniform_noise,
)
from iwae_jax.densities.full_gaussian import (
    FullGaussianLatents,
    full_gaussian_latents,
    full_gaussian_log_prob,
    full_gaussian_sample_and_log_prob,
    gaussian_kl,
)
from iwae_jax.densities.gaussian import (
    GaussianLatents,
    gaussian_latents,
    gaussian_log_prob,
    gaussian_sample_and_log_prob,
    standard_gaussian_log_prob,
)

__all__ = [
    "BernoulliLatents",
    "CategoricalLatents",
    "FullGaussianLatents",
    "GaussianLatents",
    "bernoulli_log_prob",
    "bernoulli_sample_and_log_prob",
    "categorical_log_prob",
    "categorical_sample_and_log_prob",
    "full_gaussian_latents",
    "full_gaussian_log_prob",
    "full_gaussian_sample_and_log_prob",
    "gaussian_kl",
    "gaussian_latents",
    "gaussian_log_prob",
    "gaussian_sample_and_log_prob",
    "standard_gaussian_log_prob",
    "uniform_noise",
]
