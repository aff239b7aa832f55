"""The evidence lower bound with the divergence of q from the prior in closed form."""

import jax.numpy as jnp

from iwae_jax import bounds, densities, weights
from iwae_jax.densities import FullGaussianLatents, GaussianLatents
from iwae_jax.estimators._latents import encoded
from iwae_jax.estimators._surrogate import require_reparameterised, take_samples
from iwae_jax.types import Array, Key, LatentVariableModel, OverSamples, Params, PyTree


def analytic_kl(
    key: Key,
    params: Params,
    x: PyTree,
    *,
    model: LatentVariableModel,
    num_samples: int,
    over_samples: OverSamples = weights.at_once,
) -> tuple[Array, Array]:
    r"""The evidence lower bound of a Gaussian q and prior, whose divergence needs no samples.

    .. math:: \frac1K \sum_k \log p_\theta(x \mid z_k)
       - \mathrm{KL}[q_\phi(z \mid x) \,\|\, r_\lambda(z)]

    There is no such form of the bound of K > 1 weights: K samples only average.

    * Value: unbiased for the ELBO.
    * theta: unbiased for the gradient of the ELBO; that of the prior's lambda has no variance.
    * phi: unbiased for the gradient of the ELBO.

    Cost: the encoder once, one forward and one backward pass of K samples.

    Args:
      key: the example's key, ``[]``.
      params: theta and phi.
      x: one datum.
      model: a reparameterised model with ``log_likelihood``, ``log_prior`` and
        ``gaussian_prior``, whose encoder returns ``GaussianLatents`` or ``FullGaussianLatents``.
      num_samples: K.
      over_samples: how the samples are taken.

    Returns:
      The bound, ``[]``, and the log-weights, ``[K]``, in nats.

    Raises:
      ValueError: the model's samples are not reparameterised, it lacks one of those functions, its
        q is no Gaussian or of another dimension than the prior, or `num_samples` is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import estimators, models, priors
      >>> model, params = models.compose(
      ...     prior=priors.diagonal_gaussian(jnp.zeros(2), jnp.ones(2)),
      ...     likelihood=models.bernoulli_likelihood(
      ...         jax.random.key(0), latent_size=2, event_shape=(3,)),
      ...     posterior=models.gaussian_posterior(
      ...         jax.random.key(1), event_shape=(3,), latent_size=2),
      ... )
      >>> def objective(params):
      ...     return estimators.analytic_kl(
      ...         jax.random.key(2), params, jnp.ones(3), model=model, num_samples=5
      ...     )[0]
      >>> direction = jax.grad(objective)(params)

    References:
      Kingma and Welling (2014), Auto-Encoding Variational Bayes, eq. 7, arXiv:1312.6114.
    """
    require_reparameterised(model, "analytic_kl")
    for name in ("log_likelihood", "log_prior", "gaussian_prior"):
        if getattr(model.generative, name) is None:
            raise ValueError(
                f"analytic_kl needs model.generative.{name}, which this model has not: "
                "pathwise takes any prior."
            )
    q = encoded(params, x, model, (GaussianLatents, FullGaussianLatents), "analytic_kl")
    kl = densities.gaussian_kl(q, model.generative.gaussian_prior(params.generative))
    log_likelihoods, log_weights = take_samples(
        _terms, key, params, x, model, num_samples, over_samples
    )
    average = bounds.elbo(log_likelihoods)
    # A bound of -inf is flat.
    return average - jnp.where(jnp.isneginf(average), 0.0, kl), log_weights


def _terms(
    key: Key, params: Params, x: PyTree, q: PyTree, *, model: LatentVariableModel
) -> tuple[Array, Array]:
    z, log_q = model.inference.sample_and_log_prob(key, params.inference, q)
    log_likelihood = model.generative.log_likelihood(params.generative, x, z)
    log_prior = model.generative.log_prior(params.generative, z)
    return log_likelihood, log_likelihood + log_prior - log_q
