"""How tight the bounds are: the grid, the families, the maxima, and the experiment's records."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import bound_tightness, run, tightness_curves, tightness_laws, tightness_maxima
from experiments.tightness_laws import FAMILIES
from experiments.tightness_maxima import FITS
from iwae_jax import Params, bounds, exact, models, weights

expect = np.testing.assert_allclose
SMALL = {"max_samples": 1000, "num_samples": 2, "num_data": 5, "num_nodes": 48, "repeats": 1}


@pytest.fixture(scope="module")
def case():
    with jax.enable_x64(True):
        model, theta = tightness_laws.model_and_theta()
        return model, theta, tightness_laws.data(jax.random.key(0), theta, 6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, optimised):
    folder = tmp_path_factory.mktemp("runs") / "one"
    with optimised():
        return folder, measure(folder)


def measure(folder, **changes):
    return bound_tightness.main(bound_tightness.Options(output_dir=folder, **SMALL | changes))


def test_the_data_have_the_moments_of_the_model(case, float64):
    _, theta, xs = case
    expect(xs.mean(0), theta["bias"], atol=1e-14)
    expect(np.cov(xs.T, bias=True), tightness_laws.covariance(theta), atol=1e-13)


def test_the_principal_components_have_the_highest_likelihood(case, float64):
    _, theta, xs = case
    best = tightness_maxima.principal_components(xs, 2)
    expect(tightness_laws.covariance(best), tightness_laws.covariance(theta), atol=1e-13)
    # Of data that the model did not make, too.
    others = jnp.asarray(np.random.default_rng(0).gamma(1.0, size=(20, 4)))
    best = tightness_maxima.principal_components(others, 2)
    likelihood = jax.jit(jax.value_and_grad(tightness_maxima.mean_log_likelihood))
    top, gradient = likelihood(best, others)
    for leaf in jax.tree.leaves(gradient):
        expect(leaf, 0.0, atol=1e-12)
    swapped = best | {"weight": jnp.roll(best["weight"], 1, axis=0)}
    assert likelihood(swapped, others)[0] < top - 0.01


@jax.jit
def from_the_grid(params, x):
    model, _ = models.linear_gaussian(jax.random.key(0), data_size=4, latent_size=2)
    law = partial(tightness_laws.weight_law, x=x, model=model, num_nodes=64, reach=8.0)
    elbo, gradient = jax.value_and_grad(lambda params: exact.elbo(law(params)))(params)
    return elbo, gradient, exact.log_evidence(law(params)), exact.iwae(law(params), num_samples=5)


@jax.jit
def in_closed_form(params, x):
    elbo, gradient = jax.value_and_grad(exact.linear_gaussian_elbo)(params, x)
    return elbo, gradient, exact.linear_gaussian_log_likelihood(params.generative, x)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_grid_has_the_closed_forms_and_their_gradients(case, float64, name):
    _, theta, xs = case
    params = Params(theta, tightness_laws.families(theta)[name])
    elbo, gradient, log_p, _ = from_the_grid(params, xs[0])
    expected = in_closed_form(params, xs[0])
    expect(elbo, expected[0], atol=1e-9)
    jax.tree.map(partial(expect, atol=1e-7), gradient, expected[1])
    expect(log_p, expected[2], atol=1e-11)


def test_each_family_has_the_best_elbo_of_those_like_it(case, float64):
    model, theta, xs = case
    mean_elbo = partial(tightness_maxima.mean_bound, xs=xs, model=model, num_samples=1)
    phis = tightness_laws.families(theta)
    gradients = {
        name: jax.grad(lambda phi: mean_elbo(Params(theta, phi)))(phi) for name, phi in phis.items()
    }
    expect(gradients["diagonal"]["weight"], 0.0, atol=1e-12)
    expect(gradients["diagonal"]["bias"], 0.0, atol=1e-12)
    expect(jnp.diag(gradients["diagonal"]["tril"]), 0.0, atol=1e-12)
    assert jnp.abs(gradients["diagonal"]["tril"][1, 0]) > 0.1
    assert not phis["full"]["weight"][:, -1].any()
    expect(gradients["full"]["weight"][:, :-1], 0.0, atol=1e-12)
    expect(gradients["full"]["bias"], 0.0, atol=1e-12)
    expect(gradients["full"]["tril"], 0.0, atol=1e-12)
    assert jnp.abs(gradients["full"]["weight"][:, -1]).max() > 0.1
    own = tightness_laws.scale_tril
    posterior, marginals = own(phis["posterior"]), own(phis["marginals"])
    expect(jnp.diag(marginals) ** 2, jnp.diag(posterior @ posterior.T), rtol=1e-14)
    assert jnp.abs((posterior @ posterior.T)[0, 1]) > 0.1


def test_sampled_bounds_have_the_exact_mean(case):
    """What is timed is the bound that is drawn: 4 standard errors."""
    model, theta, xs = case
    with jax.enable_x64(True):
        params = Params(theta, tightness_laws.families(theta)["full"])
        expected = float(from_the_grid(params, xs[0])[-1])
        draw = lambda key: bounds.iwae(
            weights.log_weights(key, params, xs[0], model=model, num_samples=5)
        )
        values = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 20_000))
        mean, error = run.mean_and_error(values)
        assert abs(mean - expected) < 4.0 * error
        assert error < 0.01


def test_fits_move_only_what_is_free(case, float64):
    _, start = models.linear_gaussian(jax.random.key(0), data_size=4, latent_size=2)
    free = {name: tightness_maxima.free_entries(name, start) for name in FITS}
    assert [int(free[name].generative["weight"].sum()) for name in FITS] == [8, 8, 7, 7]
    assert [int(free[name].inference["tril"].sum()) for name in FITS] == [4, 2, 4, 2]
    assert not free["diagonal_fixed"].generative["weight"][0, 1]


def test_a_run_writes_what_the_conventions_say(finished):
    folder, summary = finished
    assert summary == json.loads((folder / "summary.json").read_text())
    assert all(isinstance(value, int | float | str | list | None) for value in summary.values())
    config = json.loads((folder / "config.json").read_text())
    assert config["experiment"] == "bound_tightness"
    assert config["options"]["num_data"] == 5
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(7 + 2 * len(FITS)))
    assert {path.name for path in folder.iterdir()} >= {"tightness.png", "maxima.png"}
    with np.load(folder / "grid.npz") as grid:
        assert list(grid["families"]) == list(FAMILIES)
        assert grid["gaps"].shape == (5, bound_tightness.CURVE_DATA, 7)
        expect(grid["gaps"].mean(1)[0], summary["gap_prior"], rtol=1e-12)


def test_the_bounds_are_under_log_p_rise_and_are_tight_for_the_posterior(finished):
    _, summary = finished
    assert summary["counts"] == [1, 3, 10, 30, 100, 300, 1000]
    assert summary["highest_above_log_p"] <= 1e-12
    assert summary["smallest_rise"] > 1e-7
    assert summary["largest_posterior_gap"] <= 1e-12
    assert summary["lognormal_change"] <= 1e-10
    # The narrow q is the better one of few samples, and the wide one of many.
    assert summary["gap_diagonal"][0] < summary["gap_marginals"][0]
    assert summary["gap_diagonal"][-1] > 5.0 * summary["gap_marginals"][-1]
    # A correlation r of the posterior makes the mean-field gap fall like K^(1 - 1/r).
    assert summary["slope_marginals"] == pytest.approx(-1.0, abs=0.05)
    assert summary["slope_diagonal"] == pytest.approx(1.0 - np.sqrt(22.5) / 3.0, abs=0.06)
    assert summary["close_posterior_samples"] == 1
    assert all(seconds > 0.0 for seconds in summary["seconds"])


def test_the_maxima_agree_where_q_can_be_the_posterior(finished):
    _, summary = finished
    for name in ("full", "diagonal", "full_fixed"):
        expect(summary[f"miss_{name}"], 0.0, atol=1e-10)
        expect(summary[f"log_likelihood_loss_{name}"], 0.0, atol=1e-10)
        expect(summary[f"covariance_distance_{name}"], 0.0, atol=1e-4)
    first, second = summary["miss_diagonal_fixed"]
    assert 0.1 > first > second > 0.01
    loss = summary["log_likelihood_loss_diagonal_fixed"]
    assert first >= loss[0] > loss[1] > 1e-3
    assert min(summary["covariance_distance_diagonal_fixed"]) > 0.05
    assert summary["maxima_grid_change"] <= 1e-4


def test_numbers_that_contradict_the_claim_stop_the_run(finished):
    _, summary = finished
    bound_tightness.verify(summary)
    for key, value in {
        "highest_above_log_p": 1e-6,
        "smallest_rise": -1e-6,
        "largest_posterior_gap": 1e-6,
        "lognormal_change": 1e-6,
        "miss_full": [0.0, 1e-6],
        "miss_diagonal_fixed": [0.1, 0.0],
    }.items():
        with pytest.raises(FloatingPointError, match="there is"):
            bound_tightness.verify(summary | {key: value})


def test_a_finished_run_is_shown_again_and_never_overwritten(finished, capsys):
    folder, summary = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(run.BadInput, match="not empty"):
        measure(folder)
    with pytest.raises(run.BadInput, match=r"num_nodes=48 \(now 49\)"):
        measure(folder, resume=True, num_nodes=49)
    capsys.readouterr()
    assert measure(folder, resume=True) == summary
    assert "max log p(x) = " in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["max_samples", "num_samples", "num_data", "num_nodes", "repeats"])
def test_bad_input_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(run.BadInput, match=f"--{name.replace('_', '-')} must be at least"):
        measure(tmp_path / "run", **{name: 0})
    assert not (tmp_path / "run").exists()


def test_a_time_is_that_of_the_bound(case):
    model, theta, xs = case
    with jax.enable_x64(True):
        params = Params(theta, tightness_laws.families(theta)["prior"])
        seconds = partial(tightness_curves.seconds_for, 0, params, xs[0], model=model, repeats=1)
        assert seconds(num_samples=300_000) > 10.0 * seconds(num_samples=10)
