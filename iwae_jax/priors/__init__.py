"""Trainable priors r_lambda(z): pairs of pure functions of lambda, and lambda.

| prior | lambda | draws from noise, for `gdreg` | Gaussian, for `analytic_kl` |
| --- | --- | --- | --- |
| `standard_gaussian` | none | yes | yes |
| `diagonal_gaussian`, `full_gaussian` | both moments | yes | yes |
| `gaussian_mixture` | weights, means, scales | no | no |
| `vamp` (`tied`) | pseudo-inputs, encoder | no | no |
| `from_flow` | the flow's | yes | no |
| `autoregressive` | one for each layer | as the top one | no |
"""

from iwae_jax.priors.composed import autoregressive, from_flow
from iwae_jax.priors.gaussians import (
    bounded_log_scale,
    diagonal_gaussian,
    full_gaussian,
    standard_gaussian,
)
from iwae_jax.priors.mixtures import gaussian_mixture, tie, tied, vamp
from iwae_jax.priors.structures import Prior

__all__ = [
    "Prior",
    "autoregressive",
    "bounded_log_scale",
    "diagonal_gaussian",
    "from_flow",
    "full_gaussian",
    "gaussian_mixture",
    "standard_gaussian",
    "tie",
    "tied",
    "vamp",
]
