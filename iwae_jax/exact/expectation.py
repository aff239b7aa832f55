"""The exact expectation of any estimator's gradient, through the estimator's own code."""

import itertools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import keys
from iwae_jax.exact import precision
from iwae_jax.types import Array, Estimator, Key, LatentVariableModel, Params, PyTree

_EXAMPLE_KEY = 17
_AT_A_TIME = 1024


def gauss_hermite(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """A rule for expectations under N(0, 1), exact for polynomials of degree 2 n - 1.

    Args:
      num_nodes: n.

    Returns:
      Nodes ``[n]`` and their probabilities ``[n]``.

    Example:
      >>> from iwae_jax import exact
      >>> nodes, probs = exact.gauss_hermite(5)
      >>> float(probs @ nodes**4).__round__(9)
      3.0

    References:
      Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 25.4.46.
    """
    nodes, probs = np.polynomial.hermite_e.hermegauss(num_nodes)
    return nodes, probs / probs.sum()


def trapezoid(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """A rule for expectations under N(0, 1), best where the integrand has poles near the line.

    The logarithm of a sum of weights has such poles.

    Args:
      num_nodes: n, evenly spaced from -9 to 9 standard deviations.

    Returns:
      Nodes ``[n]`` and their probabilities ``[n]``.

    Example:
      >>> from iwae_jax import exact
      >>> nodes, probs = exact.trapezoid(100)
      >>> float(probs @ nodes**4).__round__(9)
      3.0

    References:
      Trefethen and Weideman (2014), The Exponentially Convergent Trapezoidal Rule, theorem 5.1.
    """
    nodes = np.linspace(-9.0, 9.0, num_nodes)
    probs = np.exp(-0.5 * nodes**2)
    return nodes, probs / probs.sum()


def finite_expectation(
    params: Params,
    x: PyTree,
    *,
    estimator: Estimator,
    model: LatentVariableModel,
    num_samples: int,
    latents: PyTree,
    num_draws: int = 0,
) -> tuple[Array, Params]:
    """Expectation of an estimator's value and gradient, over all S^K tuples of K latents.

    Args:
      params: theta and phi, float64.
      x: one datum.
      estimator: ``(key, params, x, *, model, num_samples) -> (bound, log_weights)``.
      model: a model with finitely many latents.
      num_samples: K of the samples that are drawn, M * K where an estimator takes several bounds;
        S^K evaluations are made.
      latents: all the states of z, stacked on the first axis ``[S]``; as floats, so that a sample
        drawn with a key that is not in the key tree shows as nan.
      num_draws: extra draws of each sample; S^(K (1 + num_draws)) evaluations are made then.

    Returns:
      Expected bound, ``[]``, and expected gradient, like `params`.

    Raises:
      TypeError: the parameters are not float64.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import Params, densities, estimators, exact, latent_variable_model
      >>> model = latent_variable_model(
      ...     log_joint=lambda theta, x, z: densities.bernoulli_log_prob(theta, z)
      ...     + densities.gaussian_log_prob(2.0 * z, 0.0, x),
      ...     sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
      ...     log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
      ...     reparameterised=False,
      ... )
      >>> with jax.enable_x64(True):
      ...     params, x = Params(jnp.array(0.3), jnp.array(-0.5)), jnp.array(1.5)
      ...     _, gradient = exact.finite_expectation(
      ...         params, x, estimator=estimators.vimco_arithmetic, model=model, num_samples=2,
      ...         latents=jnp.array([0.0, 1.0]))
      ...     print(f"{gradient.inference:.7f}")
      0.2960954

    References:
      Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning,
      arXiv:1906.10652.
    """
    precision.require_float64(params)
    q = model.inference.encode(params.inference, x)
    log_prob = lambda z: model.inference.log_prob(params.inference, q, z)

    def place(phi: PyTree, q: PyTree, z: PyTree) -> tuple[PyTree, Array]:
        return z, model.inference.log_prob(phi, q, z)

    probs = jnp.exp(jax.vmap(log_prob)(latents))
    return _expectation(params, x, estimator, model, num_samples, latents, probs, place, num_draws)


def gaussian_expectation(
    params: Params,
    x: PyTree,
    *,
    estimator: Estimator,
    model: LatentVariableModel,
    num_samples: int,
    from_noise: Callable[[PyTree, PyTree, Array], PyTree],
    noise_size: int,
    rule: tuple[np.ndarray, np.ndarray],
) -> tuple[Array, Params]:
    """Expectation of an estimator's value and gradient, over the normal noise of its K samples.

    Args:
      params: theta and phi, float64.
      x: one datum.
      estimator: ``(key, params, x, *, model, num_samples) -> (bound, log_weights)``.
      model: a model whose z is a function of standard normal noise.
      num_samples: K of the samples that are drawn; n^(K d) evaluations are made.
      from_noise: ``(phi, q, noise) -> z``, with noise ``[d]``.
      noise_size: d.
      rule: n nodes and probabilities for one normal, such as `gauss_hermite(n)`.

    Returns:
      Expected bound, ``[]``, and expected gradient, like `params`.

    Raises:
      TypeError: the parameters are not float64.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import Params, densities, estimators, exact, latent_variable_model
      >>> model = latent_variable_model(
      ...     log_joint=lambda theta, x, z: densities.gaussian_log_prob(theta, 0.0, z)
      ...     + densities.gaussian_log_prob(z, 0.0, x),
      ...     sample_posterior=lambda key, phi, x: phi + jax.random.normal(key),
      ...     log_posterior=lambda phi, x, z: densities.gaussian_log_prob(phi, 0.0, z),
      ...     reparameterised=True,
      ... )
      >>> with jax.enable_x64(True):
      ...     _, gradient = exact.gaussian_expectation(
      ...         Params(jnp.array(0.3), jnp.array(0.9)), jnp.array(1.0), model=model,
      ...         estimator=estimators.pathwise, num_samples=1, noise_size=1,
      ...         from_noise=lambda phi, q, noise: phi + noise[0], rule=exact.gauss_hermite(5))
      ...     print(f"{gradient.inference:.6f}")  # d/dphi of -(phi - 0.3)^2 / 2 - (1 - phi)^2 / 2
      -0.500000

    References:
      Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning,
      arXiv:1906.10652.
    """
    precision.require_float64(params)
    nodes, node_probs = rule
    grid = np.array(list(itertools.product(range(len(nodes)), repeat=noise_size)))
    noises, probs = jnp.array(nodes[grid]), jnp.array(node_probs[grid].prod(axis=1))

    def place(phi: PyTree, q: PyTree, noise: Array) -> tuple[PyTree, Array]:
        z = from_noise(phi, q, noise)
        return z, model.inference.log_prob(phi, q, z)

    return _expectation(params, x, estimator, model, num_samples, noises, probs, place)


def _poisoned_unless(known: Array, leaf: Array) -> Array:
    return jnp.where(known, leaf, jnp.nan) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _expectation(
    params, x, estimator, model, num_samples, atoms, probs, place, num_draws=0
) -> tuple[Array, Params]:
    """Sums over all tuples of atoms, each put where the estimator draws one.

    The sampler is swapped for one that looks its key up among the keys that the key tree gives to
    the samples and to their extra draws. Any other key gets nan, so that an invented key cannot go
    unseen.
    """
    example_key = jax.random.key(_EXAMPLE_KEY)
    known_keys = [keys.samples(example_key, num_samples)]
    for draw in range(num_draws):
        of_draw = jax.vmap(keys.extra, (None, 0, None))
        known_keys.append(of_draw(example_key, jnp.arange(num_samples), draw))
    known = jax.random.key_data(jnp.concatenate(known_keys))

    def value_and_gradient(choice: Array) -> tuple[Array, Params]:
        def sample_and_log_prob(key: Key, phi: PyTree, q: PyTree) -> tuple[PyTree, Array]:
            same = jnp.all(known == jax.random.key_data(key), axis=-1)
            atom = jax.tree.map(lambda leaf: leaf[choice[jnp.argmax(same)]], atoms)
            z, log_q = place(phi, q, atom)
            return jax.tree.map(partial(_poisoned_unless, jnp.any(same)), (z, log_q))

        inference = model.inference._replace(sample_and_log_prob=sample_and_log_prob)
        injected = model._replace(inference=inference)

        def value(params: Params) -> Array:
            return estimator(example_key, params, x, model=injected, num_samples=num_samples)[0]

        return jax.value_and_grad(value)(params)

    num_atoms = probs.shape[0]
    digits = num_atoms ** np.arange(len(known))
    choices = jnp.array(np.arange(num_atoms ** len(known))[:, None] // digits % num_atoms)

    def weighted(choice: Array) -> tuple[Array, Params]:
        weight = jnp.prod(probs[choice])
        return jax.tree.map(lambda leaf: weight * leaf, value_and_gradient(choice))

    terms = jax.lax.map(weighted, choices, batch_size=_AT_A_TIME)
    return jax.tree.map(lambda leaf: leaf.sum(0), terms)
