"""Exact L_K of probabilistic PCA against K, for families of q, and the time that K samples take."""

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import run, tightness_laws
from experiments.tightness_laws import FAMILIES
from iwae_jax import LatentVariableModel, Params, bounds, exact, keys, weights
from iwae_jax.types import Array, PyTree

REACH = 8.0  # 1e-15 of a Gaussian lies further out
CHUNK = 100_000  # samples at a time
AT_LEAST = 0.1  # seconds of timing


class Curves(NamedTuple):
    """Bounds against K.

    Attributes:
      counts: ``[n]``, the K.
      gaps: ``[families, data, n]``, log p(x) - L_K in nats.
      seconds: ``[n]``, to draw K samples and form the bound.
      lognormal_change: how far the bounds of the full covariance move, at most, when they come
        from the law in closed form instead of the grid.
    """

    counts: np.ndarray
    gaps: np.ndarray
    seconds: np.ndarray
    lognormal_change: float


def measure(
    seed: int,
    theta: PyTree,
    xs: Array,
    *,
    model: LatentVariableModel,
    max_samples: int,
    num_nodes: int,
    repeats: int,
    this_run: run.Run,
) -> Curves:
    """Exact bounds of every family, datum and K, and the time that each K takes."""
    all_counts = [m * 10**e for e in range(len(str(max_samples))) for m in (1, 3)]
    counts = [count for count in all_counts if count <= max_samples]
    phis = tightness_laws.families(theta)
    log_p = [exact.linear_gaussian_log_likelihood(theta, x) for x in xs]

    @jax.jit
    def bound(params: Params, x: Array, num_samples: Array) -> Array:
        law = tightness_laws.weight_law(params, x, model=model, num_nodes=num_nodes, reach=REACH)
        return exact.iwae(law, num_samples=num_samples)

    @jax.jit
    def lognormal_bound(elbo: Array, log_p: Array, num_samples: Array) -> Array:
        law = exact.lognormal_law(elbo, jnp.sqrt(2.0 * (log_p - elbo)))
        return exact.iwae(law, num_samples=num_samples)

    gaps = np.zeros((len(FAMILIES), len(xs), len(counts)))
    seconds, change = np.zeros(len(counts)), 0.0
    with run.progress("bounds", len(counts)) as show:
        for index, count in enumerate(counts):
            k = jnp.asarray(1.0 * count)
            for family, name in enumerate(FAMILIES):
                params = Params(theta, phis[name])
                for datum, x in enumerate(xs):
                    value = bound(params, x, k)
                    gaps[family, datum, index] = log_p[datum] - value
                    if name == "full":
                        elbo = exact.linear_gaussian_elbo(params, x)
                        other = lognormal_bound(elbo, log_p[datum], k)
                        change = max(change, float(jnp.abs(value - other)))
            seconds[index] = seconds_for(
                seed, params, xs[0], model=model, num_samples=count, repeats=repeats
            )
            means = dict(zip(FAMILIES, gaps[:, :, index].mean(1).tolist(), strict=True))
            this_run.log(
                {"step": index, "num_samples": count, "seconds": seconds[index], "gaps": means}
            )
            show(index + 1, f"K = {count}")
    return Curves(np.array(counts), gaps, seconds, change)


def seconds_for(
    seed: int,
    params: Params,
    x: Array,
    *,
    model: LatentVariableModel,
    num_samples: int,
    repeats: int,
) -> float:
    """Median time to draw K samples and form the bound, compiled, in float32.

    All families of q run the same code, so one time serves them all.
    """
    args = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), (params, x))
    over_samples = weights.at_once if num_samples <= CHUNK else weights.chunked(CHUNK)
    with jax.enable_x64(False):
        key = keys.tagged(jax.random.key(seed), keys.EVALUATION)
        log_weights = partial(
            weights.log_weights, model=model, num_samples=num_samples, over_samples=over_samples
        )
        bound = jax.jit(lambda key, params, x: bounds.iwae(log_weights(key, params, x)))
        bound(key, *args).block_until_ready()
        times: list[float] = []
        while len(times) < repeats or sum(times) < AT_LEAST:
            start = time.perf_counter()
            bound(key, *args).block_until_ready()
            times.append(time.perf_counter() - start)
    return float(np.median(times))
