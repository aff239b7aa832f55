"""Importance-weighted inference in JAX: bounds, gradient estimators, models, and their proofs."""

from iwae_jax import (
    anomaly,
    bounds,
    checkpoints,
    data,
    densities,
    diagnostics,
    estimators,
    evaluation,
    exact,
    flows,
    keys,
    minimax,
    models,
    networks,
    priors,
    training,
    weights,
)
from iwae_jax.types import (
    Estimator,
    GenerativeModel,
    InferenceModel,
    LatentVariableModel,
    OverSamples,
    Params,
    latent_variable_model,
)

__version__ = "0.1.0"

__all__ = [
    "Estimator",
    "GenerativeModel",
    "InferenceModel",
    "LatentVariableModel",
    "OverSamples",
    "Params",
    "anomaly",
    "bounds",
    "checkpoints",
    "data",
    "densities",
    "diagnostics",
    "estimators",
    "evaluation",
    "exact",
    "flows",
    "keys",
    "latent_variable_model",
    "minimax",
    "models",
    "networks",
    "priors",
    "training",
    "weights",
]
