"""The library's training scan against `bare_jax.py`, interleaved: ratios of CPU time per update.

Claim: at most 1.05 at every K. Both run warmed, on the same images and batch, with no validation
or checkpoint inside.

    taskset -c 0 python -m benchmarks.training_loop          (one core, about 4 minutes)
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import bare_jax
from iwae_jax import estimators, models, training


def images(num_images=6000):
    """Random grey images: the time of an update does not depend on what is in them."""
    return np.random.default_rng(0).integers(0, 256, (num_images, 784), dtype=np.uint8)


def library_run(data, num_samples, max_pairs):
    optimizer = optax.adam(1e-3, eps=1e-4)
    model, params = models.vae(jax.random.key(0), event_shape=(784,))
    state = training.init(params, optimizer=optimizer)
    scan = jax.jit(
        training.epoch,
        static_argnames=("model", "estimator", "num_samples", "optimizer", "max_pairs"),
        donate_argnums=1,
    )

    def run(order):
        nonlocal state
        state, info = scan(
            jax.random.key(1), state, data, order, model=model, estimator=estimators.pathwise,
            num_samples=num_samples, optimizer=optimizer, max_pairs=max_pairs,
        )  # fmt: skip
        return info.bound.block_until_ready()

    return run


def bare_run(data, num_samples):
    optimizer = optax.adam(1e-3, eps=1e-4)
    params = bare_jax.init(jax.random.key(0), jnp.full(784, 0.5, jnp.float32))
    carry = (params, optimizer.init(params), 0)

    def run(order):
        nonlocal carry
        carry, bounds = bare_jax.scan(
            carry, jax.random.key(1), data, order, num_samples=num_samples, optimizer=optimizer
        )
        return bounds.block_until_ready()

    return run


def cpu_seconds(run, order):
    start = time.process_time()
    run(order)
    return time.process_time() - start


def compare(num_samples, batch_size, num_steps, rounds, max_pairs):
    data = jax.device_put(images())
    runs = {
        "library": library_run(data, num_samples, max_pairs),
        "bare": bare_run(data, num_samples),
    }
    order = jax.random.randint(jax.random.key(2), (num_steps, batch_size), 0, len(data))
    times = {name: [] for name in runs}
    for run in (*runs.values(), *runs.values()):
        run(order)
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(1e3 * cpu_seconds(run, order) / num_steps)
    ratio = statistics.median(a / b for a, b in zip(times["library"], times["bare"], strict=True))
    return {name: statistics.median(values) for name, values in times.items()}, ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-samples", type=int, nargs="+", default=[1, 5, 50])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--max-pairs", type=int, default=10**9, help="split above; default: never")
    args = parser.parse_args()
    print("   K  batch  library ms  bare ms  ratio")
    for batch_size in args.batch_size:
        for num_samples in args.num_samples:
            num_steps = max(8, 12000 // (batch_size * (num_samples + 2)))
            times, ratio = compare(num_samples, batch_size, num_steps, args.rounds, args.max_pairs)
            print(
                f"{num_samples:4d}  {batch_size:5d}  {times['library']:10.3f}  "
                f"{times['bare']:7.3f}  {ratio:5.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
