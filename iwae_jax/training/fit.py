"""A whole training on one device: epochs, validation, checkpoints, and stopping when it breaks."""

import math
import pathlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iwae_jax import checkpoints, evaluation, keys
from iwae_jax.training.results import FitResult, _kept
from iwae_jax.training.step import TrainInfo, TrainState, dynamic_binarisation, epoch, init
from iwae_jax.types import Array, Estimator, Key, LatentVariableModel, Params, PyTree


class NonFiniteError(FloatingPointError):
    """The bound or the parameters stopped being finite."""


class FitProgress(NamedTuple):
    """What `fit` tells while it works.

    Attributes:
      step: updates made.
      num_steps: updates in the whole training.
      bound: mean of the bound over the last updates, in nats.
      epoch: the epoch's line of the history, once it has ended; None within an epoch.
    """

    step: int
    num_steps: int
    bound: float
    epoch: dict[str, float] | None


_STATIC = ("model", "estimator", "num_samples", "max_pairs", "observe")
_epoch = jax.jit(
    epoch,
    static_argnames=(*_STATIC, "optimizer"),
    donate_argnames=("state",),
)


_mean_bound = jax.jit(evaluation.mean_bound, static_argnames=_STATIC)


@partial(jax.jit, static_argnames=("num_images", "num_used"))
def _order(key: Key, index: Array, *, num_images: int, num_used: int) -> Array:
    shuffling = jax.random.fold_in(keys.tagged(key, keys.PERMUTATION), index)
    return jax.random.permutation(shuffling, num_images)[:num_used]


@jax.jit
def _all_finite(tree: PyTree) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def fit(
    key: Key,
    params: Params,
    images: np.ndarray | Array,
    *,
    model: LatentVariableModel,
    estimator: Estimator,
    num_samples: int,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    num_epochs: int,
    max_pairs: int = 2000,
    steps_per_scan: int = 500,
    observe: Callable[[Key, Array], PyTree] = dynamic_binarisation,
    validation_images: np.ndarray | Array | None = None,
    checkpoint_dir: pathlib.Path | str | None = None,
    checkpoint_seconds: float = 120.0,
    on_progress: Callable[[FitProgress], None] = lambda progress: None,
) -> FitResult:
    """Trains a model; with a folder for checkpoints, goes on from the newest one there.

    The data are put on the device once. An epoch visits a fresh permutation of them in whole
    batches, as one scan (or several, of `steps_per_scan` updates, between which the host hears of
    the progress). A training that is continued gives bit for bit the parameters and the history of
    one that was never stopped, on the same device.

    Args:
      key: root key of the training, ``[]``.
      params: the initial parameters.
      images: ``[N, ...]``, uint8.
      model: the model.
      estimator: any estimator that takes `over_samples`; its ascent direction is followed.
      num_samples: K.
      optimizer: an optimiser of a loss that is minimised.
      batch_size: data in a batch, from 1 to N.
      num_epochs: passes over the data, in whole batches.
      max_pairs: largest number K * batch of pairs in one pass; a larger batch is split. About
        2000 is best for a CPU's cache; an accelerator wants as many as fit.
      steps_per_scan: largest number of updates between two looks of the host. With 1 there is no
        loop, in which XLA's convolutions are slow on a CPU.
      observe: ``(key, image) -> x``, what the model sees of an image.
      validation_images: ``[M, ...]``, uint8; their bound and ESS are logged after every epoch.
      checkpoint_dir: folder of the checkpoints; None writes none.
      checkpoint_seconds: least time between two checkpoints; the last state is always written.
      on_progress: called after every scan.

    Returns:
      The trained parameters and the history.

    Raises:
      ValueError: an argument out of its range, or a checkpoint of another training.
      NonFiniteError: the bound or the parameters are no longer finite; the message has the step,
        the last good checkpoint and what to try.

    Example:
      >>> import jax, numpy as np
      >>> from iwae_jax import estimators, models, training
      >>> model, params = models.vae(jax.random.key(0), event_shape=(8, 8), hidden_sizes=(8,))
      >>> result = training.fit(
      ...     jax.random.key(1), params, np.zeros((100, 8, 8), np.uint8), model=model,
      ...     estimator=estimators.pathwise, num_samples=5, batch_size=20, num_epochs=2,
      ...     optimizer=training.short_optimizer(num_steps=10))
      >>> [line["step"] for line in result.history]
      [5, 10]

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """
    num_images = len(images)
    if not 1 <= batch_size <= num_images:
        raise ValueError(
            f"batch_size must be from 1 to {num_images}, the images; got {batch_size}."
        )
    for name, value in {
        "num_samples": num_samples,
        "num_epochs": num_epochs,
        "max_pairs": max_pairs,
        "steps_per_scan": steps_per_scan,
    }.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    steps_per_epoch = num_images // batch_size
    run = {
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "num_images": num_images,
        "batch_size": batch_size,
        "num_samples": num_samples,
        "steps_per_scan": steps_per_scan,
    }
    # The copy is what the first scan may overwrite: the caller keeps the parameters passed in.
    state = init(jax.tree.map(jnp.array, params), optimizer=optimizer)
    state, best, history, sums = _resume(checkpoint_dir, state, run)
    done = int(state.step)

    images = jax.device_put(images)
    options = {
        "model": model,
        "estimator": estimator,
        "num_samples": num_samples,
        "max_pairs": max_pairs,
        "observe": observe,
    }
    saved_at, saved_step = time.monotonic(), done

    def save() -> None:
        nonlocal saved_at, saved_step
        if checkpoint_dir is not None and saved_step < done:
            progress = {"run": run, "history": history, "sums": sums}
            kept = _kept(state) if best is None else _kept(state) | {"best_params": best}
            checkpoints.save(checkpoint_dir, done, checkpoints.Checkpoint(kept, progress))
            saved_at, saved_step = time.monotonic(), done

    for index in range(done // steps_per_epoch, num_epochs):
        order = _order(key, index, num_images=num_images, num_used=steps_per_epoch * batch_size)
        order = order.reshape(steps_per_epoch, batch_size)
        while done < (index + 1) * steps_per_epoch:
            first = done - index * steps_per_epoch
            state, info = _epoch(
                key, state, images, order[first : first + steps_per_scan],
                optimizer=optimizer, **options,
            )  # fmt: skip
            _check_finite(info, state, done, checkpoint_dir, saved_step)
            done += len(info.bound)
            sums = {name: sums[name] + total for name, total in _totals(info).items()}
            line: dict[str, float] | None = None
            if done == (index + 1) * steps_per_epoch:
                line = {"epoch": index + 1, "step": done}
                line |= {f"train_{n}": total / steps_per_epoch for n, total in sums.items()}
                if validation_images is not None:
                    line |= _validate(key, state.params, validation_images, options)
                    bounds = [earlier.get("validation_bound", -math.inf) for earlier in history]
                    if best is None or line["validation_bound"] > max(bounds):
                        best = jax.tree.map(jnp.array, state.params)
                history = [*history, line]
                sums = dict.fromkeys(sums, 0.0)
            bound = float(jnp.mean(info.bound))
            on_progress(FitProgress(done, num_epochs * steps_per_epoch, bound, line))
            if time.monotonic() - saved_at >= checkpoint_seconds:
                save()
    save()
    return FitResult(state.params, history, state.params if best is None else best)


def _resume(
    checkpoint_dir: pathlib.Path | str | None, state: TrainState, run: dict[str, Any]
) -> tuple[TrainState, Params | None, list[dict[str, float]], dict[str, float]]:
    found = None if checkpoint_dir is None else checkpoints.restore(checkpoint_dir, _kept(state))
    if found is None:
        return state, None, [], {"bound": 0.0, "ess": 0.0}
    step, (kept, progress) = found
    differing = [name for name in run if progress["run"][name] != run[name]]
    if differing:
        raise ValueError(
            f"the checkpoint of step {step} in {checkpoint_dir} belongs to another training, with "
            + ", ".join(f"{n}={progress['run'][n]} (now {run[n]})" for n in differing)
            + ": continue with the options it was started with, or choose another folder."
        )
    history = progress["history"]
    best = kept["best_params"] if any("validation_bound" in line for line in history) else None
    return kept["state"], best, history, progress["sums"]


def _totals(info: TrainInfo) -> dict[str, float]:
    return {
        "bound": float(np.asarray(info.bound, np.float64).sum()),
        "ess": float(np.asarray(info.effective_sample_size, np.float64).sum()),
    }


def _check_finite(
    info: TrainInfo,
    state: TrainState,
    done: int,
    checkpoint_dir: pathlib.Path | str | None,
    saved_step: int,
) -> None:
    broken = np.flatnonzero(~np.isfinite(info.bound))
    if broken.size == 0 and bool(_all_finite(state.params)):
        return
    step = done + (int(broken[0]) if broken.size else len(info.bound) - 1)
    kept = "none was written"
    if checkpoint_dir is not None and saved_step:
        kept = str(pathlib.Path(checkpoint_dir) / str(saved_step))
    raise NonFiniteError(
        f"the bound or the parameters stopped being finite at step {step}; last good checkpoint: "
        f"{kept}. Try a lower learning rate, optax.clip_by_global_norm before the optimiser, or "
        "look for data outside the model's range."
    )


def _validate(
    key: Key, params: Params, images: np.ndarray | Array, options: dict[str, Any]
) -> dict[str, float]:
    bound, size = _mean_bound(keys.tagged(key, keys.VALIDATION), params, images, **options)
    return {"validation_bound": float(bound), "validation_ess": float(size)}
