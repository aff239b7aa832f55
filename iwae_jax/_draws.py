"""The numbers of `jax.random.normal`, bit for bit, in two thirds of its time on a CPU.

There `jax.random` runs the rounds of its hash as a loop, which passes whole arrays through memory.
Here they are written out, and fuse with what uses the numbers: good for the noise of a sample, and
bad for that of a datum, which would be drawn again with each of its samples. What this file has no
answer for (another generator, another dtype than float32) is left to `jax.random`.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from iwae_jax.types import Array, Key

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
# By its name, since not every version of JAX declares it.
_EACH_BY_ITS_COUNT = "jax_threefry_partitionable"


def _rotated(x: Array, distance: int) -> Array:
    return (x << np.uint32(distance)) | (x >> np.uint32(32 - distance))


def _threefry(key: Array, counts: Array) -> Array:
    """Bits of each count below 2**32: Salmon et al. (2011), section 4.2, twenty rounds."""
    words = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(_PARITY))
    a, b = words[0], counts + words[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            a = a + b
            b = _rotated(b, distance) ^ a
        a = a + words[(group + 1) % 3]
        b = b + words[(group + 2) % 3] + np.uint32(group + 1)
    return a ^ b


def _is_known(key: Key, size: int, dtype: DTypeLike) -> bool:
    return bool(
        dtype == jnp.float32
        and 0 < size < 2**32
        and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        and str(jax.random.key_impl(key)) == "threefry2x32"
        and getattr(jax.config, _EACH_BY_ITS_COUNT)
    )


def normal(key: Key, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """`jax.random.normal`."""
    if not _is_known(key, math.prod(shape), dtype):
        return jax.random.normal(key, shape, dtype)
    counts = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    mantissas = _threefry(jax.random.key_data(key), counts) >> np.uint32(9)
    one = np.float32(1.0).view(np.uint32)
    unit = jax.lax.bitcast_convert_type(mantissas | one, jnp.float32) - 1
    low, high = np.nextafter(np.float32(-1.0), np.float32(0.0)), np.float32(1.0)
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(jnp.maximum(low, unit * (high - low) + low))
