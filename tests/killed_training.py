"""A small training that a test kills: ``python -m tests.killed_training FOLDER`` goes on with it.

It writes a checkpoint after every scan, and ``result.npz`` at the end.
"""

import json
import pathlib
import sys

import jax
import numpy as np

from iwae_jax import estimators, models, training

NUM_EPOCHS = 40


def main(folder: pathlib.Path) -> None:
    model, params = models.vae(
        jax.random.key(0), event_shape=(4, 4), latent_size=2, hidden_sizes=(8,)
    )
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8)
    print("started", flush=True)
    result = training.fit(
        jax.random.key(1),
        params,
        images,
        model=model,
        estimator=estimators.pathwise,
        num_samples=3,
        optimizer=training.short_optimizer(num_steps=NUM_EPOCHS * 6),
        batch_size=10,
        num_epochs=NUM_EPOCHS,
        steps_per_scan=4,
        checkpoint_dir=folder / "checkpoints",
        checkpoint_seconds=0.0,
        on_progress=lambda progress: print(progress.step, flush=True),
    )
    leaves = jax.tree.leaves(result.params)
    np.savez(folder / "result.npz", *leaves, history=json.dumps(result.history))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
