"""The laws of models' log-weights, against known numbers, closed forms and finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import Params, densities, exact, latent_variable_model, models

expect = np.testing.assert_allclose


@jax.jit
def iwae(law, num_samples):
    return exact.iwae(law, num_samples=num_samples)


def bernoulli_model():
    return latent_variable_model(
        log_joint=lambda theta, x, z: (
            densities.bernoulli_log_prob(theta, z) + densities.gaussian_log_prob(2.0 * z, 0.0, x)
        ),
        sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
        log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
        reparameterised=False,
    )


def bernoulli_law(params, x, latents=(0.0, 1.0)):
    return exact.finite_law(params, x, model=bernoulli_model(), latents=jnp.array(latents))


BERNOULLI = Params(0.3, -0.5)


def bernoulli_params():
    return jax.tree.map(jnp.array, BERNOULLI)


@jax.jit
def bernoulli_bound(params, num_samples):
    return exact.iwae(bernoulli_law(params, 1.5), num_samples=num_samples)


bernoulli_gradient = jax.jit(jax.grad(bernoulli_bound))


def test_finite_law_of_a_bernoulli_latent(float64):
    params = bernoulli_params()
    gradient = bernoulli_gradient(params, 2)
    expect(gradient.inference, 0.2960954, atol=5e-8)
    joint = lambda z: bernoulli_model().generative.log_joint(params.generative, 1.5, jnp.array(z))
    evidence = jnp.logaddexp(joint(0.0), joint(1.0))
    expect(exact.log_evidence(bernoulli_law(params, 1.5)), evidence, rtol=1e-14)
    # At the logit of the posterior, every bound is log p(x).
    best = params._replace(inference=params.generative + 2.0 * 1.5 - 2.0)
    for num_samples in (1, 2, 1000):
        expect(bernoulli_bound(best, num_samples), evidence, rtol=1e-14)
        expect(bernoulli_gradient(best, num_samples).inference, 0.0, atol=1e-14)


@pytest.mark.parametrize("num_samples", [3, 1_000_000])
def test_gradient_is_that_of_finite_differences(float64, num_samples):
    params = bernoulli_params()
    gradient = bernoulli_gradient(params, num_samples)
    bound = bernoulli_bound
    for half in ("generative", "inference"):
        moved = lambda step, half=half: params._replace(**{half: getattr(params, half) + step})
        slope = (bound(moved(1e-4), num_samples) - bound(moved(-1e-4), num_samples)) / 2e-4
        expect(getattr(gradient, half), slope, rtol=1e-7, atol=1e-11)


def test_gradient_of_many_samples_keeps_its_digits(float64):
    """With respect to phi it is of order 1 / K: that of the variance of w / E w over -2 K."""

    def variance(params):
        law = bernoulli_law(params, 1.5)
        return jnp.exp(2.0 * (exact.cubo(law, order=2) - exact.log_evidence(law)))

    params = bernoulli_params()
    gradient = bernoulli_gradient(params, 1_000_000).inference
    expect(-2e6 * gradient, jax.jit(jax.grad(variance))(params).inference, rtol=1e-5)


def scalar_gaussian():
    """z ~ N(lambda, 1), x ~ N(z, 1), q = N(m, 0.8^2)."""
    log_scale = jnp.log(0.8)
    return latent_variable_model(
        log_joint=lambda theta, x, z: (
            densities.gaussian_log_prob(theta, 0.0, z) + densities.gaussian_log_prob(z, 0.0, x)
        ),
        sample_posterior=lambda key, phi, x: phi + 0.8 * jax.random.normal(key),
        log_posterior=lambda phi, x, z: densities.gaussian_log_prob(phi, log_scale, z),
        reparameterised=True,
    )


def scalar_gaussian_law(params):
    nodes = jnp.linspace(-8.0, 10.0, 401)
    volumes = jnp.full(401, jnp.log(18.0 / 400))
    model = scalar_gaussian()
    return exact.quadrature_law(params, 1.0, model=model, nodes=nodes, log_volumes=volumes)


def test_quadrature_law_of_a_gaussian_latent(float64):
    params = Params(jnp.array(0.3), jnp.array(0.9))

    @jax.jit
    @jax.value_and_grad
    def bound(params, alpha):
        return exact.vr_iwae(scalar_gaussian_law(params), alpha=alpha, num_samples=8)

    value, gradient = bound(params, 0.0)
    expect(gradient.generative, 0.37327, atol=4e-4)
    expect(bound(params, 0.5)[1].inference, -0.24834, atol=8e-4)
    law = scalar_gaussian_law(params)
    log_p = densities.gaussian_log_prob(0.3, 0.5 * jnp.log(2.0), jnp.array(1.0))
    expect(exact.log_evidence(law), log_p, rtol=1e-14)
    assert exact.elbo(law) < value < log_p

    def share_of_log_q(phi):
        # The derivative with respect to log w is the expected normalised weight of an atom.
        shares = jax.grad(iwae)(law, 8).log_weights
        moved = scalar_gaussian_law(params._replace(inference=phi))
        return shares @ moved.log_probs

    wake = jax.jit(jax.grad(share_of_log_q))(params.inference)
    expect(gradient.inference + wake, -0.4007, atol=4e-4)


def test_an_incomplete_law_is_refused(float64):
    params = bernoulli_params()
    for latents in ((0.0,), (0.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="sum to"):
            bernoulli_law(params, 1.5, latents)
        traced = jax.jit(lambda params, latents=latents: bernoulli_law(params, 1.5, latents))
        assert jnp.isnan(exact.elbo(traced(params)))


def test_float32_is_refused():
    with jax.enable_x64(False), pytest.raises(TypeError, match="float64"):
        bernoulli_law(bernoulli_params(), 1.5)


def pca():
    """A linear Gaussian model whose q is wider than the posterior, with a mean besides it."""
    model, _ = models.linear_gaussian(jax.random.key(0), data_size=3, latent_size=2)
    weight = jnp.array(np.sin(1.0 + np.arange(6)).reshape(3, 2))
    theta = {"weight": weight, "bias": jnp.array([0.1, 0.2, -0.3]), "log_scale": jnp.array(-0.2)}
    best = jax.jit(exact.linear_gaussian_posterior)(theta)
    tril = best["tril"] + 0.2 * np.eye(2)
    phi = {**best, "bias": best["bias"] + 0.3, "tril": tril}
    return model, Params(theta, phi), jnp.array([0.5, -1.0, 2.0])


def pca_law(params, x, model):
    q = model.inference.encode(params.inference, x)
    side = jnp.linspace(-9.0, 9.0, 61)
    scale = jnp.exp(jnp.diag(params.inference["tril"]).max())
    grid = jnp.stack(jnp.meshgrid(*[side] * q.size), axis=-1).reshape(-1, q.size)
    volume = q.size * jnp.log(scale * (side[1] - side[0]))
    nodes, volumes = q + scale * grid, jnp.full(len(grid), volume)
    nodes, volumes = jax.lax.stop_gradient((nodes, volumes))
    return exact.quadrature_law(params, x, model=model, nodes=nodes, log_volumes=volumes)


def test_linear_gaussian_closed_forms_are_those_of_the_law(float64):
    model, params, x = pca()

    def closed_forms(params):
        cubo = [exact.linear_gaussian_cubo(params, x, order=order) for order in (1, 2)]
        elbo, eubo = exact.linear_gaussian_elbo(params, x), exact.linear_gaussian_eubo(params, x)
        return jnp.array([elbo, *cubo, eubo])

    def of_the_law(params):
        law = pca_law(params, x, model)
        cubo = [exact.cubo(law, order=order) for order in (1, 2)]
        return jnp.array([exact.elbo(law), *cubo, exact.eubo(law)])

    def combined(bounds, params):
        return jnp.array([1.0, 2.0, 3.0, 5.0]) @ bounds(params), bounds(params)

    gradient = jax.jit(jax.grad(combined, 1, has_aux=True), static_argnums=0)
    found, expected = gradient(closed_forms, params), gradient(of_the_law, params)
    jax.tree.map(partial(expect, atol=1e-10), found, expected)


def test_linear_gaussian_weights_are_lognormal_where_the_covariance_is_right(float64):
    model, params, x = pca()
    tril = params.inference["tril"] - 0.2 * np.eye(2)  # that of the posterior
    params = params._replace(inference={**params.inference, "tril": tril})
    elbo = exact.linear_gaussian_elbo(params, x)
    log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
    law = exact.lognormal_law(elbo, jnp.sqrt(2.0 * (log_p - elbo)))
    grid = jax.jit(lambda params: pca_law(params, x, model))(params)
    expect(iwae(law, 7), iwae(grid, 7), rtol=1e-13)
    expect(exact.cubo(law, order=2), exact.linear_gaussian_cubo(params, x, order=2), rtol=1e-13)
    expect(exact.eubo(law), exact.linear_gaussian_eubo(params, x), rtol=1e-13)


def test_a_q_that_is_too_narrow_has_no_chi_bound(float64):
    _, params, x = pca()
    narrow = params.inference["tril"].at[1, 1].add(-1.5)
    params = params._replace(inference={**params.inference, "tril": narrow})
    bound = partial(exact.linear_gaussian_cubo, order=2)
    value, gradient = jax.jit(jax.value_and_grad(bound))(params, x)
    assert value == jnp.inf
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert jnp.isfinite(exact.linear_gaussian_eubo(params, x))
    with pytest.raises(ValueError, match="order >= 1"):
        exact.linear_gaussian_cubo(params, x, order=0.5)
