"""A detector in one folder: parameters, threshold and configuration, held by a hash."""

import hashlib
import io
import json
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from iwae_jax.types import PyTree

SCHEMA = 1


class DetectorError(ValueError):
    """A detector's folder is missing, damaged, or another model's."""


class Detector(NamedTuple):
    """What decides whether a datum is an anomaly.

    Attributes:
      params: parameters of the score, any pytree of arrays.
      threshold: what scores strictly below is flagged.
      config: JSON values from which the score is built again: the flow, its preprocessing.
    """

    params: PyTree
    threshold: float
    config: dict[str, Any]


def check_images(images: npt.ArrayLike, *, event_shape: tuple[int, ...]) -> np.ndarray:
    """Refuses what is no batch of images of grey levels.

    Args:
      images: ``[n, *event_shape]``, grey levels from 0 to 255.
      event_shape: shape of one image.

    Returns:
      The images as an array.

    Raises:
      ValueError: the shape is another, or a pixel is nan or outside [0, 255].

    Example:
      >>> import numpy as np
      >>> from iwae_jax import anomaly
      >>> anomaly.check_images(np.zeros((3, 2, 2)), event_shape=(2, 2)).shape
      (3, 2, 2)

    References:
      LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to Document
      Recognition, Proceedings of the IEEE 86.
    """
    images = np.asarray(images)
    if images.shape[1:] != tuple(event_shape) or not len(images):
        raise ValueError(
            f"a batch of images has the shape (n, {', '.join(map(str, event_shape))}); got "
            f"{images.shape}."
        )
    if np.any(np.isnan(images)):
        raise ValueError("a pixel is nan.")
    if images.min() < 0 or images.max() > 255:
        raise ValueError(
            f"pixels are grey levels from 0 to 255; got {images.min()} to {images.max()}."
        )
    return images


def save(folder: pathlib.Path | str, detector: Detector) -> pathlib.Path:
    """Writes a detector: ``arrays.npz`` and ``detector.json``, which has the hash of all.

    Args:
      folder: where to; created if it is missing.
      detector: what to write.

    Returns:
      The folder.

    Example:
      >>> import numpy as np, tempfile
      >>> from iwae_jax import anomaly
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = anomaly.save(folder, anomaly.Detector(np.ones(2), -1.5, {"flow": "realnvp"}))
      ...     anomaly.load(folder, like=np.zeros(2)).threshold
      -1.5

    References:
      NIST (2015), FIPS 180-4, Secure Hash Standard.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(detector.params)]
    buffer = io.BytesIO()
    np.savez(buffer, *leaves)
    record = {
        "schema": SCHEMA,
        # Hexadecimal, so that not a bit is lost.
        "threshold": float(detector.threshold).hex(),
        "config": detector.config,
    }
    content = buffer.getvalue()
    (folder / "arrays.npz").write_bytes(content)
    text = json.dumps(record | {"sha256": _digest(record, content)}, indent=2)
    (folder / "detector.json").write_text(text + "\n")
    return folder


def load(folder: pathlib.Path | str, *, like: PyTree) -> Detector:
    """Reads a detector whose every bit is as it was written.

    Args:
      folder: where from.
      like: parameters of the same structure and shapes, as its flow's builder gives.

    Returns:
      The detector, which decides as the one that was saved.

    Raises:
      DetectorError: a file is missing or altered, or the parameters are another model's.

    Example:
      >>> import numpy as np, tempfile
      >>> from iwae_jax import anomaly
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = anomaly.save(folder, anomaly.Detector(np.ones(2), -1.5, {"flow": "realnvp"}))
      ...     anomaly.load(folder, like=np.zeros(2)).params.tolist()
      [1.0, 1.0]

    References:
      NIST (2015), FIPS 180-4, Secure Hash Standard.
    """
    folder = pathlib.Path(folder)
    record, content = _read(folder)
    with np.load(io.BytesIO(content)) as arrays:
        leaves = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
    expected, tree = jax.tree.flatten(like)
    if [leaf.shape for leaf in leaves] != [np.shape(leaf) for leaf in expected]:
        raise DetectorError(
            f"{folder} holds another model's parameters: build the flow that its configuration "
            f"names, {record['config']}."
        )
    params = jax.tree.unflatten(tree, leaves)
    return Detector(params, float.fromhex(record["threshold"]), record["config"])


def load_config(folder: pathlib.Path | str) -> dict[str, Any]:
    """Reads a detector's configuration, from which to build what `load` needs.

    Args:
      folder: where from.

    Returns:
      The configuration.

    Raises:
      DetectorError: a file is missing or altered.

    Example:
      >>> import numpy as np, tempfile
      >>> from iwae_jax import anomaly
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = anomaly.save(folder, anomaly.Detector(np.ones(2), -1.5, {"flow": "realnvp"}))
      ...     anomaly.load_config(folder)
      {'flow': 'realnvp'}

    References:
      NIST (2015), FIPS 180-4, Secure Hash Standard.
    """
    return _read(pathlib.Path(folder))[0]["config"]


def _read(folder: pathlib.Path) -> tuple[dict[str, Any], bytes]:
    try:
        record = json.loads((folder / "detector.json").read_text())
        content = (folder / "arrays.npz").read_bytes()
    except OSError as error:
        raise DetectorError(f"{folder} holds no whole detector: {error}.") from error
    except ValueError as error:
        raise DetectorError(f"{folder / 'detector.json'} is damaged: {error}.") from error
    digest = record.pop("sha256", None) if isinstance(record, dict) else None
    if not isinstance(record, dict) or digest != _digest(record, content):
        raise DetectorError(f"the detector in {folder} is damaged: its sha256 is another.")
    if record.get("schema") != SCHEMA:
        raise DetectorError(
            f"the detector in {folder} has schema {record.get('schema')}, and this version of "
            f"iwae_jax reads schema {SCHEMA}."
        )
    return record, content


def _digest(record: dict[str, Any], content: bytes) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode() + content).hexdigest()
