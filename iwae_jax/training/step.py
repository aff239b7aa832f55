"""One update, and an epoch of updates as one scan on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from iwae_jax import diagnostics, keys, weights
from iwae_jax.types import Array, Estimator, Key, LatentVariableModel, OverSamples, Params, PyTree


class TrainState(NamedTuple):
    """What the next update needs.

    Attributes:
      step: ``[]``, number of updates made.
      params: the parameters.
      optimizer_state: the optimiser's own.
    """

    step: Array
    params: Params
    optimizer_state: PyTree


class TrainInfo(NamedTuple):
    """What an update shows of itself, averaged over the batch.

    Attributes:
      bound: ``[]``, the estimator's bound, in nats.
      effective_sample_size: ``[]``, of the log-weights, from 1 to K.
    """

    bound: Array
    effective_sample_size: Array


def init(params: Params, *, optimizer: optax.GradientTransformation) -> TrainState:
    """State before the first update.

    Args:
      params: the initial parameters.
      optimizer: an optimiser of a loss that is minimised.

    Returns:
      The state at step 0.

    Example:
      >>> import jax, optax
      >>> from iwae_jax import models, training
      >>> _, params = models.vae(jax.random.key(0), event_shape=(8, 8), hidden_sizes=(8,))
      >>> int(training.init(params, optimizer=optax.adam(1e-3)).step)
      0

    References:
      Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1,
      arXiv:1412.6980.
    """
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def dynamic_binarisation(key: Key, image: Array) -> Array:
    r"""Draws a binary image whose mean is the grey one.

    Args:
      key: the example's key, ``[]``.
      image: ``[...]``, uint8 from 0 to 255; 0 and 255 stay 0 and 1 always.

    Returns:
      The binary image, ``[...]``, float32 of 0 and 1.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import training
      >>> training.dynamic_binarisation(jax.random.key(0), jnp.array([0, 255], jnp.uint8))
      Array([0., 1.], dtype=float32)

    References:
      Salakhutdinov and Murray (2008), On the Quantitative Analysis of Deep Belief Networks,
      section 5.
    """
    uniform = jax.random.uniform(keys.tagged(key, keys.OBSERVATION), image.shape, jnp.float32)
    return (uniform * 255.0 < image.astype(jnp.float32)).astype(jnp.float32)


def _num_pieces(batch_size: int, num_samples: int, max_pairs: int) -> int:
    fitting = (
        pieces
        for pieces in range(1, batch_size + 1)
        if batch_size % pieces == 0 and batch_size // pieces * num_samples <= max_pairs
    )
    return next(fitting, batch_size)


def _piece_gradient(
    params: Params, example_keys: Key, xs: PyTree, *, estimator: Callable[..., Any]
) -> tuple[Params, TrainInfo]:
    def loss(params: Params) -> tuple[Array, TrainInfo]:
        bound, log_weights = jax.vmap(estimator, (0, None, 0))(example_keys, params, xs)
        # An estimator of several bounds has several rows of weights.
        log_weights = jax.lax.stop_gradient(log_weights).reshape(example_keys.shape[0], -1)
        size = jax.vmap(diagnostics.effective_sample_size)(log_weights)
        info = TrainInfo(jnp.mean(bound), jnp.mean(size))
        # The one place where what is maximised becomes what is minimised.
        return -info.bound, info

    return jax.grad(loss, has_aux=True)(params)


def step(
    key: Key,
    state: TrainState,
    images: Array,
    *,
    model: LatentVariableModel,
    estimator: Estimator,
    num_samples: int,
    optimizer: optax.GradientTransformation,
    max_pairs: int,
    observe: Callable[[Key, Array], PyTree] = dynamic_binarisation,
) -> tuple[TrainState, TrainInfo]:
    """One update on one batch.

    The batch is split into equal pieces, one after the other, where K * batch exceeds `max_pairs`;
    the samples, and up to rounding the update, are the same for every split.

    Args:
      key: root key of the training, ``[]``; the update's own is derived from ``state.step``.
      state: the state.
      images: ``[B, ...]``, as the data set stores them.
      model: the model.
      estimator: any estimator that takes `over_samples`.
      num_samples: K.
      optimizer: an optimiser of a loss that is minimised.
      max_pairs: largest number of (datum, sample) pairs in one pass.
      observe: ``(key, image) -> x``, what the model sees of an image.

    Returns:
      The next state, and the batch's `TrainInfo` before the update.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from iwae_jax import estimators, models, training
      >>> model, params = models.vae(jax.random.key(0), event_shape=(8, 8), hidden_sizes=(8,))
      >>> optimizer = optax.adam(1e-3)
      >>> state, info = training.step(
      ...     jax.random.key(1), training.init(params, optimizer=optimizer),
      ...     jnp.zeros((4, 8, 8), jnp.uint8), model=model, estimator=estimators.pathwise,
      ...     num_samples=5, optimizer=optimizer, max_pairs=1000)
      >>> int(state.step)
      1

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 3,
      arXiv:1509.00519.
    """
    batch_size = images.shape[0]
    step_key = keys.step(key, state.step)
    example_keys = jax.vmap(keys.example, (None, 0))(step_key, jnp.arange(batch_size))
    xs = jax.vmap(observe)(example_keys, images)

    over_samples: OverSamples = weights.folded
    if num_samples > max_pairs:
        over_samples = weights.chunked(max_pairs)
    piece_gradient = partial(
        _piece_gradient,
        state.params,
        estimator=partial(
            estimator, model=model, num_samples=num_samples, over_samples=over_samples
        ),
    )
    pieces = _num_pieces(batch_size, num_samples, max_pairs)
    if pieces == 1:
        gradient, info = piece_gradient(example_keys, xs)
    else:
        split = lambda leaf: leaf.reshape(pieces, batch_size // pieces, *leaf.shape[1:])
        gradient, info = _mean_over_pieces(piece_gradient, jax.tree.map(split, (example_keys, xs)))
    # optax raises floats to integer powers, which a user's strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"):
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, optimizer_state), info


def _mean_over_pieces(function, pieces: PyTree) -> PyTree:
    first = jax.tree.map(lambda leaf: leaf[0], pieces)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, *first)
    )

    def add(total: PyTree, piece: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, function(*piece)), None

    total, _ = jax.lax.scan(add, zeros, pieces)
    num_pieces = jax.tree.leaves(pieces)[0].shape[0]
    return jax.tree.map(lambda leaf: leaf / num_pieces, total)


def epoch(
    key: Key, state: TrainState, images: Array, order: Array, **options
) -> tuple[TrainState, TrainInfo]:
    """Updates on one batch after the other, as one scan on the device.

    Args:
      key: root key of the training, ``[]``.
      state: the state.
      images: ``[N, ...]``, the whole data set.
      order: ``[T, B]``, indices of the images of each batch.
      **options: as for `step`.

    Returns:
      The state after T updates, and `TrainInfo` with a leading axis ``[T]``.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from iwae_jax import estimators, models, training
      >>> model, params = models.vae(jax.random.key(0), event_shape=(8, 8), hidden_sizes=(8,))
      >>> optimizer = optax.adam(1e-3)
      >>> state, info = training.epoch(
      ...     jax.random.key(1), training.init(params, optimizer=optimizer),
      ...     jnp.zeros((12, 8, 8), jnp.uint8), jnp.arange(12).reshape(3, 4), model=model,
      ...     estimator=estimators.pathwise, num_samples=5, optimizer=optimizer, max_pairs=1000)
      >>> info.bound.shape
      (3,)

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 3,
      arXiv:1509.00519.
    """

    def body(state: TrainState, indices: Array) -> tuple[TrainState, TrainInfo]:
        return step(key, state, images[indices], **options)

    if len(order) == 1:
        # Within a loop XLA's convolutions are slow on a CPU (JAX's issue 12868).
        state, info = body(state, order[0])
        return state, jax.tree.map(lambda leaf: leaf[None], info)
    return jax.lax.scan(body, state, order)
