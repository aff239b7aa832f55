"""Every estimator as an objective of `train_iwae`: which fit, and what is said of the rest."""

import math

import jax
import numpy as np
import pytest

from experiments import iwae_model, objectives, run, train_iwae
from iwae_jax import estimators, training

IMAGES = np.zeros((4, 3, 3), np.uint8)
OF_BERNOULLI = {"disarm", "disarm_iwae", "rebar", "relax", "gumbel_softmax", "straight_through"}
OF_GAUSSIAN = {
    "pathwise", "sticking_the_landing", "dreg", "gdreg", "vr_iwae", "vr_iwae_dreg", "ciwae",
    "miwae", "piwae", "measure_valued", "analytic_kl", "wake_wake_dreg", "resampled_systematic",
    "resampled_top",
}  # fmt: skip


def options(**changes):
    small = {"hidden_size": 4, "latent_size": 2, "num_samples": 4}
    return train_iwae.Options(**small | changes)


@pytest.mark.parametrize(
    ("latents", "unfit"), [("gaussian", OF_BERNOULLI), ("bernoulli", OF_GAUSSIAN)]
)
def test_the_estimators_that_do_not_fit_are_refused_with_the_reason(latents, unfit):
    for name in estimators.__all__:
        chosen = options(latents=latents, objective=name)
        if name in unfit:
            with pytest.raises(run.BadInput, match=f"--objective {name} does not fit: {name}"):
                iwae_model.build(chosen, IMAGES)
        else:
            iwae_model.build(chosen, IMAGES)


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(run.BadInput, match=r"disarm .* even"):
        iwae_model.build(options(latents="bernoulli", objective="disarm", num_samples=5), IMAGES)


def test_bernoulli_latents_have_one_layer():
    with pytest.raises(run.BadInput, match="--layers"):
        iwae_model.build(
            options(latents="bernoulli", objective="vimco_arithmetic", layers=2), IMAGES
        )


def test_settings_reach_the_estimator():
    chosen = objectives.estimator("miwae", {"num_outer": 3.0})
    assert chosen.keywords == {"num_outer": 3}
    assert objectives.estimator("vr_iwae", {}).keywords == {"alpha": 0.5}
    with pytest.raises(run.BadInput, match=r"vr_iwae has no setting 'beta'; .*: alpha"):
        objectives.estimator("vr_iwae", {"beta": 1.0})


@pytest.mark.parametrize(
    ("latents", "name"),
    [("bernoulli", "disarm"), ("bernoulli", "relax"), ("bernoulli", "wake_sleep"),
     ("gaussian", "miwae")],
)  # fmt: skip
def test_an_objective_trains(latents, name):
    """Twelve updates raise the bound of the batch they are made on."""
    images = np.zeros((20, 3, 3), np.uint8)
    images[:, 1] = 255
    chosen = options(latents=latents, objective=name)
    model, params = iwae_model.build(chosen, np.full_like(images, 100))
    history = training.fit(
        jax.random.key(0), params, images, model=model, batch_size=20, num_epochs=12,
        estimator=objectives.estimator(name, {}), num_samples=4,
        optimizer=training.short_optimizer(num_steps=12, learning_rate=0.1),
    ).history  # fmt: skip
    assert history[-1]["train_bound"] > history[0]["train_bound"] + 1.0
    assert all(math.isfinite(line["train_ess"]) for line in history)
