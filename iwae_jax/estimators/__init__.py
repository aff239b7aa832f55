"""Gradient estimators: the value is a bound, and its `jax.grad` is a named direction."""

from iwae_jax.estimators.analytic_kl import analytic_kl
from iwae_jax.estimators.disarm import disarm, disarm_iwae
from iwae_jax.estimators.generalised import gdreg
from iwae_jax.estimators.measure_valued import measure_valued
from iwae_jax.estimators.ovis import ovis, ovis_monte_carlo
from iwae_jax.estimators.relax import rebar, relax
from iwae_jax.estimators.relaxed import gumbel_softmax, straight_through
from iwae_jax.estimators.renyi import vr_iwae, vr_iwae_dreg
from iwae_jax.estimators.reparameterised import dreg, pathwise, sticking_the_landing
from iwae_jax.estimators.resampled import resampled_systematic, resampled_top
from iwae_jax.estimators.score_function import leave_one_out, nvil, score_function
from iwae_jax.estimators.several_bounds import ciwae, miwae, piwae
from iwae_jax.estimators.thermodynamic import tvo
from iwae_jax.estimators.vimco import vimco_arithmetic, vimco_geometric
from iwae_jax.estimators.wake_sleep import wake_sleep, wake_wake, wake_wake_dreg

__all__ = [
    "analytic_kl",
    "ciwae",
    "disarm",
    "disarm_iwae",
    "dreg",
    "gdreg",
    "gumbel_softmax",
    "leave_one_out",
    "measure_valued",
    "miwae",
    "nvil",
    "ovis",
    "ovis_monte_carlo",
    "pathwise",
    "piwae",
    "rebar",
    "relax",
    "resampled_systematic",
    "resampled_top",
    "score_function",
    "sticking_the_landing",
    "straight_through",
    "tvo",
    "vimco_arithmetic",
    "vimco_geometric",
    "vr_iwae",
    "vr_iwae_dreg",
    "wake_sleep",
    "wake_wake",
    "wake_wake_dreg",
]
