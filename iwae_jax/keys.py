"""The key tree: every random draw has one place, so that no schedule of the work moves it.

    root
    |-- step(root, t)                       one update
    |   `-- example(step_key, i)            position i in the global batch
    |       |-- sample(example_key, k)      sample k of K
    |       |   `-- extra(example_key, k, s)   an extra draw s of sample k
    |       `-- tagged(example_key, OBSERVATION)
    `-- tagged(root, PERMUTATION), ...

Chunking the samples, splitting the batch, or taking a smaller K leaves each draw as it was.
Steps, positions, samples and draws count from 0 to 2**31 - 1; the tags lie above, so that none
can meet an index.
"""

import jax

from iwae_jax.types import Array, Key

PERMUTATION = 2**32 - 1
OBSERVATION = 2**32 - 2
VALIDATION = 2**32 - 3
INITIALISATION = 2**32 - 4
EVALUATION = 2**32 - 5
ILLUSTRATION = 2**32 - 6
DREAM = 2**32 - 7
RESAMPLING = 2**32 - 8


def step(key: Key, index: Array | int) -> Key:
    """Key of update `index` under the root key.

    Args:
      key: root key, ``[]``.
      index: number of the update, ``[]``, from 0.

    Returns:
      The update's key, ``[]``.

    Example:
      >>> root = jax.random.key(0)
      >>> bool(jax.numpy.all(step(root, 3) == jax.random.fold_in(root, 3)))
      True

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    return jax.random.fold_in(key, index)


def example(key: Key, position: Array | int) -> Key:
    """Key of the example at `position` of the global batch, under an update's key.

    Args:
      key: the update's key, ``[]``.
      position: position in the whole batch, ``[]``, not in a piece of it.

    Returns:
      The example's key, ``[]``: the one that an estimator takes.

    Example:
      >>> step_key = step(jax.random.key(0), 3)
      >>> example(step_key, 7).shape
      ()

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    return jax.random.fold_in(key, position)


def sample(key: Key, index: Array | int) -> Key:
    """Key of sample `index` of a datum, under the example's key.

    Args:
      key: the example's key, ``[]``.
      index: number of the sample, ``[]``, from 0 to K - 1.

    Returns:
      The sample's key, ``[]``.

    Example:
      >>> sample(jax.random.key(0), 2).shape
      ()

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    return jax.random.fold_in(key, index)


def samples(key: Key, num_samples: int) -> Key:
    """Keys of samples 0 to K - 1 of a datum, under the example's key.

    Args:
      key: the example's key, ``[]``.
      num_samples: K.

    Returns:
      The samples' keys, ``[K]``; the first of them do not depend on K.

    Raises:
      ValueError: `num_samples` is not positive.

    Example:
      >>> samples(jax.random.key(0), 5).shape
      (5,)

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1; got {num_samples}.")
    return jax.vmap(sample, (None, 0))(key, jax.numpy.arange(num_samples))


def extra(key: Key, index: Array | int, draw: Array | int) -> Key:
    """Key of an extra draw that belongs to one sample, under the example's key.

    Args:
      key: the example's key, ``[]``.
      index: number of the sample, ``[]``.
      draw: number of the extra draw, ``[]``, from 0.

    Returns:
      The draw's key, ``[]``, different from the sample's own.

    Example:
      >>> extra(jax.random.key(0), 2, 0).shape
      ()

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    return jax.random.fold_in(sample(key, index), draw + 1)


def tagged(key: Key, tag: int) -> Key:
    """Key of a draw that belongs to no sample: a permutation, a binarisation, a dream.

    Args:
      key: any key of the tree, ``[]``.
      tag: one of this module's constants in capitals.

    Returns:
      The draw's key, ``[]``, different from every step's, example's and sample's key.

    Raises:
      ValueError: `tag` lies where indices lie.

    Example:
      >>> tagged(jax.random.key(0), PERMUTATION).shape
      ()

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    if not 2**31 <= tag < 2**32:
        raise ValueError(f"a tag lies from 2**31 to 2**32 - 1, apart from the indices; got {tag}.")
    return jax.random.fold_in(key, tag)
