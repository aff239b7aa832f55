"""Data sets: each way in which a file or a package can be missing or wrong, and what is said."""

import functools
import socket
import sys

import numpy as np
import pytest

from iwae_jax import data
from iwae_jax.data import _files, _formats, _prepared
from tests.data_files import (
    MNIST,
    MNIST_FILES,
    alter,
    cache_path,
    contents,
    cut_network,
    lay_in_cache,
    open_shop,
    remove,
    truncate,
)

RAW = "IWAE_JAX_RAW_DATA"


@pytest.fixture(autouse=True)
def _no_raw_folder(monkeypatch):
    monkeypatch.delenv(RAW, raising=False)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    with open_shop(tmp_path / "shop", monkeypatch) as shop:
        yield shop


@pytest.fixture
def no_network(monkeypatch):
    cut_network(monkeypatch)


def assert_data_error(*parts, load):
    """Asserts that `load` raises a `DataError` of one line with these parts in it."""
    with pytest.raises(data.DataError) as error:
        load()
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


@pytest.mark.parametrize("damage", [truncate, alter])
def test_wrong_cached_download(shop, tmp_path, damage):
    lay_in_cache(tmp_path, "mnist", MNIST_FILES)
    path = cache_path(tmp_path, "mnist", "t10k-labels-idx1-ubyte.gz")
    damage(path)
    before = contents(tmp_path / "downloads")
    load = functools.partial(data.load, "mnist", "test", data_dir=tmp_path)
    assert_data_error(path, "truncated or altered", "delete it", load=load)
    assert contents(tmp_path / "downloads") == before
    path.unlink()
    np.testing.assert_array_equal(load().images, MNIST.images)


@pytest.mark.parametrize(
    ("damage", "reason"), [(alter, "NonMatchingChecksumError"), (remove, "HTTPError")]
)
def test_wrong_file_on_the_server(shop, tmp_path, damage, reason):
    damage(shop.folder / "images_background.zip")
    load = functools.partial(data.load, "omniglot", "train", data_dir=tmp_path)
    assert_data_error(f"{shop.url}images_background.zip", reason, load=load)


@pytest.mark.parametrize("name", ["kmnist", "omniglot", "binarized_mnist"])
def test_without_network_fails_before_tfds_tries(no_network, tmp_path, monkeypatch, name):
    import tensorflow_datasets as tfds

    def retry_for_minutes(*args):
        raise AssertionError

    monkeypatch.setattr(tfds.download.DownloadManager, "download", retry_for_minutes)
    filename = _formats.PUBLISHED[name].files["test"][0]
    assert_data_error(
        f"cannot fetch {_files.registered(name)[filename].url} (ProxyError)",
        "connect to the network",
        cache_path(tmp_path, name, filename),
        f"{RAW} to a folder with {name}/{_formats.RAW[name].files['test'][0]}",
        load=lambda: data.load(name, "test", data_dir=tmp_path),
    )


def test_a_host_that_never_answers_is_not_waited_for(shop, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(_prepared, "_PATIENCE", 0.1)
    [info] = tfds.builder_cls("omniglot").url_infos.values()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/images_background.zip"
        monkeypatch.setattr(tfds.builder_cls("omniglot"), "url_infos", {url: info})
        load = functools.partial(data.load, "omniglot", "train", data_dir=tmp_path)
        assert_data_error(f"cannot fetch {url} (ReadTimeout)", load=load)


@pytest.mark.parametrize(
    "filename", ["mnist-test.array_record-00000-of-00001", "dataset_info.json"]
)
@pytest.mark.parametrize("damage", [truncate, alter, remove])
def test_wrong_prepared_file(shop, tmp_path, filename, damage):
    load = functools.partial(data.load, "mnist", "test", data_dir=tmp_path)
    load()
    folder = tmp_path / "iwae_jax" / "mnist" / "test" / "1.0.0"
    damage(folder / filename)
    before = contents(tmp_path)
    assert_data_error(folder / filename, f"delete {folder}, load again", load=load)
    assert contents(tmp_path) == before


@pytest.fixture
def raw_folder(shop, monkeypatch):
    folder = shop.folder / "raw"
    (folder / "mnist").mkdir(parents=True)
    for filename in MNIST_FILES:
        (shop.folder / filename).rename(folder / "mnist" / filename)
    monkeypatch.setenv(RAW, str(folder))
    return folder


@pytest.mark.parametrize("damage", [truncate, alter, remove])
def test_wrong_raw_file(raw_folder, damage):
    path = raw_folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    damage(path)
    before = contents(raw_folder)
    says = "No such file" if damage is remove else "truncated or altered"
    load = functools.partial(data.load, "mnist", "test")
    assert_data_error(path, says, "put the original file there", RAW, load=load)
    assert contents(raw_folder) == before


@pytest.mark.parametrize("name", ["omniglot", "binarized_mnist"])
def test_wrong_repacked_raw_file(raw_folder, name):
    [filename] = _formats.RAW[name].files["train"]
    path = raw_folder / name / filename
    load = functools.partial(data.load, name, "train")
    assert_data_error(path, "No such file", load=load)
    path.parent.mkdir()
    np.savez(path, train=np.zeros((2, 98), np.uint8))
    assert_data_error(path, "truncated or altered", load=load)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("digits", "sklearn.datasets"),
        ("mnist", "tensorflow_datasets"),
        ("mnist", "array_record"),
        ("mnist", "importlib_resources"),
        ("omniglot", "PIL.Image"),
    ],
)
def test_missing_package_says_how_to_install(shop, tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module}.*pip install 'iwae_jax\[experiments\]'"):
        data.load(name, "train" if name == "omniglot" else "test", data_dir=tmp_path)
