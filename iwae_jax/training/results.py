"""What a training has come to, in memory and in the folder of its checkpoints."""

import pathlib
from typing import Any, NamedTuple

import optax

from iwae_jax import checkpoints
from iwae_jax.training.step import TrainState, init
from iwae_jax.types import Params


class FitResult(NamedTuple):
    """What a training returns.

    Attributes:
      params: the parameters after the last update.
      history: one dictionary per epoch: "epoch", "step", "train_bound", "train_ess", and with
        validation images "validation_bound" and "validation_ess"; all in nats, all floats.
      best_params: those of the epoch with the highest validation bound; without validation images
        those after the last update.
    """

    params: Params
    history: list[dict[str, float]]
    best_params: Params


def restore(
    params: Params, checkpoint_dir: pathlib.Path | str, *, optimizer: optax.GradientTransformation
) -> FitResult | None:
    """What a training has come to, from the newest checkpoint of its folder.

    Args:
      params: parameters of the same structure, shapes and dtypes.
      checkpoint_dir: folder of the checkpoints.
      optimizer: the optimiser of the training.

    Returns:
      What `fit` would return now, or None where the folder holds no checkpoint.

    Raises:
      ValueError: the checkpoint has another schema, or is of another model or optimiser.

    Example:
      >>> import optax
      >>> from iwae_jax import training
      >>> training.restore((), "a folder that is not there", optimizer=optax.sgd(0.1)) is None
      True

    References:
      Orbax (2022), CheckpointManager.
    """
    found = checkpoints.restore(checkpoint_dir, _kept(init(params, optimizer=optimizer)))
    if found is None:
        return None
    _, (kept, progress) = found
    return FitResult(kept["state"].params, progress["history"], kept["best_params"])


def _kept(state: TrainState) -> dict[str, Any]:
    """What a checkpoint holds where no parameters were better than the last ones."""
    return {"state": state, "best_params": state.params}
