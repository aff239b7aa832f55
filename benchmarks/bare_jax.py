"""The paper's one-layer network trained by one file of plain JAX, which the library must match.

Everything is written for batches by hand: K and the batch are one folded axis, an epoch is one
scan, the Bernoulli term has its own gradient. The only part of the library is the reading of the
data; Adam with eps 1e-4, batch 100, a cosine from 1e-3.

    taskset -c 0 python -m benchmarks.bare_jax --num-samples 1 --passes 60   (MNIST; 3 minutes)
"""

import argparse
import time
from functools import partial

import jax
import jax.numpy as jnp
import optax

LATENT, HIDDEN = 50, 200


def init(key, pixel_mean):
    glorot = jax.nn.initializers.glorot_uniform()
    d = pixel_mean.size
    shapes = {
        "e1": (d, HIDDEN), "e2": (HIDDEN, HIDDEN), "mean": (HIDDEN, LATENT),
        "log_scale": (HIDDEN, LATENT), "d1": (LATENT, HIDDEN), "d2": (HIDDEN, HIDDEN),
        "out": (HIDDEN, d),
    }  # fmt: skip
    params = {
        name: (glorot(k, shape), jnp.zeros(shape[1]))
        for (name, shape), k in zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
    }
    mean = jnp.clip(pixel_mean, 0.001, 0.999)
    params["out"] = (params["out"][0], jnp.log(mean) - jnp.log1p(-mean))
    return params


def linear(params, x):
    return x @ params[0] + params[1]


@jax.custom_vjp
def bernoulli(logits, x):
    return jnp.sum(x * logits - jnp.maximum(logits, 0) - jnp.log1p(jnp.exp(-jnp.abs(logits))), -1)


bernoulli.defvjp(
    lambda logits, x: (bernoulli(logits, x), (logits, x)),
    lambda residuals, g: (g[:, None] * (residuals[1] - jax.nn.sigmoid(residuals[0])), None),
)


def log_weights(params, x, noise):
    """x [B, D], noise [K, B, Z] -> log w [K, B]."""
    num_samples, batch, _ = noise.shape
    hidden = jnp.tanh(linear(params["e2"], jnp.tanh(linear(params["e1"], x))))
    mean, log_scale = linear(params["mean"], hidden), linear(params["log_scale"], hidden)
    z = mean + jnp.exp(log_scale) * noise
    flat = z.reshape(num_samples * batch, -1)
    hidden = jnp.tanh(linear(params["d2"], jnp.tanh(linear(params["d1"], flat))))
    pixels = jnp.broadcast_to(x, (num_samples, *x.shape)).reshape(num_samples * batch, -1)
    log_px = bernoulli(linear(params["out"], hidden), pixels).reshape(num_samples, batch)
    log_ratio = 0.5 * jnp.sum(noise**2 - z**2 + 2.0 * log_scale, -1)
    return log_px + log_ratio


def update(carry, indices, *, key, images, num_samples, optimizer):
    params, optimizer_state, step = carry
    step_key = jax.random.fold_in(key, step)
    binarisation, sampling = jax.random.split(step_key)
    grey = images[indices].astype(jnp.float32)
    x = (jax.random.uniform(binarisation, grey.shape) * 255.0 < grey).astype(jnp.float32)
    noise = jax.random.normal(sampling, (num_samples, len(indices), LATENT))

    def loss(params):
        log_w = log_weights(params, x, noise)
        return -jnp.mean(jax.nn.logsumexp(log_w, axis=0) - jnp.log(num_samples))

    value, gradient = jax.value_and_grad(loss)(params)
    updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
    return (optax.apply_updates(params, updates), optimizer_state, step + 1), -value


@partial(jax.jit, static_argnames=("num_samples", "optimizer"), donate_argnums=0)
def scan(carry, key, images, order, *, num_samples, optimizer):
    body = partial(update, key=key, images=images, num_samples=num_samples, optimizer=optimizer)
    return jax.lax.scan(body, carry, order)


def log_likelihood(params, key, x, *, num_samples=5000, chunk=500):
    """L_K of each row of x, a chunk of samples at a time."""
    draw = lambda k: jax.random.normal(k, (chunk, len(x), LATENT))
    parts = jax.lax.map(
        lambda k: jax.nn.logsumexp(log_weights(params, x, draw(k)), axis=0),
        jax.random.split(key, num_samples // chunk),
    )
    return jax.nn.logsumexp(parts, axis=0) - jnp.log(num_samples)


def main():
    from iwae_jax import data

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-samples", type=int, default=1, help="K")
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=100)
    args = parser.parse_args()
    images = data.load("mnist", "train").images.reshape(-1, 784)
    test = data.load("mnist", "test").images.reshape(-1, 784)[::10] / 255.0
    steps = len(images) // args.batch_size
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, args.passes * steps), eps=1e-4)
    params = init(jax.random.key(0), jnp.asarray(images.mean(0) / 255.0))
    carry, images = (params, optimizer.init(params), 0), jax.device_put(images)
    start = time.process_time()
    for epoch in range(args.passes):
        order = jax.random.permutation(jax.random.key(epoch), len(images))
        order = order[: steps * args.batch_size].reshape(steps, args.batch_size)
        carry, bounds = scan(
            carry, jax.random.key(1), images, order,
            num_samples=args.num_samples, optimizer=optimizer,
        )  # fmt: skip
        print(f"pass {epoch + 1}: bound {bounds.mean():.2f}", flush=True)
    print(f"training: {time.process_time() - start:.0f} s of CPU time")
    x = jax.random.bernoulli(jax.random.key(2), test).astype(jnp.float32)
    evaluate = jax.jit(log_likelihood)
    batches = x.reshape(-1, 10, 784)
    values = jnp.concatenate(
        [evaluate(carry[0], jax.random.key(i), batch) for i, batch in enumerate(batches)]
    )
    error = values.std(ddof=1) / len(values) ** 0.5
    print(f"NLL of every tenth test image: {-values.mean():.2f} +- {error:.2f}")


if __name__ == "__main__":
    main()
