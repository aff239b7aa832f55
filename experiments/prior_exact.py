"""The Gaussian case of a trainable prior, in which everything has an exact answer."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iwae_jax import (
    LatentVariableModel,
    Params,
    estimators,
    evaluation,
    exact,
    keys,
    models,
    priors,
    training,
)
from iwae_jax.types import Array, Key, PyTree

DATA_SIZE, LATENT_SIZE, SCALE = 4, 2, 0.5
TRUE_MEAN, TRUE_VARIANCE = np.array([1.0, -0.5]), np.array([0.4, 2.0])
WEIGHT = np.array([[1.0, 0.3], [-0.6, 0.8], [0.2, 1.1], [0.7, -0.4]])
BIAS = np.array([0.5, -0.2, 0.0, 0.3])
GRADIENTS = {"score_function": 1, "leave_one_out": 2, "pathwise": 1, "analytic_kl": 1}
"""Estimators of the ELBO that are compared, with the fewest draws that each takes."""


class Fit(NamedTuple):
    """A trained prior beside the truth.

    Attributes:
      model: the model.
      params: its parameters after training, float64.
      numbers: what the summary says of it.
    """

    model: LatentVariableModel
    params: Params
    numbers: dict[str, Any]


def build(key: Key) -> tuple[LatentVariableModel, Params]:
    """The linear-Gaussian model, whose prior starts at N(0, I) and whose q at random."""
    likelihood, theta = models.gaussian_likelihood(
        key, latent_size=LATENT_SIZE, event_shape=(DATA_SIZE,), hidden_sizes=(), scale=SCALE
    )
    theta["mean"]["last"] = {
        "kernel": jnp.asarray(WEIGHT.T, jnp.float32),
        "bias": jnp.asarray(BIAS, jnp.float32),
    }
    zeros, ones = np.zeros(LATENT_SIZE, np.float32), np.ones(LATENT_SIZE, np.float32)
    return models.compose(
        prior=priors.diagonal_gaussian(zeros, ones),
        likelihood=(likelihood, theta),
        posterior=models.full_gaussian_posterior(
            key, event_shape=(DATA_SIZE,), latent_size=LATENT_SIZE, hidden_sizes=()
        ),
    )


def draw(key: Key, num_data: int) -> np.ndarray:
    """Data of the true prior, ``[num_data, D]``."""
    latent, noise = jax.random.split(key)
    z = TRUE_MEAN + np.sqrt(TRUE_VARIANCE) * jax.random.normal(latent, (num_data, LATENT_SIZE))
    x = z @ WEIGHT.T + BIAS + SCALE * jax.random.normal(noise, (num_data, DATA_SIZE))
    return np.asarray(x, np.float32)


def log_likelihoods(moments: Array, xs: Array) -> Array:
    """Exact log p(x) of each datum, given the mean and the log-variance of the prior, ``[2 k]``."""
    mean, log_variance = moments[:LATENT_SIZE], moments[LATENT_SIZE:]
    # Probabilistic PCA in standardised latents.
    theta = {
        "weight": WEIGHT * jnp.exp(0.5 * log_variance),
        "bias": WEIGHT @ mean + BIAS,
        "log_scale": jnp.log(SCALE),
    }
    return jax.vmap(exact.linear_gaussian_log_likelihood, (None, 0))(theta, xs)


def most_likely(xs: Array) -> tuple[Array, Array]:
    """The most likely (lambda_1, log lambda_2), and their standard errors."""

    def loss(flat: Array) -> Array:
        return -jnp.sum(log_likelihoods(flat, xs))

    # Newton's method from the truth, which is near.
    flat = jnp.concatenate([TRUE_MEAN, np.log(TRUE_VARIANCE)])
    step = jax.jit(
        lambda flat: flat - jnp.linalg.solve(jax.hessian(loss)(flat), jax.grad(loss)(flat))
    )
    for _ in range(20):
        flat = step(flat)
    return flat, jnp.sqrt(jnp.diagonal(jnp.linalg.inv(jax.hessian(loss)(flat))))


def exact_gradient(params: Params, x: Array, *, model: LatentVariableModel) -> tuple[Array, Params]:
    """The ELBO of one datum and its gradient, integrated over the noise."""
    return exact.gaussian_expectation(
        params, x, estimator=estimators.pathwise, model=model, num_samples=1,
        from_noise=lambda phi, q, noise: q.mean + q.scale_tril @ noise,
        noise_size=LATENT_SIZE, rule=exact.gauss_hermite(4),
    )  # fmt: skip


def fit(seed: int, num_data: int, num_epochs: int, on_progress) -> Fit:
    """Trains lambda and phi on data of the true prior, theta being known."""
    root = jax.random.key(seed)
    xs = draw(keys.tagged(root, keys.OBSERVATION), num_data)
    test = draw(keys.tagged(root, keys.EVALUATION), num_data)
    model, params = build(keys.tagged(root, keys.INITIALISATION))
    batch_size = min(100, num_data)
    optimizer = optax.multi_transform(
        {
            "learnt": training.short_optimizer(
                num_steps=num_epochs * (num_data // batch_size), learning_rate=0.02
            ),
            "known": optax.set_to_zero(),
        },
        Params({"likelihood": "known", "prior": "learnt"}, "learnt", "learnt"),
    )
    result = training.fit(
        root, params, xs, model=model, estimator=estimators.analytic_kl, num_samples=1,
        optimizer=optimizer, batch_size=batch_size, num_epochs=num_epochs,
        observe=lambda key, x: x, on_progress=on_progress,
    )  # fmt: skip
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)
        params, xs, test = double((result.params, xs, test))
        latents = model.generative.gaussian_prior(params.generative)
        found = jnp.concatenate([latents.mean, 2.0 * latents.log_scale])
        true = jnp.concatenate([TRUE_MEAN, np.log(TRUE_VARIANCE)])
        best, errors = most_likely(xs)
        of_test = np.asarray(log_likelihoods(found, test))
        bounds = jax.jit(jax.vmap(partial(exact_gradient, model=model), (None, 0)))(
            params, test[:200]
        )[0]
        active = evaluation.active_units(
            keys.tagged(root, keys.EVALUATION), params, test[:500], model=model
        )
        numbers = {
            "lambda_mean_true": TRUE_MEAN.tolist(),
            "lambda_variance_true": TRUE_VARIANCE.tolist(),
            "lambda_mean": found[:LATENT_SIZE].tolist(),
            "lambda_variance": jnp.exp(found[LATENT_SIZE:]).tolist(),
            "lambda_mean_most_likely": best[:LATENT_SIZE].tolist(),
            "lambda_variance_most_likely": jnp.exp(best[LATENT_SIZE:]).tolist(),
            "lambda_from_truth_in_se": ((found - true) / errors).tolist(),
            "lambda_from_most_likely_in_se": ((found - best) / errors).tolist(),
            "log_likelihood_of_truth": float(log_likelihoods(true, test).mean()),
            "test_nll": float(-of_test.mean()),
            "test_nll_se": float(of_test.std(ddof=1) / np.sqrt(len(of_test))),
            "mean_gap": float(np.mean(of_test[:200] - np.asarray(bounds))),
            "active_units": int(active.sum()),
        }
    return Fit(model, params, numbers)


def compare_gradients(seed: int, num_gradients: int, num_data: int = 8) -> list[dict[str, Any]]:
    """Each estimator's mean against the exact gradient, and its variance, on the same draws."""
    with jax.enable_x64(True):
        root = jax.random.key(seed)
        model, params = build(keys.tagged(root, keys.INITIALISATION))
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        xs = jnp.asarray(draw(keys.tagged(root, keys.OBSERVATION), num_data), jnp.float64)
        _, of_data = jax.jit(jax.vmap(partial(exact_gradient, model=model), (None, 0)))(params, xs)
        target = _parts(jax.tree.map(lambda leaf: leaf.mean(0), of_data))

        def gradients(name: str) -> dict[str, np.ndarray]:
            run = partial(getattr(estimators, name), model=model, num_samples=GRADIENTS[name])

            def one(step_key: Key) -> dict[str, Array]:
                example_keys = jax.vmap(keys.example, (None, 0))(step_key, jnp.arange(num_data))
                objective = lambda p: jnp.mean(jax.vmap(run, (0, None, 0))(example_keys, p, xs)[0])
                return _parts(jax.grad(objective)(params))

            step_keys = jax.vmap(keys.step, (None, 0))(root, jnp.arange(num_gradients))
            return jax.device_get(jax.jit(jax.vmap(one))(step_keys))

        draws = {name: gradients(name) for name in GRADIENTS}
    rows = []
    for name, found in draws.items():
        row: dict[str, Any] = {"estimator": name, "draws": GRADIENTS[name]}
        for part, values in found.items():
            row[f"variance_{part}"] = float(GRADIENTS[name] * values.var(0, ddof=1).sum())
            row[f"from_exact_{part}_in_se"] = _largest(values - np.asarray(target[part]))
            row[f"from_analytic_kl_{part}_in_se"] = _largest(values - draws["analytic_kl"][part])
        rows.append(row)
    return rows


def _parts(gradient: Params) -> dict[str, Array]:
    flat = lambda tree: jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
    trees: dict[str, PyTree] = {
        "theta": gradient.generative["likelihood"],
        "lambda": gradient.generative["prior"],
        "phi": gradient.inference,
    }
    return {part: flat(tree) for part, tree in trees.items()}


def _largest(differences: np.ndarray) -> float:
    """The largest mean, in its own standard errors; 0 where nothing differs."""
    error = differences.std(0, ddof=1) / np.sqrt(len(differences))
    mean = np.abs(differences.mean(0))
    # What differs by rounding alone has no error of its own.
    return float(np.max(np.where(mean < 1e-12, 0.0, mean / np.maximum(error, 1e-300))))
