"""The bytes of data files, never without their checksum, and the packages needed to read them."""

import hashlib
import importlib
import pathlib
from typing import Any, NamedTuple


class DataError(RuntimeError):
    """A data file is missing, truncated or altered, or cannot be fetched; says how to mend it."""


class Registered(NamedTuple):
    """What TFDS registers about a file."""

    url: str
    sha256: str


def read(path: pathlib.Path, *, sha256: str, mend: str) -> bytes:
    """Reads a file whole, or raises a `DataError` that names it and its mend."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): {mend}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} is truncated or altered, its sha256 is not {sha256}: {mend}")
    return content


def registered(name: str) -> dict[str, Registered]:
    """Looks up the files of a data set in TFDS's register, by their published names."""
    url_infos = import_extra("tensorflow_datasets").builder_cls(name).url_infos
    return {info.filename: Registered(url, info.checksum) for url, info in url_infos.items()}


def import_extra(module: str) -> Any:
    """Imports a module of the extra `experiments`, which the core does without."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this data set needs {module} ({error}): pip install 'iwae_jax[experiments]'",
            name=module,
        ) from error
