"""Gradients of a VAE with a trainable prior, each against the exact bound's, lambda included."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import Params, densities, estimators, exact, models, priors
from tests.test_estimators import assert_trees_close
from tests.test_priors import NODES, VOLUMES, likelihood, moved

X = np.array([1.0, 0.2, -0.5])
PRIORS = {
    "diagonal": lambda: priors.diagonal_gaussian([0.5, -1.0], [0.5, 2.0]),
    "full": lambda: priors.full_gaussian([0.5, -1.0], [[1.0, 0.6], [0.6, 0.8]]),
}
POSTERIORS = {
    "diagonal": models.gaussian_posterior,
    "full": models.full_gaussian_posterior,
}
SCALES = {"fixed": 0.7, "learnt": None}


def gaussian_vae(prior, posterior, scale):
    """Data linear in the latent: the ELBO has a closed form."""
    return models.compose(
        prior=PRIORS[prior](),
        likelihood=likelihood(scale=SCALES[scale]),
        posterior=POSTERIORS[posterior](
            jax.random.key(1), event_shape=(3,), latent_size=2, hidden_sizes=(3,)
        ),
    )


def moments(latents):
    if isinstance(latents, densities.GaussianLatents):
        return latents.mean, jnp.diag(jnp.exp(2.0 * latents.log_scale))
    return latents.mean, latents.scale_tril @ latents.scale_tril.T


def exact_elbo(params, x, model, scale):
    """E_q log p(x | z) - KL[q || r], from the moments of the three Gaussians."""
    mean, covariance = moments(model.inference.encode(params.inference, x))
    prior_mean, prior_covariance = moments(model.generative.gaussian_prior(params.generative))
    theta = params.generative["likelihood"]
    weight, bias = theta["mean"]["last"]["kernel"].T, theta["mean"]["last"]["bias"]
    variance = scale**2 if scale else jnp.exp(2.0 * priors.bounded_log_scale(theta["raw_scale"]))
    square = jnp.sum((x - weight @ mean - bias) ** 2) + jnp.trace(weight @ covariance @ weight.T)
    log_likelihood = -0.5 * (square / variance + 3 * jnp.log(2.0 * jnp.pi * variance))
    precision, shift = jnp.linalg.inv(prior_covariance), prior_mean - mean
    divergence = jnp.trace(precision @ covariance) + shift @ precision @ shift - 2.0
    log_dets = [jnp.linalg.slogdet(matrix)[1] for matrix in (prior_covariance, covariance)]
    return log_likelihood - 0.5 * (divergence + log_dets[0] - log_dets[1])


def from_noise(phi, q, noise):
    scale = jnp.diag(jnp.exp(q[1])) if isinstance(q, densities.GaussianLatents) else q[1]
    return q.mean + scale @ noise


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("prior", "posterior"), [("diagonal", "diagonal"), ("full", "full")])
def test_score_path_and_closed_form_have_the_exact_gradient(float64, prior, posterior, scale):
    model, params = gaussian_vae(prior, posterior, scale)
    params, x = moved(params), jnp.array(X)
    bound = partial(exact_elbo, model=model, scale=SCALES[scale])
    expected, gradient = jax.jit(jax.value_and_grad(bound))(params, x)
    assert all(jnp.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(gradient))
    draws = {"score_function": 1, "leave_one_out": 2, "pathwise": 1, "analytic_kl": 1}
    for name, num_samples in draws.items():
        run = partial(
            exact.gaussian_expectation, estimator=getattr(estimators, name), model=model,
            num_samples=num_samples, from_noise=from_noise, noise_size=2,
            rule=exact.gauss_hermite(5),
        )  # fmt: skip
        value, found = jax.jit(run)(params, x)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        assert_trees_close(found, gradient, 1e-9)


def test_analytic_kl_has_no_variance_in_lambda(float64):
    model, params = gaussian_vae("diagonal", "diagonal", "learnt")
    params, x = moved(params), jnp.array(X)

    def slope(name, key):
        run = partial(getattr(estimators, name), model=model, num_samples=1)
        return jax.grad(lambda p: run(key, p, x)[0])(params).generative["prior"]["mean"]

    draws = {
        name: jax.vmap(partial(slope, name))(jax.random.split(jax.random.key(0), 50))
        for name in ("pathwise", "analytic_kl")
    }
    assert draws["analytic_kl"].std(0).max() < 1e-12
    assert draws["pathwise"].std(0).min() > 0.1


@pytest.mark.parametrize("name", ["pathwise", "dreg", "gdreg", "score_function"])
def test_two_samples_have_the_exact_gradient_with_a_learnt_prior(float64, name):
    model, params = models.compose(
        prior=priors.diagonal_gaussian([0.5], [0.6]),
        likelihood=models.gaussian_likelihood(
            jax.random.key(2), latent_size=1, event_shape=(3,), hidden_sizes=(2,)
        ),
        posterior=models.gaussian_posterior(
            jax.random.key(1), event_shape=(3,), latent_size=1, hidden_sizes=(2,)
        ),
    )
    params, x = moved(params), jnp.array(X)

    def bound(params):
        law = exact.quadrature_law(params, x, model=model, nodes=NODES, log_volumes=VOLUMES)
        return exact.iwae(law, num_samples=2)

    expected, gradient = jax.jit(jax.value_and_grad(bound))(params)
    run = partial(
        exact.gaussian_expectation, estimator=getattr(estimators, name), model=model,
        num_samples=2, from_noise=from_noise, noise_size=1, rule=exact.trapezoid(120),
    )  # fmt: skip
    value, found = jax.jit(run)(params, x)
    np.testing.assert_allclose(value, expected, atol=1e-8)
    assert_trees_close(found, gradient, 1e-7)


def test_a_full_posterior_of_a_linear_model_closes_the_gap(float64):
    """At q's optimum every weight is p(x): L_K = log p(x) for every K, without variance."""
    model, params = gaussian_vae("full", "full", "learnt")
    params, x = moved(params), jnp.array(X)
    theta = params.generative["likelihood"]
    weight, bias = theta["mean"]["last"]["kernel"].T, theta["mean"]["last"]["bias"]
    variance = jnp.exp(2.0 * priors.bounded_log_scale(theta["raw_scale"]))
    prior_mean, prior_covariance = moments(model.generative.gaussian_prior(params.generative))
    precision = jnp.linalg.inv(prior_covariance) + weight.T @ weight / variance
    covariance = jnp.linalg.inv(precision)
    drift = jnp.linalg.solve(prior_covariance, prior_mean) + weight.T @ (x - bias) / variance
    q = densities.full_gaussian_latents(covariance @ drift, covariance)
    posterior = model.inference._replace(encode=lambda phi, x: q)
    marginal = weight @ prior_covariance @ weight.T + variance * jnp.eye(3)
    log_p = densities.full_gaussian_log_prob(
        weight @ prior_mean + bias, jnp.linalg.cholesky(marginal), x
    )
    for num_samples in (1, 5, 50):
        bound, log_weights = estimators.pathwise(
            jax.random.key(0), Params(params.generative, ()), x,
            model=model._replace(inference=posterior), num_samples=num_samples,
        )  # fmt: skip
        np.testing.assert_allclose(bound, log_p, atol=1e-12)
        np.testing.assert_allclose(log_weights, log_p, atol=1e-12)


def test_analytic_kl_names_what_it_misses():
    model, params = models.hierarchical_vae(
        jax.random.key(0), event_shape=(3,), latent_sizes=(2, 1), hidden_sizes=((4,), (3,))
    )
    with pytest.raises(ValueError, match=r"analytic_kl needs model\.generative\.gaussian_prior"):
        estimators.analytic_kl(jax.random.key(0), params, jnp.ones(3), model=model, num_samples=1)
