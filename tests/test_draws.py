"""The numbers of `jax.random.normal`, bit for bit, whatever they are asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import _draws

SHAPES = [(), (1,), (5,), (3, 4), (2, 1, 3), (0,), (2, 0), (1000,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1, 2**31 + 5])
def test_they_are_those_of_jax(shape, seed):
    key = jax.random.key(np.uint32(seed))
    for dtype in (jnp.float32, jnp.bfloat16):
        found, known = _draws.normal(key, shape, dtype), jax.random.normal(key, shape, dtype)
        assert found.dtype == known.dtype == dtype
        np.testing.assert_array_equal(found, known)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_they_are_those_of_any_generator(impl):
    key = jax.random.key(3, impl=impl)
    np.testing.assert_array_equal(
        _draws.normal(key, (7,), jnp.float32), jax.random.normal(key, (7,), jnp.float32)
    )


def test_they_are_those_of_a_key_of_the_old_kind_and_of_a_hash_that_cannot_be_split():
    old = jax.random.PRNGKey(4)
    np.testing.assert_array_equal(
        _draws.normal(old, (7,), jnp.float32), jax.random.normal(old, (7,), jnp.float32)
    )
    with jax.threefry_partitionable(False):
        key = jax.random.key(4)
        np.testing.assert_array_equal(
            _draws.normal(key, (7,), jnp.float32), jax.random.normal(key, (7,), jnp.float32)
        )


def test_they_are_those_of_jax_in_a_vmap_and_in_double_precision(float64):
    keys = jax.random.split(jax.random.key(5), 1000)
    for dtype in (jnp.float32, jnp.float64):
        found = jax.jit(jax.vmap(lambda key, dtype=dtype: _draws.normal(key, (20,), dtype)))(keys)
        known = jax.vmap(lambda key, dtype=dtype: jax.random.normal(key, (20,), dtype))(keys)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, known)
