"""The networks that `experiments.train_iwae` trains, and how they are found again."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import objectives, run
from iwae_jax import LatentVariableModel, Params, keys, models


def build(options, images: np.ndarray) -> tuple[LatentVariableModel, Params]:
    """The network of a run's options, with its estimator's learnt part among the parameters."""
    key = keys.tagged(jax.random.key(options.seed), keys.INITIALISATION)
    event_shape, pixel_mean = images.shape[1:], images.mean(0) / 255.0
    common = {"event_shape": event_shape, "pixel_mean": pixel_mean}
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
    x = jnp.zeros(event_shape)
    params = objectives.with_control(options.objective, model, params, x)
    objectives.require_fit(
        options.objective, objectives.estimator(options.objective, options.settings), model,
        params, x, options.num_samples,
    )  # fmt: skip
    return model, params
