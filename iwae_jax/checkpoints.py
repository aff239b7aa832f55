"""Checkpoints of a training: written whole or not at all, through orbax."""

import importlib
import pathlib
from typing import Any, NamedTuple

import jax

from iwae_jax.types import PyTree

SCHEMA = 2
_KEPT = 2


class Checkpoint(NamedTuple):
    """What a training needs to go on.

    Attributes:
      state: a pytree of arrays.
      progress: JSON values: the history so far, and what the run must agree on to be continued.
    """

    state: PyTree
    progress: dict[str, Any]


def _orbax() -> Any:
    try:
        return importlib.import_module("orbax.checkpoint")
    except ImportError as error:
        raise ImportError("checkpoints need orbax: pip install 'iwae_jax[experiments]'") from error


def _manager(directory: pathlib.Path) -> Any:
    orbax = _orbax()
    options = orbax.CheckpointManagerOptions(max_to_keep=_KEPT, enable_async_checkpointing=False)
    return orbax.CheckpointManager(directory.absolute(), options=options)


def save(directory: pathlib.Path | str, step: int, checkpoint: Checkpoint) -> pathlib.Path:
    """Writes a checkpoint; a process killed meanwhile leaves the earlier ones as they were.

    The two newest are kept.

    Args:
      directory: folder of the checkpoints; created where it is missing.
      step: number of updates made, which names the checkpoint.
      checkpoint: what to write.

    Returns:
      The checkpoint's own folder.

    Raises:
      ImportError: orbax is not installed.

    Example:
      >>> import jax.numpy as jnp, tempfile
      >>> from iwae_jax import checkpoints
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = checkpoints.save(folder, 3, checkpoints.Checkpoint(jnp.ones(2), {"note": "a"}))
      ...     step, checkpoint = checkpoints.restore(folder, jnp.zeros(2))
      >>> step, checkpoint.progress["note"]
      (3, 'a')

    References:
      Orbax (2022), CheckpointManager.
    """
    orbax = _orbax()
    directory = pathlib.Path(directory)
    with _manager(directory) as manager:
        manager.save(
            step,
            args=orbax.args.Composite(
                # orbax takes no bare array, so the state is an entry.
                state=orbax.args.StandardSave({"state": checkpoint.state}),
                progress=orbax.args.JsonSave({"schema": SCHEMA, **checkpoint.progress}),
            ),
        )
    return directory / str(step)


def restore(directory: pathlib.Path | str, like: PyTree) -> tuple[int, Checkpoint] | None:
    """Reads the newest checkpoint of a folder.

    Args:
      directory: folder of the checkpoints.
      like: a state of the same structure, shapes and dtypes.

    Returns:
      The step and the checkpoint, or None where the folder holds none.

    Raises:
      ImportError: orbax is not installed.
      ValueError: the newest checkpoint has another schema, or another model's state.

    Example:
      >>> from iwae_jax import checkpoints
      >>> checkpoints.restore("a folder that does not exist", ()) is None
      True

    References:
      Orbax (2022), CheckpointManager.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        return None
    orbax = _orbax()
    with _manager(directory) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        progress = manager.restore(
            step, args=orbax.args.Composite(progress=orbax.args.JsonRestore())
        )
        schema = progress["progress"].get("schema")
        if schema != SCHEMA:
            raise ValueError(
                f"the checkpoint {directory / str(step)} has schema {schema}, and this version of "
                f"iwae_jax reads schema {SCHEMA}: continue it with the version that wrote it."
            )
        try:
            restored = manager.restore(
                step,
                args=orbax.args.Composite(
                    state=orbax.args.StandardRestore({"state": jax.eval_shape(lambda: like)})
                ),
            )
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"the checkpoint {directory / str(step)} holds another model or optimiser than the "
                "one being trained: continue with the options it was started with."
            ) from error
    return step, Checkpoint(restored["state"]["state"], progress["progress"])
