"""The oracles' precision."""

import jax
import jax.numpy as jnp

from iwae_jax.types import PyTree


def require_float64(tree: PyTree) -> None:
    """Refuses anything less precise than float64.

    Args:
      tree: a pytree of arrays.

    Raises:
      TypeError: a leaf is not float64, with what to do about it.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax.exact import precision
      >>> precision.require_float64(jnp.ones(3))
      Traceback (most recent call last):
      ...
      TypeError: an oracle needs float64, not float32: run jax.config.update('jax_enable_x64', \
True) first, or work under jax.enable_x64(True).

    References:
      Higham (2002), Accuracy and Stability of Numerical Algorithms, section 1.
    """
    for leaf in jax.tree.leaves(tree):
        dtype = jnp.result_type(leaf)
        if dtype != jnp.float64:
            raise TypeError(
                f"an oracle needs float64, not {dtype}: run jax.config.update('jax_enable_x64', "
                "True) first, or work under jax.enable_x64(True)."
            )
