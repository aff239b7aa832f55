"""How fast gradients of the Gaussian toy are drawn, against PyTorch.

    python -m benchmarks.gradient_engine       (needs `pip install torch`; 3 minutes on one core)

The estimates are those of `experiments.gradient_snr`: the gradient of the bound of one datum in
(mu, A, b), D = 20, with their sums and sums of squares. The peers take the same gradients by
`torch.func.vmap`, in chunks of the same size, and by a loop over backward passes. All run in turns
in one process on one core; times are CPU time per estimate, and ratios the median over the rounds.
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

from iwae_jax import diagnostics, estimators, keys, models

SIZE = 20
NUM_GRADIENTS = 10_000
LOOPED = 300
ROUNDS = 5
CHUNKS = {1: 1000, 10: 500, 100: 100}


def library(num_samples):
    """Draws the moments of the gradients by the library: one scan over chunks of a vmap."""
    chunk = CHUNKS[num_samples]
    model, params = models.gaussian_toy(jax.random.key(0), size=SIZE)
    x = jnp.ones(SIZE)

    def gradient(key):
        objective = lambda params: estimators.pathwise(
            key, params, x, model=model, num_samples=num_samples
        )[0]
        return jax.grad(objective)(params)

    @jax.jit
    def moments(root):
        def step(total, index):
            step_keys = jax.vmap(keys.step, (None, 0))(root, index * chunk + jnp.arange(chunk))
            batch = diagnostics.gradient_moments(jax.vmap(gradient)(step_keys), direction=params)
            return diagnostics.merge_moments(total, batch), None

        start = diagnostics.no_moments(params)
        return jax.lax.scan(step, start, jnp.arange(NUM_GRADIENTS // chunk))[0]

    def run(seed):
        jax.block_until_ready(moments(jax.random.key(seed)))
        return NUM_GRADIENTS

    return run


def peers(num_samples):
    """The same by torch.func.vmap and by a loop."""
    import torch

    torch.set_num_threads(1)
    _, params = models.gaussian_toy(jax.random.key(0), size=SIZE)
    mean = torch.tensor(params.generative["mean"].tolist())
    weight = torch.tensor(params.inference["weight"].tolist())
    bias = torch.tensor(params.inference["bias"].tolist())
    x, scale = torch.ones(SIZE), math.sqrt(2.0 / 3.0)
    constant = SIZE * (-0.5 * math.log(2.0 * math.pi) + math.log(scale))

    def bound(mean, weight, bias, noise):
        z = weight @ x + bias + scale * noise
        log_weights = -0.5 * ((z - mean) ** 2 + (x - z) ** 2 - noise**2).sum(-1) + constant
        return torch.logsumexp(log_weights, 0) - math.log(num_samples)

    one = torch.func.grad(bound, argnums=(0, 1, 2))
    many = torch.func.vmap(one, in_dims=(None, None, None, 0))
    chunk = CHUNKS[num_samples]

    def vectorised(seed):
        torch.manual_seed(seed)
        sums = [[torch.zeros_like(p), torch.zeros_like(p)] for p in (mean, weight, bias)]
        for _ in range(NUM_GRADIENTS // chunk):
            gradients = many(mean, weight, bias, torch.randn(chunk, num_samples, SIZE))
            for total, gradient in zip(sums, gradients, strict=True):
                total[0] += gradient.sum(0)
                total[1] += (gradient**2).sum(0)
        return NUM_GRADIENTS

    def looped(seed):
        torch.manual_seed(seed)
        leaves = [p.clone().requires_grad_() for p in (mean, weight, bias)]
        sums = [[torch.zeros_like(p), torch.zeros_like(p)] for p in (mean, weight, bias)]
        for _ in range(LOOPED):
            gradients = torch.autograd.grad(bound(*leaves, torch.randn(num_samples, SIZE)), leaves)
            for total, gradient in zip(sums, gradients, strict=True):
                total[0] += gradient
                total[1] += gradient**2
        return LOOPED

    return {"torch.func.vmap": vectorised, "torch loop": looped}


def main() -> None:
    """Runs everything in turns and prints the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = importlib.util.find_spec("torch") is not None
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}; microseconds per estimate")
    for num_samples in CHUNKS:
        runs = {"iwae_jax": library(num_samples), **(peers(num_samples) if found else {})}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for round_index in range(ROUNDS + 1):
            for name, run in runs.items():
                start = time.process_time()
                count = run(round_index)
                times[name].append((time.process_time() - start) / count * 1e6)
        # The first round compiles.
        ours = times["iwae_jax"][1:]
        print(f"K = {num_samples}: iwae_jax {statistics.median(ours):.3g}", end="")
        for name in list(runs)[1:]:
            ratio = statistics.median(t / o for t, o in zip(times[name][1:], ours, strict=True))
            print(f"; {name} {statistics.median(times[name][1:]):.3g} (ratio {ratio:.2f})", end="")
        print(flush=True)
    if not found:
        print("install torch to see the peers: pip install torch", file=sys.stderr)


if __name__ == "__main__":
    main()
