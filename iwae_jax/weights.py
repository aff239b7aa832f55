"""The log-weight of one sample, and the ways to take K of them.

A way of taking samples is an `OverSamples`: ``over_samples(function, samples, *shared)`` stacks
``function(samples[k], *shared)``, where `samples` is the samples' keys, or a pytree that has them
and more with the same first axis. All ways give the same numbers; they differ in memory and speed.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from iwae_jax import keys as key_tree
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def sample_log_weight(
    key: Key, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> Array:
    r"""Log-weight of one sample of one datum.

    .. math:: \log w = \log p_\theta(x, z) - \log q_\phi(z \mid x), \quad z \sim q_\phi

    Args:
      key: the sample's key, ``[]``.
      params: theta and phi.
      x: one datum.
      q: ``model.inference.encode(phi, x)``.
      model: the model.

    Returns:
      log w, ``[]``, in nats.

    Example:
      >>> import jax
      >>> from iwae_jax import models, weights
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> q = model.inference.encode(params.inference, x)
      >>> weights.sample_log_weight(jax.random.key(1), params, x, q, model=model).shape
      ()

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
    """
    z, log_q = model.inference.sample_and_log_prob(key, params.inference, q)
    return model.generative.log_joint(params.generative, x, z) - log_q


def at_once(function, samples: PyTree, *shared: PyTree) -> PyTree:
    """Takes all samples in one `jax.vmap`: the default.

    Args:
      function: ``(sample, *shared) -> out``.
      samples: the samples' keys, ``[K]``, or a pytree with the first axis ``[K]``.
      *shared: what the samples have in common.

    Returns:
      The K outputs, stacked along a new first axis.

    Example:
      >>> import jax
      >>> from iwae_jax import keys, weights
      >>> sample_keys = keys.samples(jax.random.key(0), 5)
      >>> weights.at_once(lambda key, scale: scale * jax.random.normal(key), sample_keys, 2.0).shape
      (5,)

    References:
      Bradbury et al. (2018), JAX: composable transformations of Python+NumPy programs.
    """
    return jax.vmap(function, (0, *(None for _ in shared)))(samples, *shared)


def chunked(size: int) -> OverSamples:
    """Takes `size` samples at a time, and recomputes them in the backward pass: O(size) memory.

    Args:
      size: samples in a chunk; K need not be a multiple of it.

    Returns:
      The way of taking samples, an `OverSamples`.

    Raises:
      ValueError: `size` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import keys, weights
      >>> sample_keys = keys.samples(jax.random.key(0), 5)
      >>> weights.chunked(2)(jax.random.normal, sample_keys).shape
      (5,)

    References:
      Chen et al. (2016), Training Deep Nets with Sublinear Memory Cost, section 3,
      arXiv:1604.06174.
    """
    if size < 1:
        raise ValueError(f"a chunk needs at least one sample; got size={size}.")

    def over_samples(function, samples: PyTree, *shared: PyTree) -> PyTree:
        one = jax.checkpoint(lambda sample: function(sample, *shared), prevent_cse=False)
        return jax.lax.map(one, samples, batch_size=size)

    return over_samples


def folded(function, samples: PyTree, *shared: PyTree) -> PyTree:
    """Takes the samples of a whole batch as one flat axis of (datum, sample) pairs.

    Under a `jax.vmap` over data, the two axes become one of length B * K, which is the matrix
    product that a network written by hand for batches runs. This is how training takes samples.

    It works for ``grad`` of ``vmap``, which is what training needs; ``grad`` of a single datum,
    with no `jax.vmap` over data inside, raises: use `at_once` there.

    Args:
      function: ``(sample, *shared) -> out``.
      samples: the samples' keys, ``[K]``, or a pytree with the first axis ``[K]``.
      *shared: what the samples have in common.

    Returns:
      The K outputs, stacked along a new first axis.

    Example:
      >>> import jax
      >>> from iwae_jax import keys, weights
      >>> def draws(key):
      ...     return weights.folded(jax.random.normal, keys.samples(key, 5))
      >>> jax.vmap(draws)(jax.random.split(jax.random.key(0), 3)).shape
      (3, 5)

    References:
      Bradbury et al. (2018), JAX: composable transformations of Python+NumPy programs.
    """
    over_samples = custom_vmap(partial(at_once, function))

    @over_samples.def_vmap
    def over_pairs(batch_size, batched, samples, *shared):
        num_samples = jax.tree.leaves(samples)[0].shape[1 if jax.tree.leaves(batched[0])[0] else 0]

        def pair_with_data(leaf: Array, is_batched: bool) -> Array:
            leaf = leaf if is_batched else jnp.broadcast_to(leaf, (batch_size, *leaf.shape))
            return leaf.reshape(batch_size * num_samples, *leaf.shape[2:])

        def pair_with_samples(leaf: Array, is_batched: bool) -> Array:
            return jnp.repeat(leaf, num_samples, axis=0) if is_batched else leaf

        samples_batched, *shared_batched = batched
        samples = jax.tree.map(pair_with_data, samples, samples_batched)
        shared = jax.tree.map(pair_with_samples, list(shared), shared_batched)
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, shared_batched)
        outputs = jax.vmap(function, (0, *axes))(samples, *shared)
        unfold = lambda leaf: leaf.reshape(batch_size, num_samples, *leaf.shape[1:])
        return jax.tree.map(unfold, outputs), jax.tree.map(lambda _: True, outputs)

    return over_samples(samples, *shared)


def log_weights(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = at_once,
) -> Array:
    """Log-weights of K samples of one datum; the encoder runs once.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: the model.
      num_samples: K.
      over_samples: how the K samples are taken; no way of it changes the samples.

    Returns:
      The log-weights, ``[K]``, in nats.

    Raises:
      ValueError: `num_samples` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import models, weights
      >>> model, params = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
      >>> x = jax.numpy.ones(3)
      >>> weights.log_weights(jax.random.key(1), params, x, model=model, num_samples=5).shape
      (5,)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8,
      arXiv:1509.00519.
    """
    q = model.inference.encode(params.inference, x)
    sample_keys = key_tree.samples(key, num_samples)
    return over_samples(partial(sample_log_weight, model=model), sample_keys, params, x, q)
