"""Scores of data: higher is more normal. Thresholds and rates take any of them."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from iwae_jax.types import Array, PyTree


def typicality(log_probs: npt.ArrayLike, *, validation: npt.ArrayLike) -> np.ndarray:
    r"""Nearness of log p to what it is on validation data, from both sides.

    .. math:: -|\log p(x) - \tfrac1n \textstyle\sum_i \log p(v_i)|

    It flags what is too likely, as an empty image, of which log p alone sees nothing.

    Args:
      log_probs: ``[m]``.
      validation: ``[n]``, log p of validation data.

    Returns:
      ``[m]``.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.typicality([1.0, 5.0], validation=[2.0, 4.0]).tolist()
      [-2.0, -2.0]

    References:
      Nalisnick, Matsukawa, Teh and Lakshminarayanan (2019), Detecting Out-of-Distribution Inputs
      to Deep Generative Models Using Typicality, arXiv:1906.02994.
    """
    return -np.abs(np.asarray(log_probs, np.float64) - np.asarray(validation, np.float64).mean())


def batch_typicality(
    log_probs: npt.ArrayLike, *, validation: npt.ArrayLike, batch_size: int
) -> np.ndarray:
    """`typicality` of the mean log p of batches, which tells more than that of one datum.

    Args:
      log_probs: ``[m]``, batch after batch; an incomplete last batch is left out.
      validation: ``[n]``, log p of validation data.
      batch_size: data in a batch, all normal or all anomalies.

    Returns:
      ``[m // batch_size]``.

    Raises:
      ValueError: the batch is empty, or larger than the data.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.batch_typicality([1.0, 5.0, 9.0], validation=[2.0, 4.0], batch_size=2).tolist()
      [-0.0]

    References:
      Nalisnick, Matsukawa, Teh and Lakshminarayanan (2019), Detecting Out-of-Distribution Inputs
      to Deep Generative Models Using Typicality, arXiv:1906.02994.
    """
    log_probs = np.asarray(log_probs, np.float64)
    if not 1 <= batch_size <= len(log_probs):
        raise ValueError(f"batch_size must be from 1 to {len(log_probs)}; got {batch_size}.")
    whole = log_probs[: len(log_probs) // batch_size * batch_size]
    return typicality(whole.reshape(-1, batch_size).mean(1), validation=validation)


def complexity(images: npt.ArrayLike) -> np.ndarray:
    """Length of each image under a compressor that knows nothing of it (DEFLATE), in nats.

    The sum of log p and this length is a score: a likelihood ratio against the compressor.

    Args:
      images: ``[n, ...]``, uint8.

    Returns:
      ``[n]``, in nats.

    Raises:
      TypeError: the images are not uint8.

    Example:
      >>> import numpy as np
      >>> from iwae_jax import anomaly
      >>> plain, noise = np.zeros((8, 8), np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8)
      >>> lengths = anomaly.complexity(np.stack([plain, noise]))
      >>> bool(lengths[0] < lengths[1])
      True

    References:
      Serrà, Álvarez, Gómez, Slizovskaia, Núñez and Luque (2020), Input Complexity and
      Out-of-distribution Detection with Likelihood-based Generative Models, arXiv:1909.11480.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"a compressor reads bytes: images must be uint8; got {images.dtype}.")
    lengths = [len(zlib.compress(image.tobytes(), 9)) for image in images]
    return 8.0 * np.log(2.0) * np.asarray(lengths, np.float64)


def waic(log_probs: npt.ArrayLike) -> np.ndarray:
    r"""The mean of log p over an ensemble of models, less its variance.

    .. math:: \bar\ell - \tfrac1M \textstyle\sum_m (\ell_m - \bar\ell)^2

    Args:
      log_probs: ``[M, n]``, log p of each datum under each of M models.

    Returns:
      ``[n]``.

    Raises:
      ValueError: there are fewer than two models.

    Example:
      >>> from iwae_jax import anomaly
      >>> anomaly.waic([[1.0, 2.0], [3.0, 2.0]]).tolist()
      [1.0, 2.0]

    References:
      Choi, Jang and Alemi (2018), WAIC, but Why? Generative Ensembles for Robust Anomaly
      Detection, arXiv:1810.01392.
    """
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or len(log_probs) < 2:
        raise ValueError(f"log_probs of two models or more, [M, n]; got {log_probs.shape}.")
    return log_probs.mean(0) - log_probs.var(0)


def density_of_states(statistics: npt.ArrayLike, *, validation: npt.ArrayLike) -> np.ndarray:
    r"""How usual several statistics are: the sum of their log-densities on validation data.

    Each density is a Gaussian kernel estimate, of Scott's bandwidth, with a Cauchy tail of 1 %
    mixed in so that what lies far outside keeps an order.

    Args:
      statistics: ``[m, S]``, as log p, log-dets or norms of latents.
      validation: ``[n, S]``, of validation data.

    Returns:
      ``[m]``.

    Raises:
      ValueError: the numbers of statistics differ, or one does not vary.

    Example:
      >>> import numpy as np
      >>> from iwae_jax import anomaly
      >>> usual = np.random.default_rng(0).normal(size=(100, 2))
      >>> near, far = anomaly.density_of_states([[0.0, 0.0], [0.0, 9.0]], validation=usual)
      >>> bool(near > far)
      True

    References:
      Morningstar et al. (2021), Density of States Estimation for Out-of-Distribution Detection,
      arXiv:2006.09273.
    """
    values, usual = np.asarray(statistics, np.float64), np.asarray(validation, np.float64)
    if values.ndim != 2 or usual.ndim != 2 or values.shape[1] != usual.shape[1]:
        raise ValueError(f"[m, S] and [n, S] are needed; got {values.shape} and {usual.shape}.")
    centre, scale = np.median(usual, axis=0), np.std(usual, axis=0, ddof=1)
    if not np.all(scale > 0.0):
        raise ValueError("every statistic must vary over the validation data.")
    values, usual = (values - centre) / scale, (usual - centre) / scale
    width = len(usual) ** -0.2
    total = np.zeros(len(values))
    for column, points in zip(values.T, usual.T, strict=True):
        grid = np.linspace(points.min() - 5.0 * width, points.max() + 5.0 * width, 2000)
        kernels = np.exp(-0.5 * ((grid[:, None] - points) / width) ** 2)
        density = kernels.mean(1) / (width * np.sqrt(2.0 * np.pi))
        estimate = np.interp(column, grid, density, left=0.0, right=0.0)
        total += np.log(0.99 * estimate + 0.01 / (np.pi * (1.0 + column**2)))
    return total


def gradient_norm(params: PyTree, x: Array, *, log_prob) -> Array:
    r"""Minus the norm of the score of the parameters: small on data that training has fitted.

    .. math:: -\|\nabla_\theta \log p_\theta(x)\|

    Args:
      params: theta.
      x: one datum.
      log_prob: ``(params, x) -> []``, as of a flow.

    Returns:
      The score, ``[]``.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import anomaly, densities
      >>> log_prob = lambda mean, x: densities.gaussian_log_prob(mean, jnp.zeros(2), x)
      >>> anomaly.gradient_norm(jnp.zeros(2), jnp.array([3.0, 4.0]), log_prob=log_prob).tolist()
      -5.0

    References:
      Nguyen, Lim, Divakaran, Low and Chan (2019), GEE: A Gradient-based Explainable Variational
      Autoencoder for Network Anomaly Detection, arXiv:1903.06661.
    """
    gradient = jax.grad(log_prob)(params, x)
    return -jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
