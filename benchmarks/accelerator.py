"""What one accelerator does with the main job: updates per second, evaluation, peak memory.

Claim: none yet; the numbers go into docs/speed.md with the device's name.

    python -m benchmarks.accelerator --output runs/accelerator.json       (about 8 minutes)

The paper's full schedule is the main experiment itself, and may be stopped and gone on with:

    python -m experiments.train_iwae --dataset mnist --schedule paper --num-samples 5 \\
        --output-dir runs/paper-5 --resume
"""

import argparse
import json
import pathlib
import time
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.training_loop import images, library_run
from iwae_jax import evaluation, models, training

NO_LIMIT = 10**9


def steps_per_second(data, num_samples, batch_size, seconds=3.0):
    """Updates in a second of the warmed training scan."""
    run = library_run(data, num_samples, NO_LIMIT)
    order = jax.random.randint(jax.random.key(2), (200, batch_size), 0, len(data))
    run(order)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run(order)
        count += len(order)
    return count / (time.perf_counter() - start)


def evaluation_seconds(data, chunk_size, num_images=10_000):
    """Seconds for L_5000 of `num_images` images, warmed, extrapolated from a tenth of them."""
    model, params = models.vae(jax.random.key(0), event_shape=(784,))
    piece = jnp.asarray(data[: num_images // 10])
    draw = jax.vmap(training.dynamic_binarisation)
    xs = draw(jax.random.split(jax.random.key(1), len(piece)), piece)
    evaluate = jax.jit(partial(evaluation.log_likelihood, model=model, chunk_size=chunk_size))
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(evaluate(jax.random.key(2), params, xs))
    return 10.0 * (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, help="a file for the numbers, as JSON")
    parser.add_argument("--num-samples", type=int, nargs="+", default=[1, 5, 50])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--chunk-size", type=int, nargs="+", default=[1000, 5000])
    args = parser.parse_args()
    if args.output is not None and args.output.exists():
        parser.error(f"{args.output} exists: choose another file")
    data = jax.device_put(images())
    results = {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    for batch_size in args.batch_size:
        for num_samples in args.num_samples:
            name = f"steps_per_second_k{num_samples}_batch{batch_size}"
            results[name] = steps_per_second(data, num_samples, batch_size)
            print(f"{name}: {results[name]:.1f}", flush=True)
    for chunk_size in args.chunk_size:
        name = f"l5000_seconds_10k_images_chunk{chunk_size}"
        results[name] = evaluation_seconds(data, chunk_size)
        print(f"{name}: {results[name]:.1f}", flush=True)
    if args.output is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
