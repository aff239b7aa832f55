"""Data sets that tensorflow-datasets downloads, prepares and keeps, all of it without TensorFlow.

The builders carry the stock builders' names, hence share their download cache and checksums. They
are not registered and keep what they prepare in a folder of their own, so that neither kind ever
takes the other's files for its own. A split is stored as ArrayRecord, many images to a record.
"""

import contextlib
import functools
import io
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from iwae_jax.data._files import DataError, import_extra, read, registered
from iwae_jax.data._formats import PUBLISHED, RAW, Dataset

_VERSION = "1.0.0"
_IMAGES_PER_RECORD = 1000
_PATIENCE = 10.0  # seconds in which a host must begin to answer
_ONE_AT_A_TIME = threading.Lock()


def load_prepared(name: str, split: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    """Loads a split through TFDS, which downloads and prepares it the first time."""
    builder_cls = _builder_cls(name)
    tfds = import_extra("tensorflow_datasets")
    root = tfds.core.Path(data_dir or tfds.core.constants.get_default_data_dir()).expanduser()
    folder = root / "iwae_jax" / name / split / _VERSION
    make_builder = functools.partial(builder_cls, data_dir=root / "iwae_jax", config=split)
    # Two threads that silence the process at once would leave it silenced.
    with _ONE_AT_A_TIME:
        if not folder.exists():
            _prepare(make_builder(), folder, root / "downloads")
    path = folder / "dataset_info.json"
    try:
        builder = make_builder()
        (path,) = builder.info.splits[split].filepaths
        records = list(builder.as_data_source(split))
        images = np.concatenate([record["images"] for record in records])
        labels = np.concatenate([record["labels"] for record in records])
    except Exception as error:  # damage shows as a wrong hash, as bad JSON, as a missing key, ...
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataError(
            f"{path} is missing or damaged ({reason}): delete {folder}, load again"
        ) from error
    return Dataset(images, labels if len(labels) else None)


def _prepare(builder: Any, folder: os.PathLike[str], downloads: os.PathLike[str]) -> None:
    tfds = import_extra("tensorflow_datasets")
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            builder.download_and_prepare(
                download_dir=downloads,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False, num_shards=1),
                file_format="array_record",
            )
    except OSError:
        # Another process may have finished the same work first, which is as good.
        if not os.path.exists(folder):
            raise


@functools.cache
def _builder_cls(dataset: str) -> Any:
    """Makes the builder class of a data set; not at import, which must not need TFDS."""
    # TFDS needs the first two and asks for neither.
    for module in ("importlib_resources", "array_record", "tensorflow_datasets"):
        import_extra(module)
    import tensorflow_datasets as tfds

    files, decode = PUBLISHED[dataset]

    class Info(tfds.core.DatasetInfo):
        def initialize_from_bucket(self) -> None:
            """Skips Google's bucket, which knows nothing of this builder."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        name = dataset
        VERSION = tfds.core.Version(_VERSION)
        BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=split) for split in files)
        url_infos = tfds.builder_cls(dataset).url_infos

        def _info(self) -> Any:
            array = functools.partial(tfds.features.Tensor, encoding="bytes")
            features = {
                "images": array(shape=(None, 28, 28), dtype=np.uint8),
                "labels": array(shape=(None,), dtype=np.int32),  # empty where the set has none
            }
            return Info(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            split = self.builder_config.name
            names = zip(files[split], RAW[dataset].files[split], strict=True)
            contents = [_download(dl_manager, dataset, *both) for both in names]
            return {split: self._generate_examples(decode(split, *contents))}

        def _generate_examples(self, data: Dataset) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            labels = np.zeros(0, np.int32) if data.labels is None else data.labels
            for start in range(0, len(data.images), _IMAGES_PER_RECORD):
                rows = slice(start, start + _IMAGES_PER_RECORD)
                yield start, {"images": data.images[rows], "labels": labels[rows]}

    return Builder


def _download(dl_manager: Any, dataset: str, filename: str, raw_name: str) -> bytes:
    """Reads a file from TFDS's download cache, after TFDS has fetched it if it is not there."""
    url, sha256 = registered(dataset)[filename]
    cache_name = import_extra("tensorflow_datasets.core.download.resource").get_dl_fname
    path = dl_manager.download_dir / dataset / cache_name(url, sha256)
    if not path.exists():
        requests = import_extra("requests")
        try:
            # TFDS retries for minutes, so it is only asked to once the host has answered.
            with requests.get(url, stream=True, timeout=_PATIENCE) as response:
                response.raise_for_status()
            path = dl_manager.download(url)
        except Exception as error:  # the errors of requests and of TFDS have no common base
            raise DataError(
                f"cannot fetch {url} ({type(error).__name__}): connect to the network, or save the "
                f"file as {path}, or set IWAE_JAX_RAW_DATA to a folder with {dataset}/{raw_name}"
            ) from error
    return read(path, sha256=sha256, mend="delete it, load again")
