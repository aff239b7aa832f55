"""Images that are none of the data: made from held-out images, or taken from other data sets."""

import dataclasses
import pathlib

import numpy as np

from iwae_jax import data


@dataclasses.dataclass(frozen=True)
class Material:
    """The images of a detection, as every model sees them."""

    train: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    anomalous: np.ndarray


def labelled(name: str, split: str, data_dir: pathlib.Path | None) -> tuple[np.ndarray, np.ndarray]:
    """A data set whose images have labels."""
    images, labels = data.load(name, split, data_dir=data_dir)
    if labels is None:
        raise ValueError(f"{name} has no labels")
    return images, labels


def held_out(number: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices that are fitted to and those held out, shuffled; at most a fifth is held out."""
    order = np.random.default_rng(0).permutation(number)
    first = min(most, number // 5)
    return order[first:], order[:first]


def spliced(images: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Each image with half of it, right or lower, from an image of another class."""
    rng = np.random.default_rng(seed)
    number, height, width = images.shape
    other = rng.permutation(number)
    while np.any(alike := labels[other] == labels):
        other[alike] = rng.integers(0, number, alike.sum())
    result, sideways = images.copy(), rng.random(number) < 0.5
    result[sideways, :, width // 2 :] = images[other][sideways, :, width // 2 :]
    result[~sideways, height // 2 :] = images[other][~sideways, height // 2 :]
    return result


def shifted(images: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Each image moved by a ninth of its width, in one of four directions, around the edge."""
    rng = np.random.default_rng(seed)
    step = max(1, round(images.shape[-1] / 9))
    moves = [np.roll(images, sign * step, axis) for axis in (1, 2) for sign in (1, -1)]
    return np.stack(moves)[rng.integers(0, 4, len(images)), np.arange(len(images))]


def made(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What can be made of any data set."""
    rng = np.random.default_rng(0)
    return {
        "spliced": spliced(images, labels),
        "shifted": shifted(images),
        "rotated 90": np.rot90(images, axes=(1, 2)).copy(),
        "rotated 180": np.rot90(images, 2, axes=(1, 2)).copy(),
        "mirrored": images[:, :, ::-1].copy(),
        "inverted": 255 - images,
        "noise": rng.integers(0, 256, images.shape, dtype=np.uint8),
        "black": np.zeros_like(images),
    }
