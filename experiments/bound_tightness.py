"""Measure how tight L_K is, exactly, and where its maximum over theta is that of log p(x).

Claim (Burda et al. 2016, theorem 1): L_K is under log p(x), never falls as K grows, and equals
log p(x) at every K where q is the posterior. So max L_K over theta and phi is max log p(x) over
theta where one phi makes q the posterior of every x at a maximising theta.

All values are exact, of probabilistic PCA with four pixels and two latents. A diagonal q is
powerful enough there, since theta can turn z until the posterior is diagonal; it misses once W is
lower triangular, which fixes the axes of z and costs no likelihood.

    python -m experiments.bound_tightness    (the maxima differ by 1e-13 nats; for a diagonal q with
                                              fixed axes by 0.0537 at K = 1 and 0.0233 at K = 10;
                                              73 s on two cores)
"""

import dataclasses
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments import (
    run,
    tightness_curves,
    tightness_laws,
    tightness_maxima,
    tightness_pictures,
)
from experiments.tightness_curves import Curves
from experiments.tightness_laws import DATA_SIZE, FAMILIES, LATENT_SIZE
from experiments.tightness_maxima import FITS, Fit
from iwae_jax import LatentVariableModel, keys, models
from iwae_jax.types import Array, PyTree

CURVE_DATA = 3  # data whose bounds are drawn against K
CLOSE = 0.01  # nats
TOLERANCE = 1e-9  # nats that rounding and quadrature may take from a property


@dataclasses.dataclass(frozen=True)
class Options(run.Options):
    """Options of the measurements."""

    max_samples: int = 1_000_000
    """the largest K against which the bounds are drawn"""
    num_samples: int = 10
    """K of the bound whose maximum is taken beside that of K = 1"""
    num_data: int = 8
    """data that the maxima are of; the bounds are drawn for the first three"""
    num_nodes: int = 96
    """nodes of the quadrature in each of the two latents"""
    repeats: int = 9
    """timings of each K, at least; their median is kept"""


def measure_maxima(
    options: Options, model: LatentVariableModel, xs: Array, this_run: run.Run
) -> tuple[list[list[Fit]], float]:
    """All fits ``[fits][K]``, and how far a bound moves, at most, on a grid twice as fine."""
    key = keys.tagged(jax.random.key(options.seed), keys.INITIALISATION)
    _, start = models.linear_gaussian(key, data_size=DATA_SIZE, latent_size=LATENT_SIZE)
    fits: list[list[Fit]] = [[] for _ in FITS]
    change, done = 0.0, 0
    first_line = len(this_run.logged())
    with run.progress("maxima", 2 * len(FITS)) as show:
        for count in (1, options.num_samples):
            maximise = tightness_maxima.maximiser(xs, model=model, num_samples=count)
            finer = jax.jit(
                partial(
                    tightness_maxima.mean_bound, model=model, num_samples=count,
                    num_nodes=2 * tightness_maxima.NUM_NODES,
                )
            )  # fmt: skip
            for row, name in zip(fits, FITS, strict=True):
                fit = maximise(name, start)
                row.append(fit)
                change = max(change, abs(float(finer(fit.params, xs)) - fit.bound))
                this_run.log(
                    {"step": first_line + done, "fit": name, "num_samples": count,
                     **{k: v for k, v in fit._asdict().items() if k != "params"}}
                )  # fmt: skip
                done += 1
                show(done, f"{FITS[name]}, K = {count}: {fit.bound:.6f}")
            # From here both q and theta still have a way to go, and a short one.
            start = fits[-1][0].params
    return fits, change


def of_curves(curves: Curves) -> run.Summary:
    """The three properties in numbers, and the curves, averaged over the data."""
    strict = curves.gaps[:-1]
    means = curves.gaps.mean(1)
    summary: run.Summary = {
        "max_samples": int(curves.counts[-1]),
        "highest_above_log_p": float(0.0 - curves.gaps.min()),
        "smallest_rise": float(-np.diff(strict, axis=-1).max()),
        "largest_posterior_gap": float(np.abs(curves.gaps[-1]).max()),
        "lognormal_change": curves.lognormal_change,
        "counts": curves.counts.tolist(),
        "seconds": curves.seconds.tolist(),
    }
    for name, gap in zip(FAMILIES, means, strict=True):
        # The data are a part of the question, not a sample: these means have no standard error.
        summary[f"gap_{name}"] = gap.tolist()
        close = np.flatnonzero(gap <= CLOSE)
        summary[f"close_{name}_samples"] = int(curves.counts[close[0]]) if close.size else None
        summary[f"close_{name}_seconds"] = float(curves.seconds[close[0]]) if close.size else None
        last = np.log10(gap[-1] / gap[-3]) if name != "posterior" else None
        summary[f"slope_{name}"] = None if last is None else float(last)
    return summary


def of_maxima(
    options: Options, best: PyTree, fits: list[list[Fit]], change: float, xs: Array
) -> run.Summary:
    """What the maxima of L_K over theta and phi miss, and how far their theta is from the best."""
    top = float(tightness_maxima.mean_log_likelihood(best, xs))
    outer = lambda theta: theta["weight"] @ theta["weight"].T
    summary: run.Summary = {
        "max_log_likelihood": top,
        "maxima_num_samples": [1, options.num_samples],
        "maxima_grid_change": change,
    }
    for name, row in zip(FITS, fits, strict=True):
        thetas = [fit.params.generative for fit in row]
        summary |= {
            f"miss_{name}": [top - fit.bound for fit in row],
            f"log_likelihood_loss_{name}": [top - fit.log_likelihood for fit in row],
            f"covariance_distance_{name}": [
                float(jnp.linalg.norm(outer(theta) - outer(best)) / jnp.linalg.norm(outer(best)))
                for theta in thetas
            ],
            f"log_scale_shift_{name}": [
                float(theta["log_scale"] - best["log_scale"]) for theta in thetas
            ],
            f"steps_{name}": [fit.steps for fit in row],
        }
    return summary


def verify(summary: run.Summary) -> None:
    """Refuses numbers that contradict the claim."""
    equal = summary["miss_full"] + summary["miss_diagonal"] + summary["miss_full_fixed"]
    broken = {
        "a bound above log p(x)": summary["highest_above_log_p"] > TOLERANCE,
        "a bound that falls": summary["smallest_rise"] <= 0.0,
        "a posterior that is not tight": summary["largest_posterior_gap"] > TOLERANCE,
        "a grid that misses the closed form": summary["lognormal_change"] > TOLERANCE,
        "maxima that differ": max(map(abs, equal)) > TOLERANCE,
        "no miss of the diagonal q": min(summary["miss_diagonal_fixed"]) <= TOLERANCE,
    }
    if any(broken.values()):
        raise FloatingPointError(f"there is {', '.join(name for name in broken if broken[name])}.")


def main(options: Options) -> run.Summary:
    """Measures how tight L_K is, exactly, and compares its maximum over theta with log p(x)'s."""
    run.at_least(
        options, max_samples=10, num_samples=2, num_data=DATA_SIZE + 1, num_nodes=32, repeats=1
    )
    return run.carry_out(
        options, name="bound_tightness", case="pca", work=partial(work, options), report=report
    )


@run.in_float64
def work(options: Options, this_run: run.Run) -> run.Summary:
    """Measures, checks and draws."""
    start = time.monotonic()
    model, theta = tightness_laws.model_and_theta()
    xs = tightness_laws.data(jax.random.key(options.seed), theta, options.num_data)
    curves = tightness_curves.measure(
        options.seed, theta, xs[:CURVE_DATA], model=model, max_samples=options.max_samples,
        num_nodes=options.num_nodes, repeats=options.repeats, this_run=this_run,
    )  # fmt: skip
    fits, change = measure_maxima(options, model, xs, this_run)
    best = tightness_maxima.principal_components(xs, LATENT_SIZE)
    summary = of_curves(curves) | of_maxima(options, best, fits, change, xs)
    verify(summary)
    np.savez(this_run.folder / "grid.npz", families=list(FAMILIES), xs=xs, **curves._asdict())
    tightness_pictures.curves(curves.counts, curves.gaps.mean(1), curves.seconds, this_run.folder)
    thetas = {"highest likelihood": best} | {
        f"diagonal, axes fixed, K = {count}": fit.params.generative
        for count, fit in zip(summary["maxima_num_samples"], fits[-1], strict=True)
    }
    tightness_pictures.maxima(
        summary["maxima_num_samples"], np.array([summary[f"miss_{name}"] for name in FITS]),
        {name: np.asarray(tightness_laws.covariance(theta)) for name, theta in thetas.items()},
        np.asarray(xs), this_run.folder,
    )  # fmt: skip
    return summary | {"wall_seconds": time.monotonic() - start}


def report(summary: run.Summary) -> None:
    """Prints the closing tables."""
    number = lambda value: "never" if value is None else f"{value:.3g}"
    rows = []
    for name, label in FAMILIES.items():
        gap, time_needed = summary[f"gap_{name}"], summary[f"close_{name}_seconds"]
        rows.append(
            [label, number(gap[0]), number(gap[len(gap) // 2]), number(gap[-1]),
             "" if summary[f"slope_{name}"] is None else f"{summary[f'slope_{name}']:.2f}",
             number(summary[f"close_{name}_samples"]),
             "never" if time_needed is None else f"{1e3 * time_needed:.2g} ms"]
        )  # fmt: skip
    counts = summary["counts"]
    shown = [f"K = {count:,}" for count in (counts[0], counts[len(counts) // 2], counts[-1])]
    run.print_table(
        "log p(x) - L_K (nats), exactly",
        ["q", *shown, "slope", f"K to {CLOSE} nats", "time to it"], rows,
    )  # fmt: skip
    print(
        f"highest above log p(x) {summary['highest_above_log_p']:.1e}, smallest rise"
        f" {summary['smallest_rise']:.1e}, largest gap of the posterior"
        f" {summary['largest_posterior_gap']:.1e}"
    )
    rows = [
        [label, str(count), *(f"{summary[f'{key}_{name}'][i]:.3g}" for key in
         ("miss", "log_likelihood_loss", "covariance_distance", "log_scale_shift"))]
        for name, label in FITS.items()
        for i, count in enumerate(summary["maxima_num_samples"])
    ]  # fmt: skip
    run.print_table(
        f"max log p(x) = {summary['max_log_likelihood']:.6f} nats against max L_K",
        ["q", "K", "bound misses", "its theta misses", "W W' is off by", "log s by"], rows,
    )  # fmt: skip


if __name__ == "__main__":
    run.command_line(main, Options)
