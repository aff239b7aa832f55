"""The key tree: its exact shape, and that no two places share a key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import keys

ROOT = jax.random.key(0)
TAGS = [value for name, value in vars(keys).items() if name.isupper()]


def data(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def fold(key, *indices):
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key


def test_every_place_of_the_tree_is_where_the_contract_says():
    example = keys.example(keys.step(ROOT, 3), 7)
    assert data(example) == data(fold(ROOT, 3, 7))
    assert data(keys.sample(example, 2)) == data(fold(ROOT, 3, 7, 2))
    assert data(keys.extra(example, 2, 0)) == data(fold(ROOT, 3, 7, 2, 1))
    assert data(keys.tagged(example, keys.OBSERVATION)) == data(fold(example, keys.OBSERVATION))


def test_no_two_places_share_a_key():
    places = [data(ROOT)]
    places += [data(keys.tagged(ROOT, tag)) for tag in TAGS]
    for t in range(2):
        step = keys.step(ROOT, t)
        places.append(data(step))
        for i in range(3):
            example = keys.example(step, i)
            places += [data(example), *(data(keys.tagged(example, tag)) for tag in TAGS)]
            for k in range(4):
                places.append(data(keys.sample(example, k)))
                places += [data(keys.extra(example, k, s)) for s in range(2)]
    assert len(set(places)) == len(places)


def test_fewer_samples_are_the_first_of_more():
    few, many = keys.samples(ROOT, 3), keys.samples(ROOT, 10)
    assert jnp.all(few == many[:3])
    assert jnp.all(few == jnp.stack([keys.sample(ROOT, k) for k in range(3)]))


@pytest.mark.parametrize("tag", [0, 2**31 - 1, 2**32])
def test_a_tag_that_an_index_could_be_is_refused(tag):
    with pytest.raises(ValueError, match=str(tag)):
        keys.tagged(ROOT, tag)
