"""Names of the gradient estimators on the command line, with their settings."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.run import BadInput
from iwae_jax import LatentVariableModel, Params, estimators
from iwae_jax.types import Array, Estimator, PyTree


class Objective(NamedTuple):
    """An estimator by name.

    Attributes:
      settings: its own arguments, with the values they have unless a run says otherwise.
      arguments: turns settings into what the estimator takes.
      control: ``(num_pixels, num_latents) -> params.control`` of its learnt part.
    """

    settings: Mapping[str, float] = {}
    arguments: Callable[..., dict[str, Any]] = dict
    control: Callable[[int, int], PyTree] | None = None


def _geometric(num_steps: float, first: float) -> dict[str, Any]:
    return {"partition": jnp.asarray([0.0, *np.geomspace(first, 1.0, int(num_steps))])}


def _linear_baseline(psi: PyTree, x: Array) -> Array:
    return psi["bias"] + psi["slope"] @ x.ravel()


def _relaxed_control_variate(psi: PyTree, x: Array, z: Array) -> Array:
    relaxed = jax.nn.sigmoid(z)
    return psi["bias"] + relaxed @ (psi["slope"] + psi["pixels"] @ x.ravel())


_zeros = partial(jnp.zeros, dtype=jnp.float32)  # as networks have their parameters

SPECIAL = {
    "vr_iwae": Objective({"alpha": 0.5}),
    "vr_iwae_dreg": Objective({"alpha": 0.5}),
    "ciwae": Objective({"beta": 0.5}),
    "miwae": Objective({"num_outer": 2}),
    "piwae": Objective({"num_outer": 2}),
    "resampled_systematic": Objective({"num_resampled": 2}),
    "resampled_top": Objective({"num_top": 1}),
    "ovis": Objective({"gamma": 0.0}),
    "ovis_monte_carlo": Objective({"num_draws": 2}),
    "tvo": Objective({"num_steps": 5, "first": 0.025}, _geometric),
    "gumbel_softmax": Objective({"temperature": 0.5}),
    "nvil": Objective(
        arguments=lambda: {"baseline": _linear_baseline},
        control=lambda pixels, latents: {"bias": _zeros(()), "slope": _zeros(pixels)},
    ),
    "rebar": Objective(
        control=lambda pixels, latents: {
            "log_temperature": jnp.float32(np.log(0.5)),
            "scale": jnp.float32(1.0),
        },
    ),
    "relax": Objective(
        arguments=lambda: {"control_variate": _relaxed_control_variate},
        control=lambda pixels, latents: {
            "bias": _zeros(()),
            "slope": _zeros(latents),
            "pixels": _zeros((latents, pixels)),
        },
    ),
}
UNBIASED = {
    "iwae": {
        "pathwise", "dreg", "gdreg", "score_function", "vimco_arithmetic", "vimco_geometric",
        "nvil", "ovis_monte_carlo", "resampled_systematic", "resampled_top", "disarm_iwae",
    },
    "elbo": {"leave_one_out", "disarm", "rebar", "relax", "measure_valued"},
}  # fmt: skip
"""Names of the estimators that are unbiased in theta and phi, by their bound."""
UNBIASED_IN_THETA = {
    "iwae": UNBIASED["iwae"] | {
        "sticking_the_landing", "ovis", "wake_wake", "wake_wake_dreg", "wake_sleep",
    },
    "elbo": UNBIASED["elbo"] | {"gumbel_softmax", "straight_through"},
}  # fmt: skip
OBJECTIVES = {name: SPECIAL.get(name, Objective()) for name in estimators.__all__}


def estimator(name: str, settings: Mapping[str, float]) -> Estimator:
    """The estimator of a name, with its settings changed where a run says so."""
    objective = OBJECTIVES[name]
    for setting in settings:
        if setting not in objective.settings:
            known = ", ".join(objective.settings) or "none"
            raise BadInput(f"{name} has no setting {setting!r}; its settings: {known}.")
    values = {
        # Whole numbers are counts.
        setting: type(value)(settings.get(setting, value))
        for setting, value in objective.settings.items()
    }
    return partial(getattr(estimators, name), **objective.arguments(**values))


def with_control(name: str, model: LatentVariableModel, params: Params, x: Array) -> Params:
    """The parameters, with those of the estimator's learnt part where it has one."""
    control = OBJECTIVES[name].control
    if control is None:
        return params
    q = jax.eval_shape(model.inference.encode, params.inference, x)
    return params._replace(control=control(x.size, jax.tree.leaves(q)[0].size))


def require_fit(
    name: str,
    run: Estimator,
    model: LatentVariableModel,
    params: Params,
    x: Array,
    num_samples: int,
) -> None:
    """Refuses an estimator that does not fit the model or the number of samples, and says why."""
    try:
        jax.eval_shape(
            partial(run, model=model, num_samples=num_samples), jax.random.key(0), params, x
        )
    except ValueError as error:
        raise BadInput(f"--objective {name} does not fit: {error}") from error
