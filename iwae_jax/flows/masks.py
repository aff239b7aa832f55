"""Masks of a coupling: True where a value is kept and read, False where it is transformed."""

from collections.abc import Sequence

import numpy as np


def checkerboard(event_shape: Sequence[int]) -> np.ndarray:
    """Keeps every pixel whose row and column have an even sum, as the white squares of a board.

    Args:
      event_shape: ``(H, W)`` or ``(H, W, C)``.

    Returns:
      The mask, ``event_shape``, bool; ``~mask`` is the other half.

    Raises:
      ValueError: the event is not an image.

    Example:
      >>> from iwae_jax import flows
      >>> flows.checkerboard((2, 3)).astype(int).tolist()
      [[1, 0, 1], [0, 1, 0]]

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    shape = tuple(event_shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"a checkerboard needs an image, (H, W) or (H, W, C); got {shape}.")
    rows, columns = np.indices(shape)[:2]
    return (rows + columns) % 2 == 0


def channels(event_shape: Sequence[int]) -> np.ndarray:
    """Keeps the first half of the last axis.

    Args:
      event_shape: shape of the event, whose last axis has at least two entries.

    Returns:
      The mask, ``event_shape``, bool.

    Raises:
      ValueError: there is nothing to halve.

    Example:
      >>> from iwae_jax import flows
      >>> flows.channels((1, 2, 4)).astype(int).tolist()
      [[[1, 1, 0, 0], [1, 1, 0, 0]]]

    References:
      Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation Using Real NVP, arXiv:1605.08803.
    """
    shape = tuple(event_shape)
    if not shape or shape[-1] < 2:
        raise ValueError(f"the last axis must have at least two entries; got {shape}.")
    return np.broadcast_to(np.arange(shape[-1]) < shape[-1] // 2, shape)


def halves(event_shape: Sequence[int]) -> np.ndarray:
    """Keeps the first half of the event, read as a vector.

    Args:
      event_shape: shape of the event.

    Returns:
      The mask, ``event_shape``, bool.

    Raises:
      ValueError: there is nothing to halve.

    Example:
      >>> from iwae_jax import flows
      >>> flows.halves((5,)).astype(int).tolist()
      [1, 1, 0, 0, 0]

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    shape = tuple(event_shape)
    size = int(np.prod(shape))
    if size < 2:
        raise ValueError(f"an event of at least two entries can be halved; got {shape}.")
    return (np.arange(size) < size // 2).reshape(shape)


def alternating(event_shape: Sequence[int]) -> np.ndarray:
    """Keeps the entries of even index of the event, read as a vector.

    On an image whose rows have an even length these are alternating columns, not a checkerboard.

    Args:
      event_shape: shape of the event.

    Returns:
      The mask, ``event_shape``, bool.

    Raises:
      ValueError: there is nothing to halve.

    Example:
      >>> from iwae_jax import flows
      >>> flows.alternating((2, 4)).astype(int).tolist()
      [[1, 0, 1, 0], [1, 0, 1, 0]]

    References:
      Dinh, Krueger and Bengio (2015), NICE: Non-linear Independent Components Estimation,
      arXiv:1410.8516.
    """
    shape = tuple(event_shape)
    size = int(np.prod(shape))
    if size < 2:
        raise ValueError(f"an event of at least two entries can be halved; got {shape}.")
    return (np.arange(size) % 2 == 0).reshape(shape)
