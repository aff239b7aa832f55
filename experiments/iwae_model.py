"""What `experiments.train_iwae` makes of its options: a schedule, an optimiser and a network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import objectives, run
from iwae_jax import LatentVariableModel, Params, keys, models, training


class Plan(NamedTuple):
    """The options with their defaults filled in."""

    epochs: int
    batch_size: int
    max_pairs: int


def plan(options, num_images: int) -> Plan:
    """Fills in the defaults, and refuses what cannot be run before anything is written."""
    run.at_least(
        options, num_samples=1, hidden_size=1, latent_size=1, epochs=1, batch_size=1, max_pairs=1,
        evaluation_samples=2, evaluation_images=1,
    )  # fmt: skip
    if options.learning_rate <= 0.0:
        raise run.BadInput("--learning-rate must be positive.")
    if not 0 <= options.validation_images < num_images:
        raise run.BadInput(f"--validation-images must be from 0 to {num_images - 1}.")
    paper = options.schedule == "paper"
    epochs = training.PAPER_PASSES if paper else 300 if options.dataset == "digits" else 60
    on_cpu = jax.default_backend() == "cpu"
    filled = Plan(
        epochs=options.epochs or epochs,
        batch_size=options.batch_size or (20 if paper else 100),
        max_pairs=options.max_pairs or (2000 if on_cpu else 10**9),
    )
    if filled.batch_size > num_images - options.validation_images:
        raise run.BadInput(
            f"--batch-size {filled.batch_size} exceeds the {num_images - options.validation_images}"
            " training images."
        )
    return filled


def optimizer(options, num_images: int) -> optax.GradientTransformation:
    """The optimiser of a run, with the learning rates of its schedule."""
    filled = plan(options, num_images)
    steps_per_epoch = (num_images - options.validation_images) // filled.batch_size
    if options.schedule == "paper":
        return training.paper_optimizer(steps_per_pass=steps_per_epoch)
    num_steps = filled.epochs * steps_per_epoch
    return training.short_optimizer(
        num_steps=num_steps, learning_rate=options.learning_rate, warmup_steps=num_steps // 60
    )


def build(options, images: np.ndarray) -> tuple[LatentVariableModel, Params]:
    """The network of a run's options, with its estimator's learnt part among the parameters."""
    key = keys.tagged(jax.random.key(options.seed), keys.INITIALISATION)
    event_shape, pixel_mean = images.shape[1:], jnp.asarray(images.mean(0) / 255.0)
    common: dict[str, Any] = {"event_shape": event_shape, "pixel_mean": pixel_mean}
    wide, narrow = (options.hidden_size,) * 2, (max(1, options.hidden_size // 2),) * 2
    if options.latents == "bernoulli":
        if options.layers != 1:
            raise run.BadInput("--latents bernoulli has one stochastic layer: leave --layers at 1.")
        model, params = models.sigmoid_belief_network(
            key, latent_size=options.latent_size, **common
        )
    elif options.layers == 1:
        model, params = models.vae(
            key, latent_size=options.latent_size, hidden_sizes=wide, **common
        )
    else:
        model, params = models.hierarchical_vae(
            key, latent_sizes=(2 * options.latent_size, options.latent_size),
            hidden_sizes=(wide, narrow), **common,
        )  # fmt: skip
    x = jnp.zeros(event_shape, jnp.float32)
    params = objectives.with_control(options.objective, model, params, x)
    objectives.require_fit(
        options.objective, objectives.estimator(options.objective, options.settings), model,
        params, x, options.num_samples,
    )  # fmt: skip
    return model, params
