"""What a flow's detection is compared with: closed forms, the course's NICE, and a VAE's bound."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import flow_judging, flow_models
from experiments.flow_materials import Material
from iwae_jax import Params, estimators, evaluation, flows, keys, models, training
from iwae_jax.types import Array

BOUND_SAMPLES = 50
TRAINED_SAMPLES = 5
LEARNING_RATE = 1e-3
# Standard deviation of the logistic distribution.
LOGISTIC = np.pi / np.sqrt(3.0)

Told = Callable[[training.FitProgress], None]


class Baseline(NamedTuple):
    """Its scores, and what the table says of it."""

    scores: flow_judging.Scores
    numbers: dict[str, Any]


def scores_of(density: flow_models.Density, material: Material) -> flow_judging.Scores:
    """Log p of everything that is judged."""
    return {
        name: flow_models.log_probs(density, getattr(material, name))
        for name in ("held_out", "test", "anomalous")
    }


def _of_density(density: flow_models.Density, material: Material, options, start: float):
    seconds = time.monotonic() - start
    bits, error = flow_models.test_bits(density, material.test, seed=options.seed)
    numbers = {
        "bits_per_dim": bits, "bits_per_dim_se": error, "train_seconds": seconds,
        "num_parameters": flow_models.num_parameters(density.params),
    }  # fmt: skip
    return Baseline(scores_of(density, material), numbers)


def gaussian(options, material: Material, folder, on_progress: Told) -> Baseline:
    """One Gaussian of full covariance."""
    start = time.monotonic()
    density = flow_models.gaussian(material.train, alpha=options.alpha)
    return _of_density(density, material, options, start)


def class_mixture(options, material: Material, folder, on_progress: Told) -> Baseline:
    """A Gaussian for each class."""
    start = time.monotonic()
    density = flow_models.class_mixture(material.train, material.labels, alpha=options.alpha)
    return _of_density(density, material, options, start)


def nice(options, material: Material, folder, on_progress: Told) -> Baseline:
    """The course's network on its pixels in [0, 1], the scales begun at those of the pixels."""
    start, shape = time.monotonic(), material.train.shape[1:]
    flow, params = flows.nice(
        keys.tagged(jax.random.key(options.seed), keys.INITIALISATION), shape,
        hidden_sizes=(options.nice_hidden_size,) * 5, preprocessing=flows.unit_pixels(shape),
    )  # fmt: skip
    spread = flow_models.noisy(material.train).std(0) / 256.0
    (blocks, _), *rest = params["bijection"]
    scales = jnp.asarray(np.log(LOGISTIC / spread).reshape(-1), jnp.float32)
    params = params | {"bijection": [[blocks, scales], *rest]}
    density = flow_models.train(
        jax.random.key(options.seed), flow_models.Density(flow, params), material.train,
        epochs=epochs(options), learning_rate=LEARNING_RATE, checkpoint_dir=folder,
        batch_size=min(256, len(material.train)), steps_per_scan=50,
        validation_images=material.held_out[:1000], on_progress=on_progress,
    )  # fmt: skip
    return _of_density(density, material, options, start)


def iwae(options, material: Material, folder, on_progress: Told) -> Baseline:
    """The bound of an importance-weighted autoencoder on black and white images."""
    start, root = time.monotonic(), jax.random.key(options.seed)
    model, params = models.vae(
        keys.tagged(root, keys.INITIALISATION), event_shape=material.train.shape[1:],
        pixel_mean=jnp.asarray(material.train.mean(0) / 255.0),
    )  # fmt: skip
    batch_size = min(100, len(material.train))
    num_steps = epochs(options) * (len(material.train) // batch_size)
    params = training.fit(
        root, params, material.train, model=model, estimator=estimators.pathwise,
        num_samples=TRAINED_SAMPLES, batch_size=batch_size, num_epochs=epochs(options),
        optimizer=training.short_optimizer(num_steps=num_steps, learning_rate=LEARNING_RATE),
        validation_images=material.held_out[:1000], checkpoint_dir=folder, on_progress=on_progress,
    ).best_params  # fmt: skip
    seconds = time.monotonic() - start
    key = keys.tagged(root, keys.EVALUATION)

    @jax.jit
    def bound(params: Params, images: Array) -> Array:
        xs = (images > 127).astype(jnp.float32)
        return evaluation.log_likelihood(
            key, params, xs, model=model, num_samples=BOUND_SAMPLES
        ).bound

    scores = {
        name: flow_models.in_pieces(bound, params, getattr(material, name))
        for name in ("held_out", "test", "anomalous")
    }
    # Of two grey levels, so that its bits compare with nothing in the table.
    numbers = {
        "bits_per_dim": None, "bits_per_dim_se": None, "train_seconds": seconds,
        "num_parameters": flow_models.num_parameters(params),
    }  # fmt: skip
    return Baseline(scores, numbers)


BASELINES = {"Gaussian": gaussian, "class mixture": class_mixture, "IWAE bound": iwae, "NICE": nice}


def epochs(options) -> int:
    """Passes over the data of what is trained here."""
    return options.baseline_epochs or (10 if options.dataset == "mnist" else 100)
