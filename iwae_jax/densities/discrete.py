"""Bernoulli and categorical variables: log-probabilities in nats, and samples."""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from iwae_jax.types import Array, Key


class BernoulliLatents(NamedTuple):
    """Independent Bernoulli variables.

    Attributes:
      logits: ``[D]``.
    """

    logits: Array


class CategoricalLatents(NamedTuple):
    """Independent categorical variables, whose value is one-hot.

    Attributes:
      logits: ``[D, S]``, of S states, up to a constant of each variable.
    """

    logits: Array


@jax.custom_jvp
def _bernoulli_log_prob(logits: Array, x: Array) -> Array:
    # jax.nn.softplus is a logaddexp with its own guards; this form costs half as much.
    return jnp.sum(x * logits - jnp.maximum(logits, 0.0) - jnp.log1p(jnp.exp(-jnp.abs(logits))))


@_bernoulli_log_prob.defjvp
def _bernoulli_log_prob_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    logits, x = primals
    logits_dot, x_dot = tangents
    tangent = jnp.sum((x - jax.nn.sigmoid(logits)) * logits_dot + logits * x_dot)
    return _bernoulli_log_prob(logits, x), tangent


def bernoulli_log_prob(logits: Array, x: Array) -> Array:
    r"""Log-probability of independent Bernoulli variables, from their logits.

    .. math:: \sum_d [x_d l_d - \log(1 + e^{l_d})]

    Finite for every finite logit, with the gradient :math:`x - \sigma(l)` computed as such.

    Args:
      logits: ``[...]``, l.
      x: ``[...]``, of the same shape, 0 or 1 (or a probability, for an expected log-probability).

    Returns:
      The log-probability, ``[]``, in nats.

    Raises:
      AssertionError: the shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> densities.bernoulli_log_prob(jnp.array([0.0, 200.0]), jnp.array([1.0, 0.0])).round(2)
      Array(-200.69, dtype=float32)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.1, arXiv:1312.6114.
    """
    chex.assert_equal_shape((logits, x))
    return _bernoulli_log_prob(logits, x.astype(logits.dtype))


def uniform_noise(key: Key, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Uniform noise strictly between 0 and 1, so that its logit is finite.

    Args:
      key: key of the draw, ``[]``.
      shape: shape of the noise.
      dtype: a floating dtype.

    Returns:
      The noise, of that shape and dtype.

    Example:
      >>> import jax
      >>> from iwae_jax import densities
      >>> noise = densities.uniform_noise(jax.random.key(0), (100,), jax.numpy.float32)
      >>> bool(0.0 < noise.min()) and bool(noise.max() < 1.0)
      True

    References:
      Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 2.
    """
    return jax.random.uniform(key, shape, dtype, minval=jnp.finfo(dtype).tiny)


def bernoulli_sample_and_log_prob(key: Key, latents: BernoulliLatents) -> tuple[Array, Array]:
    r"""Sample of independent Bernoulli variables, with its log-probability.

    .. math:: z = 1[u > 1 - \sigma(l)], \quad u \sim U(0, 1)

    Args:
      key: key of the draw, ``[]``.
      latents: the variables, with logits ``[D]``.

    Returns:
      z, ``[D]``, 0 or 1 in the dtype of the logits, and log q(z), ``[]``, in nats.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> q = densities.BernoulliLatents(jnp.array([-20.0, 20.0]))
      >>> densities.bernoulli_sample_and_log_prob(jax.random.key(0), q)[0]
      Array([0., 1.], dtype=float32)

    References:
      Tucker et al. (2017), REBAR: Low-variance, unbiased gradient estimates for discrete latent
      variable models, arXiv:1703.07370.
    """
    logits = latents.logits
    noise = uniform_noise(key, logits.shape, logits.dtype)
    z = (noise > jax.nn.sigmoid(-logits)).astype(logits.dtype)
    return z, bernoulli_log_prob(logits, z)


def categorical_log_prob(logits: Array, x: Array) -> Array:
    r"""Log-probability of independent categorical variables, from their logits.

    .. math:: \sum_d \Big[ \sum_s x_{ds} l_{ds} - \log \sum_s e^{l_{ds}} \Big]

    Args:
      logits: ``[..., S]``, l.
      x: ``[..., S]``, one-hot over the last axis.

    Returns:
      The log-probability, ``[]``, in nats.

    Raises:
      AssertionError: the shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> densities.categorical_log_prob(jnp.zeros((2, 4)), jnp.eye(4)[:2]).round(4)
      Array(-2.7726, dtype=float32)

    References:
      Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
      arXiv:1611.01144.
    """
    chex.assert_equal_shape((logits, x))
    return jnp.sum(x.astype(logits.dtype) * jax.nn.log_softmax(logits))


def categorical_sample_and_log_prob(key: Key, latents: CategoricalLatents) -> tuple[Array, Array]:
    r"""One-hot sample of independent categorical variables, with its log-probability.

    .. math:: z = \mathrm{onehot} \arg\max_s (l_s - \log(-\log u_s)), \quad u_s \sim U(0, 1)

    Args:
      key: key of the draw, ``[]``.
      latents: the variables, with logits ``[D, S]``.

    Returns:
      z, ``[D, S]``, one-hot in the dtype of the logits, and log q(z), ``[]``, in nats.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import densities
      >>> q = densities.CategoricalLatents(jnp.array([[0.0, 50.0, 0.0]]))
      >>> densities.categorical_sample_and_log_prob(jax.random.key(0), q)[0]
      Array([[0., 1., 0.]], dtype=float32)

    References:
      Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
      arXiv:1611.01144.
    """
    logits = latents.logits
    noise = uniform_noise(key, logits.shape, logits.dtype)
    highest = jnp.argmax(logits - jnp.log(-jnp.log(noise)), axis=-1)
    z = jax.nn.one_hot(highest, logits.shape[-1], dtype=logits.dtype)
    return z, categorical_log_prob(logits, z)
