"""Image data sets as NumPy arrays, read through tensorflow-datasets but never through TensorFlow.

================= ========================================== ======= ===============================
name              images in each split                       size    from
================= ========================================== ======= ===============================
`digits`          train 1438, test 359                       8 x 8   scikit-learn, no network
`mnist`           train 60000, test 10000                    28 x 28 TFDS
`fashion_mnist`   train 60000, test 10000                    28 x 28 TFDS
`kmnist`          train 60000, test 10000                    28 x 28 TFDS
`omniglot`        train 19280, test 13180                    28 x 28 TFDS, reduced from 105 x 105
`binarized_mnist` train 50000, validation 10000, test 10000  28 x 28 TFDS, no labels
================= ========================================== ======= ===============================

A split is downloaded and prepared once, on its own, under ``DATA_DIR/iwae_jax``: apart from what
TFDS's stock builders prepare, and sharing their download cache ``DATA_DIR/downloads``. Where the
environment variable ``IWAE_JAX_RAW_DATA`` names a folder, files are read from there and nowhere
else: ``mnist/train-images-idx3-ubyte.gz`` and the like, under the names they are published by;
``omniglot/omniglot_28.npz``; ``binarized_mnist/binarized_mnist.npz``. Whichever the way, a file
counts only with its registered sha256.
"""

from iwae_jax.data._files import DataError
from iwae_jax.data._formats import Dataset
from iwae_jax.data._load import load, splits

__all__ = ["DataError", "Dataset", "load", "splits"]
