"""How fast the flow of `experiments.flow_anomaly` scores images, and how long first calls take.

Claim: 20,000 images of 28 x 28 a second on two cores, of the default size of its network.

    python -m benchmarks.flow_scoring       (1 minute on an idle machine)
"""

import statistics
import time

import jax
import numpy as np

from experiments import flow_anomaly, flow_models

NUM_IMAGES = 20_000
ROUNDS = 9


def seconds(function, *args):
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


def main():
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 28, 28), dtype=np.uint8)
    options = flow_anomaly.Options(dataset="mnist")
    density = flow_anomaly.build(options, images.shape[1:], 0)
    recipe = flow_models.RECIPES[options.architecture]
    first = seconds(flow_models.log_probs, density, images[: flow_models.SCORED_AT_ONCE])
    rates = [NUM_IMAGES / seconds(flow_models.log_probs, density, images) for _ in range(ROUNDS)]
    print(f"first scores after {first:.1f} s, compilation included")
    print(f"{statistics.median(rates):.0f} images/s ({min(rates):.0f} to {max(rates):.0f})")

    def trained():
        return flow_models.train(
            jax.random.key(0), density, images[: 50 * recipe.batch_size], epochs=1,
            learning_rate=recipe.learning_rate, batch_size=recipe.batch_size,
            steps_per_scan=recipe.steps_per_scan, validation_images=images[:1000],
            checkpoint_dir=None, on_progress=lambda progress: None,
        ).params  # fmt: skip

    first, again = seconds(trained), seconds(trained)
    print(f"first 50 updates after {first:.1f} s, {first - again:.1f} s of them compilation")


if __name__ == "__main__":
    main()
