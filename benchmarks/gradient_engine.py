"""How fast gradients of the Gaussian toy are drawn, against PyTorch.

    python -m benchmarks.gradient_engine       (needs `pip install torch`; 1 minute on one core)

The estimates are those of `experiments.gradient_snr`: the gradient of the bound of one datum in
(mu, A, b), D = 20. Every row does the same work on both sides: either the sums of the gradients and
of their squares, or the engine's moments (means, centred squares, the part along a direction). The
peers take the same gradients by `torch.func.vmap`, in chunks of the same size, and by a loop over
backward passes. All run in turns in one process on one core, and must agree on the mean; times are
CPU time per estimate, and ratios the median over the rounds.
"""

import importlib.util
import math
import os
import statistics
import sys
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax import diagnostics, estimators, keys, models

SIZE = 20
NUM_GRADIENTS = 10_000
LOOPED = 300
ROUNDS = 7
CHUNKS = {1: 1000, 10: 500, 100: 100}
PARAMETERS = ("mean", "weight", "bias")


def library(num_samples, with_moments):
    """One scan over chunks of a vmap; returns the mean of (mu, A, b)."""
    chunk = CHUNKS[num_samples]
    model, params = models.gaussian_toy(jax.random.key(0), size=SIZE)
    x = jnp.ones(SIZE)

    def gradient(key):
        objective = lambda params: estimators.pathwise(
            key, params, x, model=model, num_samples=num_samples
        )[0]
        return jax.grad(objective)(params)

    def add_sums(totals, batch):
        sums = jax.tree.map(lambda total, leaf: total + leaf.sum(0), totals[0], batch)
        squares = jax.tree.map(lambda total, leaf: total + (leaf**2).sum(0), totals[1], batch)
        return sums, squares

    def add_moments(totals, batch):
        moments = diagnostics.gradient_moments(batch, direction=params)
        return diagnostics.merge_moments(totals, moments)

    nothing = jax.tree.map(jnp.zeros_like, params)
    start = diagnostics.no_moments(params) if with_moments else (nothing, nothing)
    add = add_moments if with_moments else add_sums

    @jax.jit
    def stream(root):
        def step(totals, index):
            step_keys = jax.vmap(keys.step, (None, 0))(root, index * chunk + jnp.arange(chunk))
            return add(totals, jax.vmap(gradient)(step_keys)), None

        return jax.lax.scan(step, start, jnp.arange(NUM_GRADIENTS // chunk))[0]

    def run(seed):
        totals = jax.block_until_ready(stream(jax.random.key(seed)))
        total, count = (totals.mean, 1) if with_moments else (totals[0], NUM_GRADIENTS)
        leaves = total.generative["mean"], total.inference["weight"], total.inference["bias"]
        return NUM_GRADIENTS, [leaf / count for leaf in leaves]

    return run


def torch_moments(totals, gradients, direction):
    """Adds the moments of a chunk: Chan, Golub and LeVeque (1983), as the library does."""
    size = len(gradients[0])
    count = totals["count"] + size
    along = sum((g * d).flatten(1).sum(1) for g, d in zip(gradients, direction, strict=True))
    along, across = along / sum((d**2).sum() for d in direction), 0
    for i, (g, d) in enumerate(zip(gradients, direction, strict=True)):
        rest = g - along.view(-1, *[1] * d.ndim) * d
        across = across + (rest**2).flatten(1).sum(1)
        mean = g.mean(0)
        shift = mean - totals["mean"][i]
        totals["squares"][i] += ((g - mean) ** 2).sum(0)
        totals["squares"][i] += totals["count"] * size / count * shift**2
        totals["mean"][i] += size / count * shift
    length = along.abs() * sum((d**2).sum() for d in direction).sqrt()
    totals["directional"] += (length / across.sqrt()).sum()
    totals["count"] = count


def peers(num_samples, with_moments):
    """The same by torch.func.vmap, and, with sums alone, by a loop."""
    import torch

    torch.set_num_threads(1)
    _, params = models.gaussian_toy(jax.random.key(0), size=SIZE)
    values = params.generative | params.inference
    start = [torch.tensor(values[name].tolist()) for name in PARAMETERS]
    x, scale = torch.ones(SIZE), math.sqrt(2.0 / 3.0)
    constant = SIZE * (-0.5 * math.log(2.0 * math.pi) + math.log(scale))

    def bound(mean, weight, bias, noise):
        z = weight @ x + bias + scale * noise
        log_weights = -0.5 * ((z - mean) ** 2 + (x - z) ** 2 - noise**2).sum(-1) + constant
        return torch.logsumexp(log_weights, 0) - math.log(num_samples)

    one = torch.func.grad(bound, argnums=(0, 1, 2))
    many = torch.func.vmap(one, in_dims=(None, None, None, 0))
    chunk = CHUNKS[num_samples]

    def moments(seed):
        torch.manual_seed(seed)
        zeros = lambda: [torch.zeros_like(p) for p in start]
        totals = {"count": 0, "mean": zeros(), "squares": zeros(), "directional": 0.0}
        for _ in range(NUM_GRADIENTS // chunk):
            gradients = many(*start, torch.randn(chunk, num_samples, SIZE))
            torch_moments(totals, gradients, start)
        return NUM_GRADIENTS, totals["mean"]

    def vectorised(seed):
        torch.manual_seed(seed)
        sums = [[torch.zeros_like(p), torch.zeros_like(p)] for p in start]
        for _ in range(NUM_GRADIENTS // chunk):
            gradients = many(*start, torch.randn(chunk, num_samples, SIZE))
            for total, gradient in zip(sums, gradients, strict=True):
                total[0] += gradient.sum(0)
                total[1] += (gradient**2).sum(0)
        return NUM_GRADIENTS, [total[0] / NUM_GRADIENTS for total in sums]

    def looped(seed):
        torch.manual_seed(seed)
        leaves = [p.clone().requires_grad_() for p in start]
        sums = [[torch.zeros_like(p), torch.zeros_like(p)] for p in start]
        for _ in range(LOOPED):
            gradients = torch.autograd.grad(bound(*leaves, torch.randn(num_samples, SIZE)), leaves)
            for total, gradient in zip(sums, gradients, strict=True):
                total[0] += gradient
                total[1] += gradient**2
        return LOOPED, [total[0] / LOOPED for total in sums]

    if with_moments:
        return {"torch.func.vmap": moments}
    return {"torch.func.vmap": vectorised, "torch loop": looped}


def measure(num_samples: int, with_moments: bool, found: bool) -> None:
    """Prints one row, and checks that all draw gradients of the same mean."""
    runs = {"iwae_jax": library(num_samples, with_moments)}
    if found:
        runs |= peers(num_samples, with_moments)
    times: dict[str, list[float]] = {name: [] for name in runs}
    means: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    counts = {}
    for seed in range(ROUNDS + 1):
        for name, run in runs.items():
            start = time.process_time()
            counts[name], mean = run(seed)
            times[name].append((time.process_time() - start) / counts[name] * 1e6)
            means[name].append(np.concatenate([np.ravel(leaf) for leaf in mean]))
    # The first round compiles.
    ours = times["iwae_jax"][1:]
    kind = "moments" if with_moments else "sums"
    print(f"K = {num_samples}, {kind}: iwae_jax {statistics.median(ours):.3g}", end="")
    for name in list(runs)[1:]:
        ratio = statistics.median(t / o for t, o in zip(times[name][1:], ours, strict=True))
        print(f"; {name} {statistics.median(times[name][1:]):.3g} (ratio {ratio:.2f})", end="")
        check_agreement(means["iwae_jax"], means[name], counts["iwae_jax"] / counts[name])
    print(flush=True)


def check_agreement(ours, theirs, fewer):
    """Mean square of the difference of 440 means, in units of its variance: 1 if they agree."""
    variance = np.var(ours, axis=0, ddof=1) * (1 + fewer) / len(ours)
    score = np.mean((np.mean(ours, axis=0) - np.mean(theirs, axis=0)) ** 2) / np.mean(variance)
    assert score < 3.0, f"the mean gradients differ: {score:.1f} times what chance would give"


def main() -> None:
    """Runs everything in turns and prints the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = importlib.util.find_spec("torch") is not None
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}; microseconds per estimate")
    for num_samples in CHUNKS:
        for with_moments in (False, True):
            measure(num_samples, with_moments, found)
    if not found:
        print("install torch to see the peers: pip install torch", file=sys.stderr)


if __name__ == "__main__":
    main()
