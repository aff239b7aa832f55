"""Bounds of log p(x) from the log-weights of one datum, and estimates that are not bounds.

All are ``[K] -> []`` in log space; where the value is infinite, the gradient is 0.
"""

from iwae_jax.bounds._debiased import jackknife, sumo, sumo_num_terms
from iwae_jax.bounds._lower import ciwae, elbo, iwae, miwae, vr_iwae
from iwae_jax.bounds._thermodynamic import tvo_lower, tvo_upper
from iwae_jax.bounds._upper import cubo, eubo

__all__ = [
    "ciwae",
    "cubo",
    "elbo",
    "eubo",
    "iwae",
    "jackknife",
    "miwae",
    "sumo",
    "sumo_num_terms",
    "tvo_lower",
    "tvo_upper",
    "vr_iwae",
]
