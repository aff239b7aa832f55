"""Training: one update, an epoch as one scan, and a run with checkpoints."""

from iwae_jax.training.fit import FitProgress, NonFiniteError, fit
from iwae_jax.training.results import FitResult, restore
from iwae_jax.training.schedules import PAPER_PASSES, paper_optimizer, short_optimizer
from iwae_jax.training.step import (
    TrainInfo,
    TrainState,
    dynamic_binarisation,
    epoch,
    init,
    step,
)

__all__ = [
    "PAPER_PASSES",
    "FitProgress",
    "FitResult",
    "NonFiniteError",
    "TrainInfo",
    "TrainState",
    "dynamic_binarisation",
    "epoch",
    "fit",
    "init",
    "paper_optimizer",
    "restore",
    "short_optimizer",
    "step",
]
