"""Small made-up data files, a server of them that passes for the published one, and damage."""

import contextlib
import functools
import gzip
import http.server
import io
import pathlib
import threading
import zipfile
from typing import NamedTuple

import numpy as np

from iwae_jax import data
from iwae_jax.data import _files, _formats, _prepared


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def amat(images):
    rows = (images > 0).astype(int).reshape(len(images), -1)
    return "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()


def drawings_zip(ink, names):
    """The published form of Omniglot: black on white, and in no order in particular."""
    from PIL import Image

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("images/", "")
        members.writestr("__MACOSX/images/Greek/character01/0001_01.png", "not a picture")
        for i in reversed(range(len(names))):
            with members.open(f"images/{names[i]}", "w") as member:
                Image.fromarray(~ink[i]).convert("1").save(member, "png")
    return archive.getvalue()


def made_up():
    """One split of a set of each published form: its files, and what they hold."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(2500, 28, 28), dtype=np.uint8)  # two records and a half
    labels = rng.integers(10, size=2500)
    binary = np.where(images[:7] > 127, 255, 0).astype(np.uint8)
    ink = rng.random((4, 105, 105)) < 0.1
    drawings = [
        "Greek/character01/0310_01.png",
        "Greek/character02/0311_01.png",
        "Greek/character02/0311_20.png",
        "Latin/character01/0099_01.png",
    ]
    return {
        ("mnist", "test"): (
            {"t10k-images-idx3-ubyte.gz": idx(images), "t10k-labels-idx1-ubyte.gz": idx(labels)},
            data.Dataset(images, labels),
        ),
        ("omniglot", "train"): (
            {"images_background.zip": drawings_zip(ink, drawings)},
            data.Dataset(_formats.reduce_drawings(ink), np.array([0, 1, 1, 2])),
        ),
        ("binarized_mnist", "validation"): (
            {"binarized_mnist_valid.amat": amat(binary)},
            data.Dataset(binary, None),
        ),
    }


MADE_UP = made_up()
MNIST_FILES, MNIST = MADE_UP["mnist", "test"]


class Shop(NamedTuple):
    """A server of the made-up files, which TFDS is told are the published ones."""

    folder: pathlib.Path
    url: str
    requested: list[str]


@contextlib.contextmanager
def open_shop(folder, monkeypatch):
    """Serves the made-up files for as long as it is open."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import checksums

    requested = []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requested.append(self.path.removeprefix("/"))

        def copyfile(self, source, outputfile):
            with contextlib.suppress(ConnectionError):  # who only asks whether we answer hangs up
                super().copyfile(source, outputfile)

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        for (name, _), (files, _) in MADE_UP.items():
            infos = {}
            for filename, content in files.items():
                (folder / filename).write_bytes(content)
                infos[url + filename] = checksums.compute_url_info(folder / filename)
            monkeypatch.setattr(tfds.builder_cls(name), "url_infos", infos)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        _prepared._builder_cls.cache_clear()
        yield Shop(folder, url, requested)
        _prepared._builder_cls.cache_clear()
        server.shutdown()
        thread.join()


def cut_network(monkeypatch):
    """Sends all traffic to a proxy that is not there."""
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def cache_path(data_dir, name, filename):
    from tensorflow_datasets.core.download import resource

    url, sha256 = _files.registered(name)[filename]
    return data_dir / "downloads" / name / resource.get_dl_fname(url, sha256)


def lay_in_cache(data_dir, name, files):
    for filename, content in files.items():
        path = cache_path(data_dir, name, filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
