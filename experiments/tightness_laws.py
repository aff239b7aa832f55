"""Probabilistic PCA, its families of q, and the law of their log-weights on a grid of z."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import LatentVariableModel, Params, exact, keys, models
from iwae_jax.types import Array, Key, PyTree

DATA_SIZE = 4
LATENT_SIZE = 2

FAMILIES = {
    "prior": "the prior",
    "diagonal": "diagonal, of the best ELBO",
    "marginals": "diagonal, of the posterior's variances",
    "full": "full covariance, x_4 unseen",
    "posterior": "the posterior",
}


def model_and_theta() -> tuple[LatentVariableModel, PyTree]:
    """A model whose posterior is correlated: by -0.63, for every x. Float64."""
    model, _ = models.linear_gaussian(
        jax.random.key(0), data_size=DATA_SIZE, latent_size=LATENT_SIZE
    )
    weight = np.stack([np.ones(DATA_SIZE), np.arange(DATA_SIZE) / 2.0], axis=1)
    theta = {"weight": weight, "bias": np.ones(DATA_SIZE), "log_scale": np.zeros(())}
    return model, jax.tree.map(jnp.asarray, theta)


def data(key: Key, theta: PyTree, num_data: int) -> Array:
    """Draws of x, moved so that their mean and covariance are exactly the model's: ``[N, D]``."""
    key = keys.tagged(key, keys.OBSERVATION)
    draws = jax.random.normal(key, (num_data, DATA_SIZE), theta["weight"].dtype)
    whitened, _, _ = jnp.linalg.svd(draws - draws.mean(0), full_matrices=False)
    scale = jnp.linalg.cholesky(covariance(theta))
    return theta["bias"] + jnp.sqrt(1.0 * num_data) * whitened @ scale.T


def covariance(theta: PyTree) -> Array:
    """The covariance of x in the model."""
    weight = theta["weight"]
    return weight @ weight.T + jnp.exp(2.0 * theta["log_scale"]) * jnp.eye(len(weight))


def scale_tril(phi: PyTree) -> Array:
    """L, where q has the covariance L L'."""
    return jnp.tril(phi["tril"], -1) + jnp.diag(jnp.exp(jnp.diag(phi["tril"])))


def families(theta: PyTree) -> dict[str, PyTree]:
    """One phi for each of `FAMILIES`."""
    posterior = exact.linear_gaussian_posterior(theta)
    own = scale_tril(posterior)
    spread = own @ own.T
    with_variances = lambda variances: posterior | {"tril": jnp.diag(jnp.log(variances) / 2.0)}
    # The best mean that does not see the last entry of x has its regression on the others there.
    # The ELBO's best covariance does not depend on the mean: it is the posterior's.
    marginal = covariance(theta)
    slopes = jnp.linalg.solve(marginal[:-1, :-1], marginal[:-1, -1])
    seen = posterior["weight"][:, :-1] + jnp.outer(posterior["weight"][:, -1], slopes)
    blind = jnp.concatenate([seen, jnp.zeros_like(seen[:, :1])], axis=1)
    return {
        "prior": jax.tree.map(jnp.zeros_like, posterior),
        "diagonal": with_variances(1.0 / jnp.diag(jnp.linalg.inv(spread))),
        "marginals": with_variances(jnp.diag(spread)),
        "full": {"weight": blind, "bias": -blind @ theta["bias"], "tril": posterior["tril"]},
        "posterior": posterior,
    }


def weight_law(
    params: Params, x: Array, *, model: LatentVariableModel, num_nodes: int, reach: float
) -> exact.WeightLaw:
    """The law of log w on a grid along the axes in which q and the posterior are both diagonal.

    It goes `reach` standard deviations of both to each side. The gradient is right too: the grid is
    fixed, and quadrature differentiates what lies on it.
    """
    theta, phi = jax.lax.stop_gradient((params.generative, params.inference))
    posterior = exact.linear_gaussian_posterior(theta)
    own = scale_tril(phi)
    whiten = partial(jax.scipy.linalg.solve_triangular, own, lower=True)
    mean = model.inference.encode(phi, x)
    rotation, scales, _ = jnp.linalg.svd(whiten(scale_tril(posterior)))
    shift = rotation.T @ whiten(model.inference.encode(posterior, x) - mean)
    lower = jnp.minimum(-reach, shift - reach * scales)
    upper = jnp.maximum(reach, shift + reach * scales)
    axes = jnp.linspace(lower, upper, num_nodes, axis=1)
    grid = jnp.stack([axis.ravel() for axis in jnp.meshgrid(*axes)], axis=1)
    log_volume = jnp.sum(jnp.log((upper - lower) / (num_nodes - 1))) + jnp.trace(phi["tril"])
    return exact.quadrature_law(
        params, x, model=model, nodes=mean + grid @ (own @ rotation).T,
        log_volumes=jnp.full(len(grid), log_volume),
    )  # fmt: skip
