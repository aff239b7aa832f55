"""The log-likelihood of test images, drawn and measured in the same way by every experiment."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import LatentVariableModel, Params, evaluation, keys, training
from iwae_jax.types import Array, Key

AT_ONCE = 50


def evaluation_key(seed: int) -> Key:
    """The key of all that is drawn to evaluate."""
    return keys.tagged(jax.random.key(seed), keys.EVALUATION)


def binarised(images: np.ndarray, *, seed: int) -> Array:
    """Test images in black and white, each drawn once from its grey levels."""
    places = jnp.arange(len(images))
    example_keys = jax.vmap(keys.example, (None, 0))(evaluation_key(seed), places)
    return jax.jit(jax.vmap(training.dynamic_binarisation))(example_keys, images)


def log_likelihood(
    params: Params,
    xs: Array,
    *,
    seed: int,
    model: LatentVariableModel,
    num_samples: int,
    chunk_size: int = 1000,
    show: Callable[[int, str], None] = lambda done, note: None,
) -> evaluation.LogLikelihood:
    """`evaluation.log_likelihood` of each image, piece by piece; `show` is told of each."""
    measure = jax.jit(
        partial(
            evaluation.log_likelihood, model=model, num_samples=num_samples, chunk_size=chunk_size
        )
    )
    pieces = []
    for first in range(0, len(xs), AT_ONCE):
        piece = xs[first : first + AT_ONCE]
        found = measure(evaluation_key(seed), params, piece, first_position=first)
        pieces.append(jax.device_get(found))
        show(first + len(piece), f"log p(x) {np.mean(pieces[-1].bound):.2f}")
    return jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)
