"""The learning rates of a training, update by update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import training


def learning_rates(optimizer, steps):
    """Adam's first moments of a constant gradient are all alike, so each update is the rate."""
    params, gradient = jnp.zeros(()), jnp.array(1e6)

    def update(state, _):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state, params)
        return state, -updates

    _, rates = jax.lax.scan(update, optimizer.init(params), length=steps)
    return np.asarray(rates)


def test_the_papers_schedule_has_its_eight_stages():
    rates = learning_rates(training.paper_optimizer(steps_per_pass=2), 2 * training.PAPER_PASSES)
    expected = np.concatenate([np.full(2 * 3**i, 1e-3 * 10 ** (-i / 7)) for i in range(8)])
    assert training.PAPER_PASSES == 3280
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


def test_the_short_schedule_rises_and_falls():
    optimizer = training.short_optimizer(num_steps=110, learning_rate=0.01, warmup_steps=10)
    rates = learning_rates(optimizer, 110)
    np.testing.assert_allclose(rates[[0, 10, 60]], [0.01 / 11, 0.01, 0.005], rtol=1e-3)
    assert np.all(np.diff(rates[:11]) > 0.0)
    assert np.all(np.diff(rates[11:]) < 0.0)
    assert rates[-1] < 1e-5


@pytest.mark.parametrize(
    "arguments",
    [{"num_steps": 0}, {"num_steps": 5, "warmup_steps": 5}, {"num_steps": 5, "learning_rate": 0.0}],
)
def test_bad_schedules_are_refused(arguments):
    with pytest.raises(ValueError, match="num_steps"):
        training.short_optimizer(**arguments)
    with pytest.raises(ValueError, match="steps_per_pass"):
        training.paper_optimizer(steps_per_pass=0)
