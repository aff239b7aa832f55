"""The exact expectation of an estimator over the uniform noise of its relaxed samples."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import keys
from iwae_jax.exact import precision
from iwae_jax.types import Array, Key, LatentVariableModel, Params, PyTree

_EXAMPLE_KEY = 17
_AT_A_TIME = 1024

Rule = tuple[np.ndarray, np.ndarray]


def gauss_legendre(num_nodes: int, *, breakpoints: Sequence[float] = ()) -> Rule:
    """A rule for expectations under U(0, 1), piece by piece between the breakpoints.

    Exact for polynomials of degree 2 n - 1 in each piece.

    Args:
      num_nodes: n, nodes in each piece.
      breakpoints: where the integrand jumps or bends, between 0 and 1, in any order.

    Returns:
      The nodes and their probabilities, ``[n * pieces]`` each.

    Raises:
      ValueError: a breakpoint does not lie between 0 and 1.

    Example:
      >>> from iwae_jax import exact
      >>> nodes, probs = exact.gauss_legendre(3, breakpoints=[0.3])
      >>> float(probs @ (nodes > 0.3)).__round__(9)
      0.7

    References:
      Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 25.4.29.
    """
    nodes, probs = np.polynomial.legendre.leggauss(num_nodes)
    return _between((1.0 + nodes) / 2.0, probs / probs.sum(), breakpoints)


def tanh_sinh(num_nodes: int, *, breakpoints: Sequence[float] = ()) -> Rule:
    """A rule for expectations under U(0, 1) of what is singular at the ends of its pieces.

    Args:
      num_nodes: n, nodes in each piece; 40 or more.
      breakpoints: where the integrand jumps or bends, between 0 and 1, in any order.

    Returns:
      The nodes and their probabilities, ``[n * pieces]`` each.

    Raises:
      ValueError: a breakpoint does not lie between 0 and 1.

    Example:
      >>> import numpy as np
      >>> from iwae_jax import exact
      >>> nodes, probs = exact.tanh_sinh(60)
      >>> float(probs @ np.log(nodes)).__round__(9)
      -1.0

    References:
      Takahasi and Mori (1974), Double Exponential Formulas for Numerical Integration.
    """
    t = np.linspace(-3.0, 3.0, num_nodes)
    exponents = np.pi * np.sinh(t)
    nodes = 1.0 / (1.0 + np.exp(-exponents))
    probs = np.cosh(t) * nodes / (1.0 + np.exp(exponents))
    return _between(nodes, probs / probs.sum(), breakpoints)


def _between(nodes: np.ndarray, probs: np.ndarray, breakpoints: Sequence[float]) -> Rule:
    if not all(0.0 < point < 1.0 for point in breakpoints):
        raise ValueError(f"breakpoints must lie between 0 and 1; got {list(breakpoints)}.")
    ends = np.array([0.0, *sorted(breakpoints), 1.0])
    starts, lengths = ends[:-1, None], np.diff(ends)[:, None]
    return (starts + lengths * nodes).ravel(), (lengths * probs).ravel()


def uniform_expectation(
    params: Params,
    x: PyTree,
    *,
    estimator: Callable[..., tuple[Array, Array]],
    model: LatentVariableModel,
    num_samples: int,
    rules: Sequence[Sequence[Rule]],
) -> tuple[Array, Params]:
    """Expectation of an estimator's value and gradient, over the uniform noise it draws.

    For estimators with an argument `noise`, such as `iwae_jax.estimators.disarm`. Noise drawn with
    a key that is not in the key tree is nan, so that an invented key cannot go unseen.

    Args:
      params: theta and phi, float64.
      x: one datum.
      estimator: ``(key, params, x, *, model, num_samples, noise) -> (bound, log_weights)``.
      model: a model.
      num_samples: K.
      rules: for the noise of a sample, and then for each of its extra draws, one rule for each
        entry of that noise, such as `gauss_legendre(n)`. All combinations are evaluated.

    Returns:
      Expected bound, ``[]``, and expected gradient, like `params`.

    Raises:
      TypeError: the parameters are not float64.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import Params, densities, estimators, exact, latent_variable_model
      >>> model = latent_variable_model(
      ...     log_joint=lambda theta, x, z: densities.bernoulli_log_prob(theta, z),
      ...     sample_posterior=lambda key, phi, x: None,
      ...     log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
      ...     reparameterised=False,
      ... )
      >>> encode = lambda phi, x: densities.BernoulliLatents(phi)
      >>> model = model._replace(inference=model.inference._replace(encode=encode))
      >>> with jax.enable_x64(True):
      ...     params = Params(jnp.zeros(1), jnp.array([0.5]))
      ...     p = float(jax.nn.sigmoid(0.5))
      ...     rule = exact.gauss_legendre(1, breakpoints=[p, 1.0 - p])
      ...     _, gradient = exact.uniform_expectation(
      ...         params, None, estimator=estimators.disarm_iwae, model=model, num_samples=1,
      ...         rules=[[rule]])
      ...     print(f"{gradient.inference[0]:.6f}", f"{-0.5 * p * (1.0 - p):.6f}")
      -0.117502 -0.117502

    References:
      Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning,
      arXiv:1906.10652.
    """
    precision.require_float64(params)
    example_key = jax.random.key(_EXAMPLE_KEY)
    index = jnp.arange(num_samples)
    place = [keys.samples(example_key, num_samples)]
    for draw in range(len(rules) - 1):
        place.append(jax.vmap(keys.extra, (None, 0, None))(example_key, index, draw))
    # The draws of each sample, one sample after the other.
    known = jax.random.key_data(jnp.stack(place, axis=1).reshape(-1))
    grids = [_product(rule) for rule in rules] * num_samples
    sizes = [len(probs) for _, probs in grids]
    strides = np.cumprod([1, *sizes[:-1]])

    def weighted(number: Array) -> tuple[Array, Params]:
        digits = [number // stride % size for stride, size in zip(strides, sizes, strict=True)]
        nodes = [nodes[digit] for (nodes, _), digit in zip(grids, digits, strict=True)]
        probs = [probs[digit] for (_, probs), digit in zip(grids, digits, strict=True)]

        def noise(key: Key, shape: Sequence[int], dtype) -> Array:
            same = jnp.all(known == jax.random.key_data(key), axis=-1)
            drawn = jnp.full(shape, jnp.nan, dtype)
            for is_here, value in zip(same, nodes, strict=True):
                if value.size == drawn.size:
                    drawn = jnp.where(is_here, value.reshape(shape), drawn)
            return drawn

        def value(params: Params) -> Array:
            return estimator(
                example_key, params, x, model=model, num_samples=num_samples, noise=noise
            )[0]

        weight = jnp.prod(jnp.stack(probs))
        return jax.tree.map(lambda leaf: weight * leaf, jax.value_and_grad(value)(params))

    numbers = jnp.arange(np.prod(sizes))
    terms = jax.lax.map(weighted, numbers, batch_size=min(_AT_A_TIME, len(numbers)))
    return jax.tree.map(lambda leaf: leaf.sum(0), terms)


def _product(rules: Sequence[Rule]) -> tuple[Array, Array]:
    """Nodes ``[n, entries]`` and probabilities ``[n]`` of all combinations."""
    nodes = np.array(list(itertools.product(*(nodes for nodes, _ in rules))))
    probs = np.array(list(itertools.product(*(probs for _, probs in rules))))
    return jnp.array(nodes), jnp.array(probs.prod(axis=1))
