"""Expected bounds by sums and integrals that know nothing of the estimators."""

import itertools
import math

import jax
import jax.numpy as jnp

from iwae_jax import Params, densities, latent_variable_model


def state_log_probs(params, x, model, latents):
    """log p(x, z) and log q(z | x) of every state, ``[S]`` each."""
    q = model.inference.encode(params.inference, x)
    log_q = jax.vmap(lambda z: model.inference.log_prob(params.inference, q, z))(latents)
    log_joint = jax.vmap(lambda z: model.generative.log_joint(params.generative, x, z))(latents)
    return log_joint, log_q


def tuples_of_states(log_q, num_samples):
    """Probabilities ``[S^K]`` under q of all tuples of states, and the tuples ``[S^K, K]``."""
    tuples = jnp.array(list(itertools.product(range(len(log_q)), repeat=num_samples)))
    return jnp.exp(jnp.sum(log_q[tuples], axis=1)), tuples


def enumerated_bound(params, x, *, model, latents, num_samples, bound):
    """Expectation of ``bound([K]) -> []`` over all tuples of finitely many latents."""
    log_joint, log_q = state_log_probs(params, x, model, latents)
    probs, tuples = tuples_of_states(log_q, num_samples)
    return probs @ jax.vmap(bound)((log_joint - log_q)[tuples])


def quadrature_bound(params, x, *, model, bound, half_width=9.0, num_points=400):
    """Expectation of ``bound([2]) -> []`` for a scalar Gaussian latent, by quadrature over z.

    The grid stands still while phi moves, so that nothing is reparameterised.
    """
    q = model.inference.encode(params.inference, x)
    mean, scale = jax.lax.stop_gradient((q[0], jnp.exp(params.inference["tril"][0, 0])))
    z = mean + scale * jnp.linspace(-half_width, half_width, num_points)
    log_q = jax.vmap(lambda z: model.inference.log_prob(params.inference, q, z[None]))(z)
    log_joint = jax.vmap(lambda z: model.generative.log_joint(params.generative, x, z[None]))(z)
    mass, log_w = jnp.exp(log_q) * (z[1] - z[0]), log_joint - log_q
    pairs = jnp.stack(jnp.meshgrid(log_w, log_w, indexing="ij"), axis=-1)
    return mass @ jax.vmap(jax.vmap(bound))(pairs) @ mass


def three_states():
    """A categorical latent of three states, far from its posterior and without symmetry."""

    def log_joint(theta, x, z):
        prior = jax.nn.log_softmax(theta["prior"])
        return z @ prior + densities.gaussian_log_prob(z @ theta["mean"], 0.0, x)

    model = latent_variable_model(
        log_joint=log_joint,
        sample_posterior=lambda key, phi, x: jax.nn.one_hot(jax.random.categorical(key, phi), 3),
        log_posterior=lambda phi, x, z: z @ jax.nn.log_softmax(phi),
        reparameterised=False,
    )
    theta = {"prior": jnp.array([0.5, -0.2, 0.1]), "mean": jnp.array([0.0, 2.0, -1.0])}
    params = Params(theta, jnp.array([0.3, -0.9, 0.6]), jnp.array(-1.7))
    return model, params, jnp.array(1.2), jnp.eye(3)


def scalar_gaussian():
    """r = N(lambda, 1), p(x | z) = N(z, 1), q = N(m, s^2), with numbers measured elsewhere."""
    model = latent_variable_model(
        log_joint=lambda theta, x, z: (
            densities.gaussian_log_prob(theta, 0.0, z) + densities.gaussian_log_prob(z, 0.0, x)
        ),
        sample_posterior=lambda key, phi, x: (
            phi["mean"] + jnp.exp(phi["log_scale"]) * jax.random.normal(key)
        ),
        log_posterior=lambda phi, x, z: densities.gaussian_log_prob(
            phi["mean"], phi["log_scale"], z
        ),
        reparameterised=True,
    )
    generative = model.generative._replace(
        log_likelihood=lambda theta, x, z: densities.gaussian_log_prob(z, 0.0, x),
        prior_to_noise=lambda theta, z: z - theta,
        prior_from_noise=lambda theta, noise: theta + noise,
    )
    phi = {"mean": jnp.array(0.9), "log_scale": jnp.array(math.log(0.8))}
    return model._replace(generative=generative), Params(jnp.array(0.3), phi), jnp.array(1.0)


def with_encoder(model, encode):
    """A formula's model whose encoder returns a distribution, and whose sampler reads it."""
    samplers = {
        densities.BernoulliLatents: densities.bernoulli_sample_and_log_prob,
        densities.CategoricalLatents: densities.categorical_sample_and_log_prob,
        densities.GaussianLatents: densities.gaussian_sample_and_log_prob,
    }
    log_probs = {
        densities.BernoulliLatents: densities.bernoulli_log_prob,
        densities.CategoricalLatents: densities.categorical_log_prob,
        densities.GaussianLatents: densities.gaussian_log_prob,
    }
    inference = model.inference._replace(
        encode=encode,
        sample_and_log_prob=lambda key, phi, q: samplers[type(q)](key, q),
        log_prob=lambda phi, q, z: log_probs[type(q)](*q, z),
    )
    return model._replace(inference=inference)


def _generative(log_joint):
    nothing = lambda *args: None
    return latent_variable_model(
        log_joint=log_joint,
        sample_posterior=nothing,
        log_posterior=nothing,
        reparameterised=False,
    )


def bernoulli_latents(size):
    """Binary latents that act on the datum together, and all their states."""

    def log_joint(theta, x, z):
        mean = theta["mean"][:size] @ z + theta["mean"][2] * jnp.prod(z) ** 2
        return densities.bernoulli_log_prob(theta["prior"][:size], z) + densities.gaussian_log_prob(
            mean, 0.0, x
        )

    model = with_encoder(_generative(log_joint), lambda phi, x: densities.BernoulliLatents(phi * x))
    theta = {"prior": jnp.array([0.3, -0.6]), "mean": jnp.array([1.1, -0.7, 0.9])}
    params = Params(theta, jnp.array([-0.5, 0.4])[:size])
    states = jnp.array(list(itertools.product([0.0, 1.0], repeat=size)))
    return model, params, jnp.array(1.5), states


def categorical_latent(num_states):
    """One categorical latent, whose square acts on the datum, and all its states."""

    def log_joint(theta, x, z):
        prior = jax.nn.log_softmax(theta["prior"][:num_states])
        mean = jnp.sum(z**2 @ theta["mean"][:num_states])
        return jnp.sum(z @ prior) + densities.gaussian_log_prob(mean, 0.0, x)

    model = with_encoder(
        _generative(log_joint), lambda phi, x: densities.CategoricalLatents(x * phi[None])
    )
    theta = {"prior": jnp.array([0.5, -0.2, 0.1]), "mean": jnp.array([0.0, 2.0, -1.0])}
    params = Params(theta, jnp.array([0.3, -0.9, 0.6])[:num_states])
    return model, params, jnp.array(1.2), jnp.eye(num_states)[:, None]


def gaussian_latents(size):
    """Gaussian latents with a cubic mean of the datum: nothing about it is symmetric."""

    def log_joint(theta, x, z):
        mean = theta["slope"] * jnp.sum(z) + 0.2 * jnp.prod(z) + 0.1 * z[0] ** 2
        prior = densities.gaussian_log_prob(theta["prior"], 0.2, z)
        return prior + densities.gaussian_log_prob(mean, 0.0, x)

    model = with_encoder(
        _generative(log_joint),
        lambda phi, x: densities.GaussianLatents(phi["mean"] * x, phi["log_scale"]),
    )
    model = model._replace(inference=model.inference._replace(reparameterised=True))
    phi = {"mean": jnp.array([0.4, -0.7])[:size], "log_scale": jnp.array([-0.3, 0.1])[:size]}
    params = Params({"slope": jnp.array(0.8), "prior": jnp.array(0.3)}, phi)
    return model, params, jnp.array(1.3)
