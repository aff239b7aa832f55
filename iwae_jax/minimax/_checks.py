"""What the sets share: their arguments' checks, and optax under strict promotion."""

from collections.abc import Callable

import jax

from iwae_jax.types import Array, PyTree


def with_standard_promotion(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Optax mixes dtypes where a user's strict promotion would refuse."""

    def promoted(tree: PyTree, *args: PyTree) -> PyTree:
        with jax.numpy_dtype_promotion("standard"):
            return jax.tree.map(lambda x, y: y.astype(x.dtype), tree, function(tree, *args))

    return promoted


def require_positive(size: float | Array, name: str) -> None:
    if not isinstance(size, jax.core.Tracer) and not size > 0:
        raise ValueError(f"{name} must be positive; got {size}.")
