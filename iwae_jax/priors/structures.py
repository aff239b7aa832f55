"""What a trainable prior is."""

from collections.abc import Callable
from typing import NamedTuple

from iwae_jax.types import Array, OptionalFunction, PyTree


class Prior(NamedTuple):
    """A density r_lambda(z) of the latent, as pure functions of lambda.

    Attributes:
      log_prob: ``(lambda_, z) -> []``, in nats.
      sample: ``(key, lambda_) -> z``.
      to_noise: ``(lambda_, z) -> eps``, or None where no map of noise gives the draws.
      from_noise: ``(lambda_, eps) -> z``, the inverse of `to_noise`.
      gaussian: ``(lambda_) -> GaussianLatents`` or ``FullGaussianLatents``; None of other priors.
    """

    log_prob: Callable[[PyTree, PyTree], Array]
    sample: Callable[..., PyTree]
    to_noise: OptionalFunction = None
    from_noise: OptionalFunction = None
    gaussian: OptionalFunction = None


PriorAndParams = tuple[Prior, PyTree]
