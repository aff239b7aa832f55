"""Data sets: every route on small made-up files, and the real files.

The tests of the real files run where IWAE_JAX_RAW_DATA names the folder that holds them.
"""

import concurrent.futures
import functools
import hashlib
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

from iwae_jax import data
from iwae_jax.data import _files, _formats, _prepared
from tests.data_files import (
    MADE_UP,
    MNIST,
    MNIST_FILES,
    amat,
    contents,
    cut_network,
    drawings_zip,
    lay_in_cache,
    open_shop,
)

RAW = "IWAE_JAX_RAW_DATA"
RAW_FOLDER = os.environ.get(RAW)
REPOSITORY = pathlib.Path(data.__file__).parents[2]


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


def assert_equal(dataset, expected):
    np.testing.assert_array_equal(dataset.images, expected.images)
    assert dataset.images.dtype == np.uint8
    assert dataset.images.flags.c_contiguous
    assert dataset.images.flags.writeable
    if expected.labels is None:
        assert dataset.labels is None
    else:
        np.testing.assert_array_equal(dataset.labels, expected.labels)
        assert dataset.labels.dtype == np.int32


def test_unknown_name_lists_the_names():
    for call in (data.splits, lambda name: data.load(name, "train")):
        with pytest.raises(ValueError, match=r"'cifar10'.*digits, mnist, .*, binarized_mnist"):
            call("cifar10")


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_unknown_split_lists_the_splits(name):
    with pytest.raises(ValueError, match=f"{name} has no split 'validation'.*: train, test"):
        data.load(name, "validation")


def test_digits_test_is_every_fifth_image_and_train_the_rest():
    from sklearn.datasets import load_digits

    everything, index = load_digits(), np.arange(1797)
    for split, rows in (("train", index % 5 != 4), ("test", index % 5 == 4)):
        dataset = data.load("digits", split)
        scaled = np.floor(everything.images[rows] * 255 / 16 + 0.5)
        assert_equal(dataset, data.Dataset(scaled, everything.target[rows]))
        assert dataset.images.shape == ({"train": 1438, "test": 359}[split], 8, 8)
        assert (dataset.images.min(), dataset.images.max()) == (0, 255)


@pytest.mark.parametrize(("name", "split"), MADE_UP)
def test_downloads_and_prepares_once_and_in_silence(
    shop, tmp_path, monkeypatch, capfd, name, split
):
    files, expected = MADE_UP[name, split]
    streams = sys.stdout, sys.stderr
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert_equal(data.load(name, split, data_dir=tmp_path), expected)
    assert set(shop.requested) == set(files)  # of this split, and no others
    shop.requested.clear()
    assert_equal(data.load(name, split, data_dir=str(tmp_path)), expected)
    assert not shop.requested
    assert (sys.stdout, sys.stderr) == streams
    assert capfd.readouterr() == ("", "")
    assert not list(scratch.iterdir())


def test_tensorflow_is_never_imported(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("import os; os._exit(77)")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    run = functools.partial(subprocess.run, env=environment, capture_output=True, text=True)
    test = f"{__file__}::test_downloads_and_prepares_once_and_in_silence"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    finished = run(command, cwd=REPOSITORY)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "3 passed" in finished.stdout
    # And the trap does work.
    assert run([sys.executable, "-c", "import tensorflow"]).returncode == 77


def test_default_folder_is_the_one_of_tfds(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))
    data.load("mnist", "test")
    assert (tmp_path / "default" / "iwae_jax" / "mnist" / "test").is_dir()


def test_leaves_the_stock_builder_and_its_files_alone(shop, tmp_path):
    import tensorflow_datasets as tfds

    stock = tmp_path / "mnist" / "3.0.1"
    stock.mkdir(parents=True)
    (stock / "dataset_info.json").write_text("not ours to read")
    before = contents(tmp_path / "mnist")
    assert_equal(data.load("mnist", "test", data_dir=tmp_path), MNIST)
    assert contents(tmp_path / "mnist") == before
    assert tfds.builder_cls("mnist").__module__.startswith("tensorflow_datasets.")


def test_another_process_may_finish_first(shop, tmp_path, monkeypatch):
    data.load("mnist", "test", data_dir=tmp_path / "other")
    finished = tmp_path / "other" / "iwae_jax" / "mnist" / "test" / "1.0.0"

    def overtaken(split, *files):
        finished.rename(tmp_path / "this" / "iwae_jax" / "mnist" / "test" / "1.0.0")
        return data.Dataset(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int32))

    slow = _formats.PUBLISHED["mnist"]._replace(decode=overtaken)
    monkeypatch.setitem(_formats.PUBLISHED, "mnist", slow)
    _prepared._builder_cls.cache_clear()
    assert_equal(data.load("mnist", "test", data_dir=tmp_path / "this"), MNIST)


def test_threads_that_prepare_at_once_do_not_leave_the_process_silent(shop, tmp_path, monkeypatch):
    mnist_begun, mnist_done, omniglot_begun = (threading.Event() for _ in range(3))

    def decode_mnist(*args, decode=_formats.PUBLISHED["mnist"].decode):
        mnist_begun.set()
        omniglot_begun.wait(0.3)
        return decode(*args)

    def decode_omniglot(*args, decode=_formats.PUBLISHED["omniglot"].decode):
        omniglot_begun.set()
        mnist_done.wait(10)
        return decode(*args)

    for name, decode in (("mnist", decode_mnist), ("omniglot", decode_omniglot)):
        slow = _formats.PUBLISHED[name]._replace(decode=decode)
        monkeypatch.setitem(_formats.PUBLISHED, name, slow)
    _prepared._builder_cls.cache_clear()
    streams = sys.stdout, sys.stderr
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        mnist = pool.submit(data.load, "mnist", "test", data_dir=tmp_path)
        mnist.add_done_callback(lambda _: mnist_done.set())
        mnist_begun.wait(10)
        omniglot = pool.submit(data.load, "omniglot", "train", data_dir=tmp_path)
        assert_equal(mnist.result(), MNIST)
        assert_equal(omniglot.result(), MADE_UP["omniglot", "train"][1])
    assert (sys.stdout, sys.stderr) == streams


def test_files_laid_into_the_cache_by_hand_are_used(shop, tmp_path, no_network):
    lay_in_cache(tmp_path, "mnist", MNIST_FILES)
    assert_equal(data.load("mnist", "test", data_dir=tmp_path), MNIST)
    assert not shop.requested


@pytest.fixture
def raw_folder(shop, monkeypatch):
    folder = shop.folder / "raw"
    (folder / "mnist").mkdir(parents=True)
    for filename in MNIST_FILES:
        (shop.folder / filename).rename(folder / "mnist" / filename)
    monkeypatch.setenv(RAW, str(folder))
    return folder


def test_raw_folder_is_read_in_place(raw_folder, tmp_path):
    assert_equal(data.load("mnist", "test", data_dir=tmp_path / "unused"), MNIST)
    assert not (tmp_path / "unused").exists()


def test_import_needs_none_of_the_packages():
    packages = ("tensorflow_datasets", "array_record", "requests", "sklearn", "PIL")
    script = f"import sys; sys.modules |= dict.fromkeys({packages}); import iwae_jax.data"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_reduction_is_the_rounded_share_of_ink():
    ink = np.random.default_rng(1).random((3, 105, 105)) < 0.3
    quarters = np.kron(ink, np.ones((1, 4, 4), bool)).reshape(3, 28, 15, 28, 15)
    expected = np.floor(255 * quarters.sum((2, 4)) / 225 + 0.5)
    np.testing.assert_array_equal(_formats.reduce_drawings(ink), expected)


@pytest.mark.raw_data
@pytest.mark.parametrize(
    ("name", "split", "count", "mean", "num_classes"),
    [
        ("mnist", "train", 60000, 33.318421, 10),
        ("mnist", "test", 10000, 33.791224, 10),
        ("fashion_mnist", "train", 60000, 72.940352, 10),
        ("fashion_mnist", "test", 10000, 73.146567, 10),
        ("kmnist", "test", 10000, 47.062041, 10),
        ("binarized_mnist", "train", 50000, 0.130562, 0),
        ("binarized_mnist", "validation", 10000, 0.131127, 0),
        ("binarized_mnist", "test", 10000, 0.132512, 0),
    ],
)
def test_real_counts_and_mean_pixels(monkeypatch, name, split, count, mean, num_classes):
    monkeypatch.setenv(RAW, RAW_FOLDER)
    images, labels = data.load(name, split)
    assert images.shape == (count, 28, 28)
    if num_classes:
        assert abs(images.mean() - mean) < 1e-6
        assert labels.shape == (count,)
        np.testing.assert_array_equal(np.unique(labels), np.arange(num_classes))
    else:
        assert abs((images == 255).mean() - mean) < 1e-6
        assert abs((images == 0).mean() - (1 - mean)) < 1e-6
        assert labels is None


@pytest.mark.raw_data
@pytest.mark.parametrize(
    ("split", "part", "num_classes"), [("train", "background", 964), ("test", "evaluation", 659)]
)
def test_real_omniglot_is_the_reduction_of_the_drawings(monkeypatch, split, part, num_classes):
    monkeypatch.setenv(RAW, RAW_FOLDER)
    dataset = data.load("omniglot", split)
    with np.load(pathlib.Path(RAW_FOLDER, "omniglot", "omniglot_105.npz")) as arrays:
        ink = np.unpackbits(arrays[part], axis=2)[..., :105].astype(bool)
        alphabets = arrays[f"{part}_alphabets"][arrays[f"{part}_alphabet"]]
        numbers = zip(alphabets, arrays[f"{part}_character"], arrays[f"{part}_drawer"], strict=True)
    reduced = [_formats.reduce_drawings(some) for some in np.array_split(ink, 10)]
    classes = np.repeat(np.arange(num_classes), 20)
    assert_equal(dataset, data.Dataset(np.concatenate(reduced), classes))
    # A published archive of the same drawings reads the same.
    names = [f"{a}/character{c:02}/{1:04}_{d:02}.png" for a, c, d in numbers]
    archive = drawings_zip(ink[-1500:], names[-1500:])
    first_class = classes[-1500]
    again = _formats.PUBLISHED["omniglot"].decode(split, archive)
    assert_equal(again, data.Dataset(dataset.images[-1500:], classes[-1500:] - first_class))


@pytest.mark.raw_data
@pytest.mark.parametrize(
    ("name", "split"),
    [("mnist", "train"), ("mnist", "test"), ("kmnist", "test"), ("binarized_mnist", "validation")],
)
def test_real_sets_agree_by_both_routes(monkeypatch, tmp_path, no_network, name, split):
    monkeypatch.setenv(RAW, RAW_FOLDER)
    expected = data.load(name, split)
    monkeypatch.delenv(RAW)
    if name == "binarized_mnist":  # its checksum proves that this is the published text
        files = {"binarized_mnist_valid.amat": amat(expected.images)}
    else:
        filenames = _formats.PUBLISHED[name].files[split]
        files = {f: pathlib.Path(RAW_FOLDER, name, f).read_bytes() for f in filenames}
    for filename, content in files.items():
        sha256 = _files.registered(name)[filename].sha256
        assert hashlib.sha256(content).hexdigest() == sha256
    lay_in_cache(tmp_path, name, files)
    assert_equal(data.load(name, split, data_dir=tmp_path), expected)
