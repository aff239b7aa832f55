"""Log-densities against scipy, and their gradients against the closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as peer
import pytest
import scipy.stats

from iwae_jax import densities, exact

MEAN = np.array([0.5, -1.0, 2.0], np.float32)
LOG_SCALE = np.array([0.2, -0.7, 0.9], np.float32)
X = np.array([1.5, -0.2, -1.0], np.float32)


def test_gaussian_log_prob_is_scipys():
    ours = densities.gaussian_log_prob(*map(jnp.array, (MEAN, LOG_SCALE, X)))
    theirs = scipy.stats.norm(MEAN, np.exp(LOG_SCALE)).logpdf(X).sum()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_standard_gaussian_log_prob_is_scipys():
    ours = densities.standard_gaussian_log_prob(jnp.array(X))
    np.testing.assert_allclose(ours, scipy.stats.norm.logpdf(X).sum(), rtol=1e-5)


def test_gaussian_sample_comes_with_its_own_log_prob():
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    z, log_q = densities.gaussian_sample_and_log_prob(jax.random.key(0), latents)
    np.testing.assert_allclose(log_q, densities.gaussian_log_prob(*latents, z), rtol=1e-5)


def test_gaussian_samples_have_the_mean_and_scale():
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    draw = jax.vmap(lambda key: densities.gaussian_sample_and_log_prob(key, latents)[0])
    z = np.asarray(draw(jax.random.split(jax.random.key(0), 20_000)))
    scale = np.exp(LOG_SCALE)
    assert np.all(np.abs(z.mean(0) - MEAN) < 4.0 * scale / np.sqrt(len(z)))
    assert np.all(np.abs(z.std(0) - scale) < 4.0 * scale / np.sqrt(2 * len(z)))


def test_gaussian_samples_are_reparameterised():
    """dz/dmean = 1 and dz/dlog_scale = z - mean."""
    latents = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    sample = lambda q: densities.gaussian_sample_and_log_prob(jax.random.key(0), q)[0]
    jacobian = jax.jacobian(sample)(latents)
    np.testing.assert_allclose(jacobian.mean, np.eye(3), rtol=1e-6)
    np.testing.assert_allclose(
        jacobian.log_scale, np.diag(sample(latents) - MEAN), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("x", [[0.0, 1.0, 1.0], [1.0, 0.0, 0.25]])
def test_bernoulli_log_prob_and_gradient_are_the_closed_forms(x):
    logits, x = jnp.array([-1.3, 0.4, 2.0]), jnp.array(x)
    p = 1.0 / (1.0 + np.exp(-np.asarray(logits)))
    value, gradient = jax.value_and_grad(densities.bernoulli_log_prob)(logits, x)
    np.testing.assert_allclose(value, np.sum(x * np.log(p) + (1 - x) * np.log1p(-p)), rtol=1e-5)
    np.testing.assert_allclose(gradient, x - p, rtol=1e-5)


def test_bernoulli_differentiates_twice_forward_and_in_x():
    logits, x = jnp.array([-1.3, 0.4]), jnp.array([0.0, 1.0])
    p = jax.nn.sigmoid(logits)
    hessian = jax.hessian(densities.bernoulli_log_prob)(logits, x)
    np.testing.assert_allclose(hessian, np.diag(-p * (1 - p)), rtol=1e-5)
    forward = jax.jacfwd(densities.bernoulli_log_prob, argnums=1)(logits, x)
    np.testing.assert_allclose(forward, logits, rtol=1e-6)


@pytest.mark.parametrize("logit", [1e4, -1e4, 88.0, -88.0])
def test_bernoulli_is_finite_at_extreme_logits(logit):
    right, wrong = (1.0, 0.0) if logit > 0 else (0.0, 1.0)
    log_prob = lambda x: densities.bernoulli_log_prob(jnp.array([logit]), jnp.array([x]))
    np.testing.assert_allclose(log_prob(right), 0.0, atol=1e-30)
    np.testing.assert_allclose(log_prob(wrong), -abs(logit), rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, jnp.uint8, jnp.int32])
def test_bernoulli_reads_bits_of_any_dtype(dtype):
    logits, x = jnp.array([-1.3, 0.4]), jnp.array([0, 1])
    expected = densities.bernoulli_log_prob(logits, x.astype(logits.dtype))
    assert densities.bernoulli_log_prob(logits, x.astype(dtype)) == expected


def test_shapes_must_agree():
    with pytest.raises(AssertionError, match="shape"):
        densities.bernoulli_log_prob(jnp.zeros(3), jnp.zeros(2))


COVARIANCE = np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]])
OTHER = np.array([[1.0, -0.2, 0.1], [-0.2, 3.0, 0.4], [0.1, 0.4, 0.7]])


def test_full_gaussian_log_prob_is_scipys(float64):
    latents = densities.full_gaussian_latents(MEAN.astype(float), COVARIANCE)
    theirs = scipy.stats.multivariate_normal(MEAN, COVARIANCE).logpdf(X)
    np.testing.assert_allclose(
        densities.full_gaussian_log_prob(*latents, jnp.array(X, float)), theirs, rtol=1e-12
    )
    z, log_q = densities.full_gaussian_sample_and_log_prob(jax.random.key(0), latents)
    np.testing.assert_allclose(log_q, densities.full_gaussian_log_prob(*latents, z), rtol=1e-12)


def test_full_gaussian_samples_have_the_moments(float64):
    latents = densities.full_gaussian_latents(MEAN.astype(float), COVARIANCE)
    draw = jax.vmap(lambda key: densities.full_gaussian_sample_and_log_prob(key, latents)[0])
    z = np.asarray(draw(jax.random.split(jax.random.key(0), 20_000)))
    products = np.einsum("ni,nj->nij", z - MEAN, z - MEAN)
    error = products.std(0) / np.sqrt(len(z))
    assert np.all(np.abs(products.mean(0) - COVARIANCE) < 4.5 * error)
    assert np.all(np.abs(z.mean(0) - MEAN) < 4.5 * z.std(0) / np.sqrt(len(z)))


def diagonal(covariance):
    return lambda mean: densities.gaussian_latents(mean, jnp.diagonal(covariance))


def full(covariance):
    return lambda mean: densities.full_gaussian_latents(mean, covariance)


KINDS = {"diagonal": diagonal, "full": full}


@pytest.mark.parametrize("of_q", KINDS)
@pytest.mark.parametrize("of_r", KINDS)
def test_gaussian_kl_and_its_gradient_are_those_of_quadrature_and_numpyro(float64, of_q, of_r):
    nodes, probs = exact.gauss_hermite(5)
    grid = jnp.array(list(itertools.product(nodes, repeat=3)))
    mass = jnp.array(list(itertools.product(probs, repeat=3))).prod(axis=1)
    args = (jnp.array(MEAN, float), jnp.array(COVARIANCE), jnp.array(X, float), jnp.array(OTHER))

    def gaussians(mean, covariance, other_mean, other):
        return KINDS[of_q](covariance)(mean), KINDS[of_r](other)(other_mean)

    def as_tril(latents):
        if isinstance(latents, densities.GaussianLatents):
            return latents.mean, jnp.diag(jnp.exp(latents.log_scale))
        return tuple(latents)

    def by_quadrature(*args):
        (mean, tril), r = map(as_tril, gaussians(*args))

        def ratio(noise):
            z = mean + tril @ noise
            log_q = densities.full_gaussian_log_prob(mean, tril, z)
            return log_q - densities.full_gaussian_log_prob(*r, z)

        return mass @ jax.vmap(ratio)(grid)

    def by_numpyro(*args):
        of = lambda mean, tril: peer.MultivariateNormal(mean, scale_tril=tril)
        return peer.kl_divergence(*(of(*as_tril(latents)) for latents in gaussians(*args)))

    ours = jax.value_and_grad(lambda *a: densities.gaussian_kl(*gaussians(*a)), (0, 1, 2, 3))
    for theirs in (by_quadrature, by_numpyro):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
            ours(*args), jax.value_and_grad(theirs, (0, 1, 2, 3))(*args),
        )  # fmt: skip


def test_gaussian_kl_of_a_gaussian_from_itself_is_zero():
    q = densities.GaussianLatents(jnp.array(MEAN), jnp.array(LOG_SCALE))
    assert densities.gaussian_kl(q, q) == 0.0
    near = q._replace(log_scale=q.log_scale + 1e-4)
    np.testing.assert_allclose(densities.gaussian_kl(near, q), 3e-8, rtol=1e-2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: densities.gaussian_latents([0.0, 0.0], [1.0, -1.0]), "variance must be positive"),
        (lambda: densities.gaussian_latents([0.0], [np.nan]), "variance must be positive"),
        (lambda: densities.gaussian_latents([0.0], [1.0, 1.0]), "mean and variance"),
        (lambda: densities.full_gaussian_latents([0.0, 0.0], np.ones((2, 2))), "covariance must"),
        (lambda: densities.full_gaussian_latents([0.0, 0.0], [[1.0, 2.0], [0.0, 1.0]]), "symmetr"),
        (lambda: densities.full_gaussian_latents([0.0], np.eye(2)), "covariance must be a matrix"),
        (
            lambda: densities.gaussian_kl(
                densities.gaussian_latents([0.0], [1.0]),
                densities.full_gaussian_latents([0.0, 0.0], np.eye(2)),
            ),
            "q and r must be Gaussians of the same dimension",
        ),
    ],
)
def test_moments_outside_the_domain_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()
