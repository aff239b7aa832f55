"""Names to arrays: which data sets there are, and where each is read from."""

import os
import pathlib

import numpy as np

from iwae_jax.data._files import import_extra, read, registered
from iwae_jax.data._formats import PUBLISHED, RAW, RAW_SHA256, Dataset
from iwae_jax.data._prepared import load_prepared


def splits(name: str) -> tuple[str, ...]:
    """Names the splits of a data set.

    Args:
      name: the data set, as for `load`.

    Returns:
      What `load` takes as `split`.

    Raises:
      ValueError: there is no such data set; the message lists those there are.

    Example:
      >>> from iwae_jax import data
      >>> data.splits("binarized_mnist")
      ('train', 'validation', 'test')

    References:
      As for `load`.
    """
    if name == "digits":
        return ("train", "test")
    if name not in PUBLISHED:
        names = ", ".join(("digits", *PUBLISHED))
        raise ValueError(f"unknown data set {name!r}; choose from: {names}")
    return tuple(PUBLISHED[name].files)


def load(name: str, split: str, *, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Loads one split of an image data set, in its published order.

    `digits` comes with no split: here every fifth image (`index % 5 == 4`) is `test`, the rest
    `train`, and its intensities 0 to 16 are scaled to 0 to 255 and rounded.

    `omniglot` splits as its authors do, `train` is the background alphabets and `test` the
    evaluation ones. A pixel is `floor(255 a + 1/2)`, `a` being the exact share of ink in its
    3.75 x 3.75 patch of the 105 x 105 drawing, and a label is the rank of the character among
    those of its split, by alphabet and number. The 28 x 28 Omniglot of the IWAE paper is another
    reduction under another split: log-likelihoods on the two do not compare.

    Args:
      name: `digits`, `mnist`, `fashion_mnist`, `kmnist`, `omniglot` or `binarized_mnist`.
      split: one of `splits(name)`.
      data_dir: where TFDS keeps its data; None for its own default (`TFDS_DATA_DIR`).

    Returns:
      A `Dataset` of images `[N, H, W]` uint8 and labels `[N]` int32 (`binarized_mnist`: None).

    Raises:
      ValueError: there is no such data set or split; the message lists those there are.
      DataError: a file is missing, truncated or altered, or cannot be fetched.
      ImportError: a package of the extra `experiments` is not installed.

    Example:
      >>> from iwae_jax import data
      >>> images, labels = data.load("digits", "test")
      >>> images.shape, images.dtype, int(images.max()), labels.shape
      ((359, 8, 8), dtype('uint8'), 255, (359,))

    References:
      `digits`: Alpaydin and Kaynak, 1998, Optical Recognition of Handwritten Digits, UCI.
      `mnist`: LeCun, Bottou, Bengio and Haffner, 1998, Proceedings of the IEEE 86:2278.
      `fashion_mnist`: Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747.
      `kmnist`: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, 2018, arXiv:1812.01718.
      `omniglot`: Lake, Salakhutdinov and Tenenbaum, 2015, Science 350:1332.
      `binarized_mnist`: Salakhutdinov and Murray, 2008, On the Quantitative Analysis of Deep
      Belief Networks; as fixed by Larochelle and Murray, 2011, NADE.
    """
    if split not in splits(name):
        raise ValueError(f"{name} has no split {split!r}; choose from: {', '.join(splits(name))}")
    if name == "digits":
        return _load_digits(split)
    if folder := os.environ.get("IWAE_JAX_RAW_DATA"):
        return _load_raw(name, split, pathlib.Path(folder).expanduser())
    return load_prepared(name, split, data_dir)


def _load_digits(split: str) -> Dataset:
    digits = import_extra("sklearn.datasets").load_digits()
    is_test = np.arange(len(digits.images)) % 5 == 4
    chosen = is_test if split == "test" else ~is_test
    images = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)
    return Dataset(images, digits.target[chosen].astype(np.int32))


def _load_raw(name: str, split: str, folder: pathlib.Path) -> Dataset:
    files, decode = RAW[name]
    contents = []
    for filename in files[split]:
        sha256 = RAW_SHA256.get(filename) or registered(name)[filename].sha256
        mend = "put the original file there, or unset IWAE_JAX_RAW_DATA"
        contents.append(read(folder / name / filename, sha256=sha256, mend=mend))
    return decode(split, *contents)
