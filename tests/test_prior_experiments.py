"""The experiments on priors and posteriors, at a small size."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments import (
    posterior_families,
    posterior_gap,
    prior_exact,
    prior_models,
    run,
    trainable_prior,
)
from iwae_jax import Params, exact

SMALL = {
    "dataset": "digits", "epochs": 1, "latent_size": 2, "hidden_size": 8, "num_components": 3,
    "flow_size": 4, "evaluation_samples": 4, "evaluation_images": 10, "batch_size": 500,
}  # fmt: skip


def study(folder, **changes):
    return trainable_prior.main(trainable_prior.Options(output_dir=folder, **SMALL | changes))


def test_the_known_prior_is_found_and_the_gradients_agree():
    fit = prior_exact.fit(0, 1000, 100, lambda state: None)
    numbers = fit.numbers
    assert np.abs(numbers["lambda_from_truth_in_se"]).max() < 4.0
    assert np.abs(numbers["lambda_from_most_likely_in_se"]).max() < 1.5
    assert 0.0 < numbers["mean_gap"] < 0.1
    assert numbers["active_units"] == 2
    rows = {row["estimator"]: row for row in prior_exact.compare_gradients(0, 500)}
    for row in rows.values():
        assert max(value for name, value in row.items() if name.endswith("_in_se")) < 4.5
    assert rows["analytic_kl"]["variance_lambda"] < 1e-18 < rows["pathwise"]["variance_lambda"]
    assert rows["analytic_kl"]["variance_phi"] < rows["score_function"]["variance_phi"]


def test_every_pair_has_a_case_and_a_stopped_study_goes_on(tmp_path):
    folder = tmp_path / "run"
    summary = study(folder, priors=("standard", "vamp"), posteriors=("diagonal", "iaf"), seeds=2)
    assert summary == json.loads((folder / "summary.json").read_text())
    pairs = [(case["prior"], case["posterior"]) for case in summary["cases"]]
    assert pairs == [(p, q) for p in ("standard", "vamp") for q in ("diagonal", "iaf")]
    for case in summary["cases"]:
        assert {"test_nll", "test_nll_se", "active_units"} <= case.keys()
        assert (case["margin"] is None) == (case["prior"] == "standard")
    assert {path.name for path in folder.iterdir()} >= {"test_nll.png", "samples.png"}
    (folder / "summary.json").unlink()
    kept = folder / "cases" / "vamp-iaf-1" / "measured.npz"
    kept.unlink()
    again = study(
        folder, priors=("standard", "vamp"), posteriors=("diagonal", "iaf"), seeds=2, resume=True
    )
    timeless = lambda case: {k: v for k, v in case.items() if k != "train_seconds"}
    assert list(map(timeless, again["cases"])) == list(map(timeless, summary["cases"]))


@pytest.mark.parametrize("prior", prior_models.PRIORS)
def test_every_prior_and_posterior_builds(prior):
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4), dtype=np.uint8)
    sizes = prior_models.Sizes(latent=2, hidden=8, components=3, flow=4)
    for posterior in prior_models.POSTERIORS:
        if prior_models.fits(prior, posterior):
            case = prior_models.build(
                jax.random.key(0), prior, posterior, images=images, sizes=sizes
            )
            z = case.model.generative.sample_prior(jax.random.key(1), case.params.generative)
            log_joint = case.model.generative.log_joint(
                case.read(case.params).generative, jnp.ones((4, 4), jnp.float32), z
            )
            assert jnp.isfinite(log_joint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"priors": ("nothing",)}, "known: standard"),
        ({"posteriors": ("nothing",)}, "known: diagonal"),
        ({"priors": ("autoregressive",), "posteriors": ("diagonal",)}, "hierarchical"),
        ({"epochs": 0}, "--epochs"),
        ({"latent_size": 1}, "--latent-size"),
        ({"hidden_size": 2}, "--hidden-size"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"batch_size": 5000}, "--batch-size"),
        ({"num_components": 5000}, "--num-components"),
        ({"dataset": "gaussian", "num_data": 10}, "--num-data"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(run.BadInput, match=message):
        study(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def gaps(tmp_path_factory, optimised):
    options = posterior_gap.Options(
        output_dir=tmp_path_factory.mktemp("runs") / "gap", num_samples=(1, 5), trained_with=5,
        families=("diagonal", "realnvp"),
        num_steps=300, batch_size=32, num_nodes=50, num_restarts=1,
    )  # fmt: skip
    with optimised():
        return posterior_gap.main(options)


def test_a_richer_family_closes_more(gaps):
    gap = {
        (case["posterior"], case["family"], case["trained_with"]): case["gaps"]
        for case in gaps["cases"]
    }
    assert all(0.0 < many < one + 1e-9 for one, many in gap.values())
    assert gap["curved", "realnvp", 1][0] < 0.5 * gap["curved", "diagonal", 1][0]
    assert gap["linear", "realnvp", 1][0] < 0.05 < gap["linear", "diagonal", 1][0]


def test_the_law_of_a_flow_is_that_of_a_grid_of_the_plane(float64):
    log_joint = posterior_families.POSTERIORS["curved"]
    flow, phi = posterior_families.family("diagonal", jax.random.key(0))
    phi = jax.tree.map(lambda leaf: jnp.asarray(leaf, float) + 0.1, phi)
    law = posterior_families.weight_law(flow, phi, log_joint, num_nodes=120)
    grid = np.linspace(-12.0, 12.0, 481)
    nodes = jnp.asarray(np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2))
    of_grid = exact.quadrature_law(
        Params((), phi), (), model=posterior_families.model_of(flow, log_joint), nodes=nodes,
        log_volumes=jnp.full(len(nodes), 2.0 * np.log(0.05)),
    )  # fmt: skip
    np.testing.assert_allclose(exact.elbo(law), exact.elbo(of_grid), rtol=1e-8)
    np.testing.assert_allclose(exact.log_evidence(law), exact.log_evidence(of_grid), rtol=1e-6)
    expected = posterior_gap.log_evidence(log_joint)
    np.testing.assert_allclose(expected, exact.log_evidence(of_grid), rtol=1e-8)
    linear = posterior_gap.log_evidence(posterior_families.POSTERIORS["linear"])
    np.testing.assert_allclose(linear, scipy.stats.norm(0.0, np.sqrt(2.09)).logpdf(1.0), rtol=1e-8)
