"""The checks that builders make of their arguments."""

from collections.abc import Sequence

import jax.numpy as jnp

from iwae_jax.types import Array


def check_positive(*sizes: int) -> None:
    """Refuses a size below 1."""
    for size in sizes:
        if size < 1:
            raise ValueError(f"every size must be at least 1; got {size}.")


def check_pixel_mean(pixel_mean: Array | None, event_shape: Sequence[int]) -> None:
    """Refuses a mean that is not of the event's shape."""
    if pixel_mean is not None and jnp.shape(pixel_mean) != tuple(event_shape):
        raise ValueError(
            f"pixel_mean must have the event's shape {tuple(event_shape)}; "
            f"got {jnp.shape(pixel_mean)}."
        )
