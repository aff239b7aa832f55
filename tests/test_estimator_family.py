"""What all estimators have in common: their signature's promises, refusals and limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import (
    Params,
    bounds,
    densities,
    estimators,
    exact,
    latent_variable_model,
    models,
    weights,
)  # fmt: skip

OPTIONS = {
    "vr_iwae": {"alpha": 0.3},
    "vr_iwae_dreg": {"alpha": 0.3},
    "ciwae": {"beta": 0.3},
    "miwae": {"num_outer": 2},
    "piwae": {"num_outer": 2},
    "nvil": {"baseline": lambda control, x: 0.0 * x.sum()},
    "ovis": {"gamma": 0.5},
    "ovis_monte_carlo": {"num_draws": 2},
    "tvo": {"partition": jnp.array([0.0, 0.3, 1.0])},
    "resampled_systematic": {"num_resampled": 2},
    "resampled_top": {"num_top": 1},
    "gumbel_softmax": {"temperature": 0.7},
    "relax": {"control_variate": lambda control, x, z: control["scale"] * jax.nn.sigmoid(z).sum()},
}
ALL = {
    name: partial(getattr(estimators, name), **OPTIONS.get(name, {})) for name in estimators.__all__
}
SCORE_FUNCTION = {
    "score_function", "leave_one_out", "vimco_arithmetic", "vimco_geometric", "nvil", "ovis",
    "ovis_monte_carlo", "tvo", "wake_wake", "wake_sleep",
}  # fmt: skip
BERNOULLI = {"disarm", "disarm_iwae", "rebar", "relax", "gumbel_softmax", "straight_through"}
OF_KNOWN_LATENTS = BERNOULLI | {"measure_valued", "analytic_kl"}
# One of each way in which an estimator calls for samples; the rest are built on these.
SHAPES = (
    "pathwise", "dreg", "gdreg", "piwae", "vimco_geometric", "ovis_monte_carlo", "wake_sleep",
    "resampled_top",
    "disarm", "disarm_iwae", "rebar", "gumbel_softmax", "straight_through", "measure_valued",
    "analytic_kl",
)  # fmt: skip
OTHERS = {"leave_one_out", "vimco_arithmetic", "vimco_geometric", "ovis", "tvo"}


@pytest.fixture(scope="module")
def setting():
    model, params = models.linear_gaussian(jax.random.key(5), data_size=3, latent_size=2)
    params = jax.tree.map(lambda leaf: 0.4 * leaf, params)
    return model, params, jnp.array([1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def settings(setting):
    """A model that fits, by the estimator's name."""
    key, small = jax.random.key(5), {"event_shape": (3,), "latent_size": 2}
    binary_model, binary = models.sigmoid_belief_network(key, **small)
    control = {"log_temperature": jnp.array(-0.3), "scale": jnp.array(0.8)}
    gaussian_model, gaussian = models.vae(key, hidden_sizes=(4,), **small)
    x = jnp.array([1.0, 0.0, 1.0])
    return (
        dict.fromkeys(ALL, setting)
        | dict.fromkeys(BERNOULLI, (binary_model, binary._replace(control=control), x))
        | dict.fromkeys(("measure_valued", "analytic_kl"), (gaussian_model, gaussian, x))
    )


@pytest.fixture(params=ALL)
def name(request):
    return request.param


def assert_trees_close(actual, expected, tolerance=1e-4):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        actual,
        expected,
    )


def test_value_and_log_weights_belong_together(settings, name):
    model, params, x = settings[name]
    bound, log_weights = ALL[name](jax.random.key(0), params, x, model=model, num_samples=4)
    of_name = {
        "leave_one_out": bounds.elbo,
        **dict.fromkeys(OF_KNOWN_LATENTS - {"disarm_iwae"}, bounds.elbo),
        "vr_iwae": partial(bounds.vr_iwae, alpha=0.3),
        "vr_iwae_dreg": partial(bounds.vr_iwae, alpha=0.3),
        "ciwae": partial(bounds.ciwae, beta=0.3),
        "miwae": bounds.miwae,
        "piwae": lambda log_weights: bounds.iwae(log_weights.reshape(-1)),
        "tvo": partial(bounds.tvo_lower, partition=OPTIONS["tvo"]["partition"]),
    }
    assert bound.shape == ()
    assert log_weights.shape == ((2, 4) if name in ("miwae", "piwae") else (4,))
    if name != "analytic_kl":  # whose bound is a function of the likelihoods
        np.testing.assert_allclose(bound, of_name.get(name, bounds.iwae)(log_weights), rtol=1e-5)
    plain = weights.log_weights(
        jax.random.key(0), params, x, model=model, num_samples=log_weights.size
    )
    drawn = slice(None, None, 2) if name == "disarm" else slice(None)  # the rest are antitheses
    np.testing.assert_allclose(log_weights.reshape(-1)[drawn], plain[drawn], rtol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_every_way_of_taking_samples_gives_the_mean_of_the_directions(settings, name):
    model, params, _ = settings[name]
    xs, draws = jax.random.normal(jax.random.key(1), (3, 3)), jax.random.split(jax.random.key(2), 3)

    def direction(way):
        run = partial(ALL[name], model=model, num_samples=4, over_samples=way)
        objective = lambda params: jnp.mean(jax.vmap(run, (0, None, 0))(draws, params, xs)[0])
        return jax.jit(jax.grad(objective))(params)

    run = partial(ALL[name], model=model, num_samples=4)
    one = jax.jit(jax.grad(lambda params, key, x: run(key, params, x)[0]))
    loop = [one(params, key, x) for key, x in zip(draws, xs, strict=True)]
    expected = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), axis=0), *loop)
    for way in (weights.at_once, weights.chunked(3), weights.folded):
        assert_trees_close(direction(way), expected)


@pytest.mark.parametrize("name", sorted(SCORE_FUNCTION))
def test_a_baseline_takes_a_constant_of_log_p_away(setting, name):
    """Unbiased it would be at any size, but its size is what lowers the variance."""
    model, params, x = setting

    def direction(params, constant):
        raised = model.generative._replace(
            log_joint=lambda theta, x, z: model.generative.log_joint(theta, x, z) + constant
        )
        # One that is learnt is told of the constant.
        options = {"baseline": lambda control, x: constant} if name == "nvil" else {}
        run = partial(ALL[name], model=model._replace(generative=raised), **options)
        objective = lambda params: run(jax.random.key(0), params, x, num_samples=4)[0]
        return jax.value_and_grad(objective)(params)

    direction = jax.jit(direction)
    (low, expected), (high, found) = direction(params, 0.0), direction(params, 3.0)
    np.testing.assert_allclose(high - low, 3.0, rtol=1e-4)
    if name == "score_function":  # without a baseline
        with pytest.raises(AssertionError):
            assert_trees_close(found, expected, 1e-2)
    else:
        assert_trees_close(found, expected)


@pytest.mark.parametrize(("way", "most"), [(weights.at_once, 1.02), (weights.folded, 1.4)])
def test_dreg_costs_one_backward_pass(way, most):
    """Arithmetic of the compiled gradient over that of `pathwise`: a second one would make 5/3."""
    model, params = models.vae(jax.random.key(0), event_shape=(50,), latent_size=4)
    xs, draws = jnp.zeros((3, 50)), jax.random.split(jax.random.key(1), 3)

    def operations(estimator):
        run = partial(estimator, model=model, num_samples=20, over_samples=way)
        objective = lambda params: jnp.mean(jax.vmap(run, (0, None, 0))(draws, params, xs)[0])
        return jax.jit(jax.grad(objective)).lower(params).compile().cost_analysis()["flops"]

    assert operations(estimators.dreg) < most * operations(estimators.pathwise)


def test_no_tracer_leaks_and_float32_stays_float32(settings, name):
    model, params, x = settings[name]
    params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, x))
    run = partial(ALL[name], model=model, num_samples=4)
    with jax.checking_leaks():
        traced = jax.make_jaxpr(jax.value_and_grad(lambda p: run(jax.random.key(0), p, x)[0]))(
            params
        )
    assert {aval.dtype for aval in traced.out_avals} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", sorted(ALL.keys() - OF_KNOWN_LATENTS))
def test_a_posterior_gives_log_p_with_no_variance(float64, name):
    model, params = models.linear_gaussian(jax.random.key(5), data_size=3, latent_size=2)
    params = params._replace(inference=exact.linear_gaussian_posterior(params.generative))
    x = jnp.array([1.0, 2.0, 3.0])
    log_p = exact.linear_gaussian_log_likelihood(params.generative, x)
    run = jax.jit(jax.vmap(partial(ALL[name], model=model, num_samples=3), (0, None, None)))
    value, log_weights = run(jax.random.split(jax.random.key(0), 20), params, x)
    np.testing.assert_allclose(value, log_p, rtol=1e-12)
    np.testing.assert_allclose(log_weights, log_p, rtol=1e-12)


def impossible_model():
    """Every sample has the weight zero."""
    return latent_variable_model(
        log_joint=lambda theta, x, z: jnp.where(x > 0.0, theta * z, -jnp.inf),
        sample_posterior=lambda key, phi, x: phi + jax.random.normal(key, dtype=phi.dtype),
        log_posterior=lambda phi, x, z: densities.gaussian_log_prob(phi, jnp.zeros_like(phi), z),
        reparameterised=True,
    )


@pytest.mark.parametrize("name", sorted(ALL.keys() - OF_KNOWN_LATENTS - {"gdreg", "wake_sleep"}))
def test_all_weights_zero_is_minus_infinity_with_direction_zero(name):
    params = Params(jnp.array(0.5), jnp.array(0.1))
    run = partial(ALL[name], model=impossible_model(), num_samples=3)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda p: run(jax.random.key(0), p, jnp.array(-1.0))[0])
    )(params)
    assert value == -jnp.inf
    assert_trees_close(gradient, jax.tree.map(jnp.zeros_like, gradient), 0.0)


@pytest.mark.parametrize("reparameterised", [False, (True, False), {"a": True, "b": False}])
@pytest.mark.parametrize("name", sorted(ALL.keys() - SCORE_FUNCTION - OF_KNOWN_LATENTS))
def test_samples_that_are_not_reparameterised_are_refused(name, reparameterised):
    model = latent_variable_model(
        log_joint=lambda theta, x, z: densities.bernoulli_log_prob(theta, z),
        sample_posterior=lambda key, phi, x: jax.random.bernoulli(key, jax.nn.sigmoid(phi)),
        log_posterior=lambda phi, x, z: densities.bernoulli_log_prob(phi, z),
        reparameterised=reparameterised,
    )
    params = Params(jnp.zeros(2), jnp.zeros(2))
    with pytest.raises(ValueError, match=rf"{name} .*score-function.*vimco_arithmetic"):
        ALL[name](jax.random.key(0), params, None, model=model, num_samples=3)


def test_no_samples_are_refused(settings, name):
    model, params, x = settings[name]
    with pytest.raises(ValueError, match="num_samples must be at least"):
        ALL[name](jax.random.key(0), params, x, model=model, num_samples=0)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_baseline_of_the_others_needs_others(setting, name):
    model, params, x = setting
    with pytest.raises(ValueError, match=f"{name}.*at least 2"):
        ALL[name](jax.random.key(0), params, x, model=model, num_samples=1)


@pytest.mark.parametrize("name", ["miwae", "piwae"])
def test_no_outer_bounds_are_refused(setting, name):
    model, params, x = setting
    with pytest.raises(ValueError, match="num_outer"):
        getattr(estimators, name)(
            jax.random.key(0), params, x, model=model, num_samples=2, num_outer=0
        )


def test_gdreg_names_the_function_it_misses(setting):
    model, params, x = setting
    lacking = model._replace(generative=model.generative._replace(prior_to_noise=None))
    with pytest.raises(ValueError, match=r"gdreg needs .*prior_to_noise"):
        estimators.gdreg(jax.random.key(0), params, x, model=lacking, num_samples=2)


@pytest.mark.parametrize("reparameterised", [1, None, "yes", (), (True, 0)])
def test_a_model_says_whether_it_is_reparameterised_in_bools(reparameterised):
    formula = lambda *args: jnp.zeros(())
    with pytest.raises(TypeError, match="reparameterised"):
        latent_variable_model(
            log_joint=formula,
            sample_posterior=formula,
            log_posterior=formula,
            reparameterised=reparameterised,
        )
