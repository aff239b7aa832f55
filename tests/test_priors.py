"""Trainable priors: densities that are normalised, sampled from, and never out of their domain."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import Params, densities, estimators, exact, flows, models, priors
from tests.test_estimators import assert_trees_close

GRID = np.linspace(-12.0, 12.0, 401)
# A rule over a scalar latent.
NODES = np.linspace(-15.0, 15.0, 3001)[:, None]
VOLUMES = np.full(3001, np.log(0.01))


def moved(tree, amount=0.3):
    """Parameters of double precision without symmetry."""
    leaves, structure = jax.tree.flatten(tree)
    shift = lambda i, leaf: amount * jnp.sin(jnp.arange(leaf.size) + i).reshape(leaf.shape)
    return jax.tree.unflatten(
        structure, [leaf.astype(float) + shift(i, leaf) for i, leaf in enumerate(leaves)]
    )


def posterior():
    return models.gaussian_posterior(
        jax.random.key(1), event_shape=(3,), latent_size=2, hidden_sizes=(4,)
    )


def small_flow(**options):
    return flows.realnvp(jax.random.key(0), (2,), num_blocks=1, hidden_sizes=(4,), **options)


PRIORS = {
    "standard_gaussian": lambda: priors.standard_gaussian(2),
    "diagonal_gaussian": lambda: priors.diagonal_gaussian([0.5, -1.0], [0.5, 2.0]),
    "full_gaussian": lambda: priors.full_gaussian([0.5, -1.0], [[1.0, 0.6], [0.6, 0.8]]),
    "gaussian_mixture": lambda: priors.gaussian_mixture(
        jax.random.key(0), num_components=3, size=2
    ),
    "vamp": lambda: priors.vamp(posterior(), np.eye(3, dtype=np.float32)[:2]),
    "from_flow": lambda: priors.from_flow(small_flow()),
    "flow of a mixture": lambda: priors.from_flow(
        small_flow(base=flows.gaussian_mixture(num_components=2, size=2))
    ),
    "autoregressive": lambda: priors.autoregressive(
        [(lambda w, z: densities.GaussianLatents(w * jnp.sin(z), 0.3 * z), jnp.array([0.7]))],
        priors.diagonal_gaussian([0.3], [0.6]),
    ),
}


def build(name):
    """A prior of two numbers, its lambda, and how a vector is read as its z."""
    prior, lambda_ = PRIORS[name]()
    lambda_ = moved(lambda_, 0.2)
    if "flow" in name:
        # These stay orthogonal, for nothing moves them.
        lambda_["bijection"][1]["directions"] = jnp.array([[0.6, -0.8], [0.8, 0.6]])
    as_z = (lambda v: (v[:1], v[1:])) if name == "autoregressive" else lambda v: v
    return prior, lambda_, as_z


@pytest.mark.parametrize("name", PRIORS)
def test_density_is_normalised_and_sampled_from(float64, name):
    prior, lambda_, as_z = build(name)
    points = jnp.array(list(itertools.product(GRID, GRID)))
    density = jnp.exp(jax.jit(jax.vmap(lambda v: prior.log_prob(lambda_, as_z(v))))(points))
    mass = np.asarray(density) * (GRID[1] - GRID[0]) ** 2
    np.testing.assert_allclose(mass.sum(), 1.0, atol=1e-4)

    draw = jax.jit(jax.vmap(lambda key: prior.sample(key, lambda_)))
    drawn = draw(jax.random.split(jax.random.key(3), 20_000))
    drawn = np.concatenate(
        [np.asarray(leaf).reshape(20_000, -1) for leaf in jax.tree.leaves(drawn)], 1
    )
    for statistic in (lambda v: v, lambda v: v**2, lambda v: v[:, :1] * v[:, 1:], np.sin):
        found, expected = statistic(drawn), mass @ statistic(np.asarray(points))
        error = found.std(0) / np.sqrt(len(found))
        assert np.all(np.abs(found.mean(0) - expected) < 4.5 * error + 1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_noise_maps_are_inverse_and_carry_the_density(float64, name):
    prior, lambda_, as_z = build(name)
    if prior.to_noise is None:
        assert prior.from_noise is None
        assert name in ("gaussian_mixture", "vamp", "flow of a mixture")
        return
    vector = jnp.array([0.4, -0.7])
    flat = lambda z: jnp.concatenate(jax.tree.leaves(z))
    z = prior.from_noise(lambda_, as_z(vector))
    np.testing.assert_allclose(flat(prior.to_noise(lambda_, z)), vector, rtol=1e-10)
    jacobian = jax.jacobian(lambda v: flat(prior.from_noise(lambda_, as_z(v))))(vector)
    log_prob = densities.standard_gaussian_log_prob(vector) - jnp.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(prior.log_prob(lambda_, z), log_prob, rtol=1e-10)


@pytest.mark.parametrize("name", ["standard_gaussian", "diagonal_gaussian", "full_gaussian"])
def test_a_gaussian_prior_tells_its_moments(float64, name):
    prior, lambda_, _ = build(name)
    z, latents = jnp.array([0.4, -0.7]), prior.gaussian(lambda_)
    of = {
        densities.GaussianLatents: densities.gaussian_log_prob,
        densities.FullGaussianLatents: densities.full_gaussian_log_prob,
    }
    log_prob = of[type(latents)](*latents, z)
    np.testing.assert_allclose(prior.log_prob(lambda_, z), log_prob, rtol=1e-12)


def test_the_initial_moments_are_those_given(float64):
    mean, covariance = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 0.8]])
    prior, lambda_ = priors.diagonal_gaussian(mean, np.diag(covariance))
    np.testing.assert_allclose(np.exp(2 * prior.gaussian(lambda_).log_scale), np.diag(covariance))
    prior, lambda_ = priors.full_gaussian(mean, covariance)
    tril = prior.gaussian(lambda_).scale_tril
    np.testing.assert_allclose(tril @ tril.T, covariance, rtol=1e-12)


@pytest.mark.parametrize("name", ["diagonal_gaussian", "full_gaussian", "gaussian_mixture"])
@pytest.mark.parametrize("step_size", [1.0, 1e6])
def test_no_step_leaves_the_domain(name, step_size):
    prior, lambda_ = PRIORS[name]()
    slope = jax.jit(jax.grad(prior.log_prob))
    for index in range(40):
        z = 3.0 * jnp.sin(jnp.arange(2.0, dtype=jnp.float32) + index)
        step = lambda leaf, g: leaf + step_size * jnp.sign(g)
        lambda_ = jax.tree.map(step, lambda_, slope(lambda_, z))
        assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(lambda_))
        assert jnp.isfinite(prior.log_prob(lambda_, z))
        if prior.gaussian is not None:
            latents = prior.gaussian(lambda_)
            scale = jnp.exp(latents[1]) if name == "diagonal_gaussian" else jnp.diag(latents[1])
            assert jnp.all((scale > 0.0) & (scale < jnp.inf))


def test_an_affine_flow_has_the_gradient_of_the_diagonal_gaussian():
    """Parameter for parameter, for theta's and phi's directions of every kind of estimator."""
    x, parts = jnp.ones(3), {"likelihood": likelihood(), "posterior": posterior()}
    gaussian, lambda_ = priors.diagonal_gaussian([0.0, 0.0], [1.0, 1.0])
    flow = priors.from_flow(flows.transformed(flows.standard_normal((2,)), flows.act_norm((2,))))
    models_of = {
        "gaussian": models.compose(prior=(gaussian, lambda_), **parts),
        "flow": models.compose(prior=flow, **parts),
    }

    @partial(jax.jit, static_argnames=("name", "of"))
    def slope(params, name, of):
        run = partial(getattr(estimators, name), model=models_of[of][0], num_samples=4)
        return jax.grad(lambda p: run(jax.random.key(5), p, x)[0])(params)

    mean, raw = jnp.array([0.4, -0.3]), jnp.array([0.2, -0.5])
    log_scale, chain = jax.jvp(priors.bounded_log_scale, (raw,), (jnp.ones(2),))
    params = {name: built for name, (_, built) in models_of.items()}
    params["gaussian"].generative["prior"].update(mean=mean, raw_scale=raw)
    params["flow"].generative["prior"]["bijection"].update(shift=mean, log_scale=log_scale)
    for name in ("pathwise", "dreg", "gdreg", "vimco_arithmetic"):
        ours, theirs = (slope(params[of], name, of) for of in ("gaussian", "flow"))
        prior, bijection = ours.generative["prior"], theirs.generative["prior"]["bijection"]
        np.testing.assert_allclose(prior["mean"], bijection["shift"], atol=1e-5)
        np.testing.assert_allclose(prior["raw_scale"], chain * bijection["log_scale"], atol=1e-5)
        assert_trees_close(ours.inference, theirs.inference, 1e-5)
        assert jnp.abs(prior["mean"]).min() > 1e-2


def likelihood(**options):
    return models.gaussian_likelihood(
        jax.random.key(2), latent_size=2, event_shape=(3,), hidden_sizes=(), **options
    )


def test_a_tied_vamp_has_the_gradient_of_the_tied_bound(float64):
    """Against the quadrature of L_2 whose prior reads phi, differentiated as a whole."""
    own = models.gaussian_posterior(
        jax.random.key(1), event_shape=(3,), latent_size=1, hidden_sizes=(2,)
    )
    scalar = models.gaussian_likelihood(
        jax.random.key(2), latent_size=1, event_shape=(3,), hidden_sizes=()
    )
    model, params = models.compose(
        prior=priors.vamp(own, 0.5 * np.eye(3)[:2]), likelihood=scalar, posterior=own
    )
    params, x = moved(params), jnp.array([1.0, 0.2, -0.5])

    def bound(params):
        params = priors.tie(params)
        law = exact.quadrature_law(params, x, model=model, nodes=NODES, log_volumes=VOLUMES)
        return exact.iwae(law, num_samples=2)

    expected, gradient = jax.jit(jax.value_and_grad(bound))(params)
    for estimator in (estimators.pathwise, estimators.dreg, estimators.score_function):
        run = partial(
            exact.gaussian_expectation, estimator=priors.tied(estimator=estimator), model=model,
            num_samples=2, noise_size=1, rule=exact.trapezoid(120),
            from_noise=lambda phi, q, noise: q.mean + jnp.exp(q.log_scale) * noise,
        )  # fmt: skip
        value, found = jax.jit(run)(params, x)
        np.testing.assert_allclose(value, expected, atol=1e-8)
        assert_trees_close(found, gradient, 1e-7)
    assert all(
        jnp.all(leaf == 0.0) for leaf in jax.tree.leaves(found.generative["prior"]["encoder"])
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: priors.diagonal_gaussian([0.0], [-1.0]), "variance must be positive"),
        (lambda: priors.diagonal_gaussian([0.0], [1e-12]), r"variance .*between"),
        (lambda: priors.diagonal_gaussian([0.0], [1.0, 1.0]), "mean and variance"),
        (lambda: priors.full_gaussian([0.0, 0.0], np.ones((2, 2))), "covariance must"),
        (lambda: priors.full_gaussian([0.0], np.eye(2)), "covariance must"),
        (lambda: priors.standard_gaussian(0), "size"),
        (
            lambda: priors.gaussian_mixture(jax.random.key(0), num_components=0, size=2),
            "num_components",
        ),
        (lambda: priors.vamp(posterior(), np.zeros((0, 3))), "pseudo_inputs"),
        (lambda: priors.tie(Params({"prior": ()}, ())), "vamp"),
        (lambda: likelihood(scale=-1.0), "scale must be positive"),
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()
