"""Models on which gradient estimators are compared, with exact gradients where there are any."""

import itertools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments import run, train_iwae
from iwae_jax import LatentVariableModel, Params, data, exact, keys, models, training
from iwae_jax.types import Array, PyTree

SIZE = 20
LATENTS = 3


class Study(NamedTuple):
    """What is studied.

    Attributes:
      model: the model.
      params: where its gradients are taken.
      xs: ``[N, ...]``, the data.
      signals: bound -> K -> half -> the exact gradient of the mean over the data; None where the
        model has no oracle.
    """

    model: LatentVariableModel
    params: Params
    xs: Array
    signals: dict[str, dict[int, dict[str, PyTree]]] | None


def build(options) -> Study:
    """The study of an experiment's options."""
    if (options.model == "trained") != (options.trained is not None):
        raise run.BadInput("--model trained goes with --trained FOLDER, and only with it.")
    return {"toy": _toy, "belief_network": _belief_network, "trained": _trained}[options.model](
        options
    )


def _toy(options) -> Study:
    key = jax.random.key(options.seed)
    model, params = models.gaussian_toy(keys.tagged(key, keys.INITIALISATION), size=SIZE)
    # Data of the same model with another mean: the study is of a point near the best phi.
    z_key, x_key = jax.random.split(keys.tagged(key, keys.OBSERVATION))
    draw = lambda key: jax.random.normal(key, (options.num_data, SIZE))
    xs = draw(z_key) + draw(x_key)
    law = partial(exact.gaussian_toy_law, num_nodes=48)
    return Study(model, params, xs, _signals(law, params, xs, options))


def _belief_network(options) -> Study:
    key = jax.random.key(options.seed)
    model, params = models.sigmoid_belief_network(
        keys.tagged(key, keys.INITIALISATION), event_shape=(6,), latent_size=LATENTS
    )
    params = jax.tree.map(lambda leaf: 2.0 * leaf + 0.1, params)
    draws = jax.random.split(keys.tagged(key, keys.OBSERVATION), options.num_data)

    def datum(key: Any) -> Array:
        z_key, x_key = jax.random.split(key)
        z = model.generative.sample_prior(z_key, params.generative)
        return model.generative.sample_likelihood(x_key, params.generative, z)

    xs = jax.vmap(datum)(draws)
    states = list(itertools.product([0.0, 1.0], repeat=LATENTS))
    law = lambda params, x: exact.finite_law(params, x, model=model, latents=jnp.array(states))
    return Study(model, params, xs, _signals(law, params, xs, options))


def _trained(options) -> Study:
    trained, model, params = train_iwae.trained(options.trained)
    images = data.load(trained.dataset, "test", data_dir=trained.data_dir).images
    example_keys = jax.vmap(keys.example, (None, 0))(
        keys.tagged(jax.random.key(options.seed), keys.OBSERVATION), jnp.arange(options.num_data)
    )
    xs = jax.vmap(training.dynamic_binarisation)(
        example_keys, jnp.asarray(images[: options.num_data])
    )
    return Study(model, params._replace(control=()), xs, None)


def _signals(law, params: Params, xs: Array, options) -> dict[str, dict[int, dict[str, PyTree]]]:
    single = jax.tree.map(lambda leaf: leaf.dtype, params)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, xs))

        def mean(bound, params, xs):
            return jnp.mean(jax.lax.map(lambda x: bound(law(params, x)), xs))

        @jax.jit
        def of_iwae(params, xs, num_samples):
            bound = partial(exact.iwae, num_samples=num_samples)
            return jax.grad(partial(mean, bound))(params, xs)

        of_elbo = jax.jit(jax.grad(partial(mean, exact.elbo)))(*wide)
        exact_gradients = {
            "iwae": {k: of_iwae(*wide, k) for k in options.num_samples},
            "elbo": dict.fromkeys(options.num_samples, of_elbo),
        }
    return {
        bound: {
            k: _halves(jax.tree.map(lambda leaf, dtype: leaf.astype(dtype), gradient, single))
            for k, gradient in of_bound.items()
        }
        for bound, of_bound in exact_gradients.items()
    }


def _halves(gradient: Params) -> dict[str, PyTree]:
    return {"theta": gradient.generative, "phi": gradient.inference}
