"""What each data set's files are called, and how their bytes become arrays."""

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from iwae_jax.data._files import import_extra


class Dataset(NamedTuple):
    """One split of a data set.

    Attributes:
      images: `[N, H, W]` uint8 intensities, 0 to 255; 0 or 255 where the set is binary.
      labels: `[N]` int32 class of each image, from 0; None where the set has none.
    """

    images: np.ndarray
    labels: np.ndarray | None


class Format(NamedTuple):
    """The files of each split; `decode` takes the split and the bytes of each of its files."""

    files: Mapping[str, tuple[str, ...]]
    decode: Callable[..., Dataset]


def _decode_idx(split: str, images: bytes, labels: bytes) -> Dataset:
    del split  # has files of its own
    return Dataset(_idx_array(images), _idx_array(labels).astype(np.int32))


def _idx_array(packed: bytes) -> np.ndarray:
    content = gzip.decompress(packed)
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


def _decode_amat(split: str, text: bytes) -> Dataset:
    del split
    # Every digit is followed by one space or newline, which is all there is in the file.
    digits = np.frombuffer(text, np.uint8)[::2] - np.uint8(ord("0"))
    return Dataset(digits.reshape(-1, 28, 28) * np.uint8(255), None)


def _decode_packed_bits(split: str, archive: bytes) -> Dataset:
    part = {"train": "train", "validation": "valid", "test": "test"}[split]
    with np.load(io.BytesIO(archive)) as arrays:
        bits = np.unpackbits(arrays[part])  # a row is 98 bytes, with no padding
    return Dataset(bits.reshape(-1, 28, 28) * np.uint8(255), None)


def _decode_drawings(split: str, archive: bytes) -> Dataset:
    del split
    open_image = import_extra("PIL.Image").open
    pattern = re.compile(r"[^/]+/([^/]+/character\d+)/\d+_\d+\.png")
    images, characters = [], []
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        for member in sorted(members.namelist()):
            if found := pattern.fullmatch(member):
                with open_image(io.BytesIO(members.read(member))) as drawing:
                    images.append(reduce_drawings(np.asarray(drawing.convert("L")) < 128))
                characters.append(found[1])
    _, labels = np.unique(characters, return_inverse=True)
    return Dataset(np.stack(images), labels.astype(np.int32))


def _decode_reduced_drawings(split: str, archive: bytes) -> Dataset:
    part = {"train": "background", "test": "evaluation"}[split]
    with np.load(io.BytesIO(archive)) as arrays:
        images = arrays[part]
        characters = np.stack([arrays[f"{part}_alphabet"], arrays[f"{part}_character"]])
    _, labels = np.unique(characters, axis=1, return_inverse=True)
    return Dataset(images, labels.astype(np.int32))


def reduce_drawings(ink: np.ndarray) -> np.ndarray:
    """Reduces drawings `[..., 105, 105]`, True where inked, to `[..., 28, 28]` uint8."""
    # A drawing is 420 quarters of a pixel wide and a patch exactly 15, so the ink of a patch is a
    # whole number out of 225: float32 sums it without error, and the rounding is in integers.
    quarters = np.arange(420)
    overlap = np.zeros((28, 105), np.float32)
    np.add.at(overlap, (quarters // 15, quarters // 4), 1)
    inked = (overlap @ ink.astype(np.float32) @ overlap.T).astype(np.int32)
    return ((255 * 2 * inked + 225) // (2 * 225)).astype(np.uint8)


_IDX = Format(
    {
        "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    },
    _decode_idx,
)
PUBLISHED = {
    "mnist": _IDX,
    "fashion_mnist": _IDX,
    "kmnist": _IDX,
    "omniglot": Format(
        {"train": ("images_background.zip",), "test": ("images_evaluation.zip",)},
        _decode_drawings,
    ),
    "binarized_mnist": Format(
        {
            "train": ("binarized_mnist_train.amat",),
            "validation": ("binarized_mnist_valid.amat",),
            "test": ("binarized_mnist_test.amat",),
        },
        _decode_amat,
    ),
}
# The raw folder holds two sets in a compact form of its own, all splits in one file.
RAW = PUBLISHED | {
    "omniglot": Format(
        dict.fromkeys(("train", "test"), ("omniglot_28.npz",)), _decode_reduced_drawings
    ),
    "binarized_mnist": Format(
        dict.fromkeys(("train", "validation", "test"), ("binarized_mnist.npz",)),
        _decode_packed_bits,
    ),
}
RAW_SHA256 = {
    "omniglot_28.npz": "5ef30f5becff7df0dbeb42bd3e95c3e99672daea5890d01992493a2221e4e199",
    "binarized_mnist.npz": "50de2c8299a5a297789293ab2c30f6fc3cb8c359a15e5e88d5501aa18ebb8fa5",
}
