"""Training two networks against each other, as small as it gets: which optimisers cycle.

Claim: on a generator and a discriminator of one or two parameters, Adam and descent-ascent cycle,
and the extragradient, optimistic, anchored and corrected methods converge. And why a discriminator
must be able to tell bad fakes: against a perfect generator all discriminators score the same, but
one that answers 50-50 to everything lets a bad generator pass.

    python -m experiments.two_player_training             (half a minute)
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import figures, game_pictures, run
from iwae_jax import minimax

MEAN, SCALE = 1.0, 0.5
START = {"dirac": (np.array([1.0]), np.array([0.5])), "gaussian": (np.zeros(2), np.zeros(2))}
SOLUTION = {
    "dirac": (np.zeros(1), np.zeros(1)),
    "gaussian": (np.array([MEAN, np.log(SCALE)]), np.zeros(2)),
}


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the training."""

    num_steps: int = 10_000
    """steps of each method"""
    step_size: float = 0.2
    """step size, or learning rate, of each method but Adam"""
    adam_learning_rate: float = 0.01
    """learning rate of Adam"""


def dirac_gan(theta, psi):
    """The data are all at 0, the fakes at theta, and the discriminator says sigmoid(psi x)."""
    return jnp.sum(jax.nn.log_sigmoid(jnp.zeros_like(psi)) + jax.nn.log_sigmoid(-psi * theta))


def gaussian_gan(theta, w):
    """Data N(1, 1/4), fakes N(m, s^2), and a critic w_1 x + w_2 x^2; the means are exact."""
    m, s = theta[0], jnp.exp(theta[1])
    return w[0] * (MEAN - m) + w[1] * (MEAN**2 + SCALE**2 - m**2 - s**2)


LOSSES = {"dirac": dirac_gan, "gaussian": gaussian_gan}


def methods(loss, options: Options) -> dict[str, minimax.Method]:
    """Every method at one step size."""
    size = options.step_size
    by = lambda *parts: minimax.with_optimizer(loss, optimizer=optax.chain(*parts))
    return {
        "descent_ascent": minimax.simultaneous_descent_ascent(loss, step_size=size),
        "alternating": minimax.alternating_descent_ascent(loss, step_size=size),
        "adam": by(optax.adam(options.adam_learning_rate)),
        "extragradient": minimax.extragradient(loss, step_size=size),
        "optimistic": minimax.optimistic(loss, step_size=size),
        "anchored_extragradient": minimax.varying_anchored_extragradient(
            loss, lipschitz=0.618 / size
        ),
        "consensus": by(minimax.consensus(loss, strength=0.5), optax.sgd(size)),
        "symplectic_adjustment": by(minimax.symplectic_adjustment(loss), optax.sgd(size)),
        "competitive": by(minimax.competitive(loss, step_size=size), optax.sgd(size)),
    }


def distances(path: minimax.Saddle, game: str) -> np.ndarray:
    """How far each point of a path is from the solution."""
    theta, phi = SOLUTION[game]
    squares = np.sum((path.theta - theta) ** 2, -1) + np.sum((path.phi - phi) ** 2, -1)
    return np.sqrt(squares)


def main(options: Options) -> run.Summary:
    """Trains a Dirac-GAN and a Gaussian GAN by every method."""
    run.at_least(options, num_steps=1)
    if not 0.0 < options.step_size <= 1.0 or not options.adam_learning_rate > 0.0:
        raise run.BadInput("--step-size must be from 0 to 1, and --adam-learning-rate positive.")
    return run.carry_out(
        options, name="two_player_training", case="gan", work=partial(work, options), report=report
    )


@run.in_float64
def work(options: Options, this_run: run.Run) -> run.Summary:
    """Trains and draws."""
    paths: dict[str, dict[str, minimax.Saddle]] = {game: {} for game in LOSSES}
    table = {game: methods(loss, options) for game, loss in LOSSES.items()}
    with run.progress("methods", sum(map(len, table.values()))) as show:
        for game, method in ((g, name) for g, by_name in table.items() for name in by_name):
            follow = partial(
                minimax.trajectory, method=table[game][method], num_steps=options.num_steps
            )
            paths[game][method] = jax.device_get(jax.jit(follow)(*START[game]))
            show(sum(map(len, paths.values())), f"{game} {method}")
    far = {
        game: {name: distances(path, game) for name, path in by_name.items()}
        for game, by_name in paths.items()
    }
    for step in range(0, options.num_steps + 1, max(1, options.num_steps // 100)):
        line = {f"{g}_{name}": float(d[step]) for g in far for name, d in far[g].items()}
        this_run.log({"step": step, **line})
    folder = this_run.folder
    figures.save(game_pictures.training_paths(paths["dirac"], far), folder / "training.png")
    thetas = np.linspace(-2.0, 2.0, 161)
    score = jax.jit(jax.vmap(jax.vmap(dirac_gan, (None, 0)), (0, None)))
    figures.save(
        game_pictures.discriminators(thetas, np.asarray(score(thetas[:, None], thetas[:, None]))),
        folder / "discriminators.png",
    )
    return {
        "steps": options.num_steps,
        **{
            f"{game}_{name}_distance": float(d[-1]) for game in far for name, d in far[game].items()
        },
        "perfect_generator_score": float(dirac_gan(jnp.zeros(1), jnp.ones(1))),
        "half_discriminator_score": float(dirac_gan(jnp.full(1, 2.0), jnp.zeros(1))),
        "best_discriminator_score": float(dirac_gan(jnp.full(1, 2.0), jnp.full(1, -2.0))),
    }


def report(summary: run.Summary) -> None:
    """Prints the closing table."""
    names = [key[len("dirac_") : -len("_distance")] for key in summary if key.startswith("dirac_")]
    rows = [
        [name, *(f"{summary[f'{game}_{name}_distance']:.1e}" for game in LOSSES)] for name in names
    ]
    title = f"Distance from the solution after {summary['steps']} steps"
    run.print_table(title, ["method", "Dirac-GAN", "Gaussian GAN"], rows)
    rows = [
        ["perfect generator, any discriminator", f"{summary['perfect_generator_score']:.4f}"],
        ["bad generator, 50-50 discriminator", f"{summary['half_discriminator_score']:.4f}"],
        ["bad generator, best discriminator", f"{summary['best_discriminator_score']:.4f}"],
    ]
    run.print_table("Score of the discriminator (Dirac-GAN)", ["", "nats"], rows)


if __name__ == "__main__":
    run.command_line(main, Options)
