"""The law of the log-weight, and log p(x), for `iwae_jax.models.gaussian_toy`."""

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import densities
from iwae_jax.exact import _quadrature, precision
from iwae_jax.exact.laws import WeightLaw
from iwae_jax.types import Array, Params, PyTree


def gaussian_toy_log_likelihood(theta: PyTree, x: Array) -> Array:
    r"""The marginal log-likelihood of the Gaussian toy.

    .. math:: \log p(x) = \log N(x; \mu, 2 I)

    Args:
      theta: "mean" mu ``[D]``; float64.
      x: one datum, ``[D]``.

    Returns:
      log p(x), ``[]``, in nats.

    Raises:
      TypeError: theta is not float64.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from iwae_jax import exact
      >>> with jax.enable_x64(True):
      ...     theta = {"mean": jnp.zeros(2)}
      ...     float(exact.gaussian_toy_log_likelihood(theta, jnp.ones(2))).__round__(4)
      -3.031

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    precision.require_float64(theta)
    return densities.gaussian_log_prob(theta["mean"], 0.5 * jnp.log(2.0), x)


def gaussian_toy_law(params: Params, x: Array, *, num_nodes: int = 128) -> WeightLaw:
    r"""The law of the log-weight of the Gaussian toy, by a rule of two dimensions for any D.

    .. math:: \log w = \log p(x) + \tfrac D2 \log \tfrac43 - |\delta|^2
       - 2 \sqrt{2/3}\, |\delta|\, g - \frac{g^2 + r}6, \quad \delta = A x + b - \frac{x + \mu}2

    Here g ~ N(0, 1) is the noise of q along delta, and r, independent of it, the squared norm of
    the rest of the noise: chi-squared with D - 1 degrees of freedom.

    Args:
      params: as `iwae_jax.models.gaussian_toy` builds them; float64.
      x: one datum, ``[D]``.
      num_nodes: nodes of the rule over g; 128 are enough for a distance of 2.4 between the means
        of q and of the posterior, and 256 for 4.2.

    Returns:
      The law. Where the nodes are too few and the values are traced, so that nothing can be
      raised, its log-probabilities are nan.

    Raises:
      TypeError: the parameters are not float64.
      ValueError: the nodes are too few for the distance.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from iwae_jax import exact, models
      >>> with jax.enable_x64(True):
      ...     _, params = models.gaussian_toy(jax.random.key(0), size=20)
      ...     x = jnp.ones(20)
      ...     law = exact.gaussian_toy_law(params, x)
      ...     log_p = exact.gaussian_toy_log_likelihood(params.generative, x)
      ...     bool(abs(exact.iwae(law, num_samples=1_000_000) - log_p) < 1e-5)
      True

    References:
      Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
      arXiv:1802.04537.
    """
    precision.require_float64(params)
    theta, phi = params.generative, params.inference
    delta = phi["weight"] @ x + phi["bias"] - 0.5 * (x + theta["mean"])
    squared = delta @ delta
    # The root has no derivative at 0; the law, even in the distance, has one there, of 0.
    distance = jnp.where(squared > 0.0, jnp.sqrt(jnp.where(squared > 0.0, squared, 1.0)), 0.0)
    slope = 2.0 * jnp.sqrt(2.0 / 3.0) * distance

    # Under the masses p w^n, for n up to 2, g has its mean between -2 |delta| and 0.
    reach, steepness = jax.lax.stop_gradient((distance, slope))
    g = jnp.linspace(-9.0 - 2.0 * reach, 9.0, num_nodes)
    # The error is about exp(-20 / step), with the step in nats of log w.
    step = steepness * (g[1] - g[0])
    fault = f"a step of {step} nats in log w is too coarse: num_nodes must grow to be below 0.7."
    log_prob_g = _quadrature.checked(-0.5 * g**2, step < 0.7, fault)

    r, log_prob_r = _chi_squared(x.size - 1)
    log_p = gaussian_toy_log_likelihood(theta, x) + 0.5 * x.size * jnp.log(4.0 / 3.0)
    along = -slope * g - g**2 / 6.0
    log_weights = log_p - squared + along[:, None] - r / 6.0
    return WeightLaw(log_weights.ravel(), (log_prob_g[:, None] + log_prob_r).ravel())


def _chi_squared(degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and unnormalised log-masses; they reach what the weights w^2 make of the law too."""
    if degrees == 0:
        return np.zeros(1), np.zeros(1)
    # In s, where r = 4 log(1 + e^s), the density is analytic in a strip of half-width pi and dies
    # out exponentially on both sides, whatever the degrees: the trapezoidal rule is exact there.
    s = np.arange(-90.0, degrees + 160.0, 0.4)
    r = 4.0 * np.logaddexp(0.0, s)
    log_masses = (0.5 * degrees - 1.0) * np.log(r) - 0.5 * r - np.logaddexp(0.0, -s)
    tilted = log_masses - np.arange(3)[:, None] * r / 6.0
    kept = np.any(tilted > tilted.max(axis=1, keepdims=True) - 40.0, axis=0)
    return r[kept], log_masses[kept]
