"""What a flow is made of: bijections of one datum, bases, and the density of the two together."""

from collections.abc import Callable
from typing import NamedTuple

from iwae_jax.types import Array, PyTree


def _unchanged(params: PyTree, xs: PyTree, *contexts: PyTree) -> PyTree:
    del xs, contexts
    return params


class Bijection(NamedTuple):
    """An invertible map from a latent z to a datum x, as pure functions of its parameters.

    A conditional bijection takes its context after the value; others ignore it, so that both fit
    into one chain.

    Attributes:
      forward_and_log_det: ``(params, z, *context) -> (x, [])``, with log |det dx/dz|.
      inverse_and_log_det: ``(params, x, *context) -> (z, [])``, with log |det dz/dx|.
      initialise: ``(params, xs, *contexts) -> params``, from a batch of data.
    """

    forward_and_log_det: Callable[..., tuple[PyTree, Array]]
    inverse_and_log_det: Callable[..., tuple[PyTree, Array]]
    initialise: Callable[..., PyTree] = _unchanged


class Transformer(NamedTuple):
    """An increasing map of the line, whose parameters a network gives; the identity at zero.

    Attributes:
      num_params: P, how many numbers describe one map.
      forward_and_log_det: ``(raw, z) -> (x, [])`` of raw ``[P]`` and z ``[]``.
      inverse_and_log_det: ``(raw, x) -> (z, [])``.
    """

    num_params: int
    forward_and_log_det: Callable[[Array, Array], tuple[Array, Array]]
    inverse_and_log_det: Callable[[Array, Array], tuple[Array, Array]]


class Base(NamedTuple):
    """A density of the latent.

    Attributes:
      log_prob: ``(params, z) -> []``, in nats.
      sample: ``(key, params, temperature) -> z``, the noise multiplied by the temperature.
      initialise: ``(params, zs) -> params``, from a batch of latents.
    """

    log_prob: Callable[[PyTree, PyTree], Array]
    sample: Callable[..., PyTree]
    initialise: Callable[..., PyTree] = _unchanged


class Flow(NamedTuple):
    """A density of the data: a base seen through a bijection.

    Attributes:
      log_prob: ``(params, x, *context) -> []``, in nats.
      sample: ``(key, params, *context, temperature=1.0) -> x``.
      sample_and_log_prob: ``(key, params, *context) -> (x, [])``, without an inverse.
      forward_and_log_det: ``(params, z, *context) -> (x, [])``.
      inverse_and_log_det: ``(params, x, *context) -> (z, [])``.
      initialise: ``(params, xs, *contexts) -> params``, the parameters that have a closed form,
        from a batch of data.
    """

    log_prob: Callable[..., Array]
    sample: Callable[..., PyTree]
    sample_and_log_prob: Callable[..., tuple[PyTree, Array]]
    forward_and_log_det: Callable[..., tuple[PyTree, Array]]
    inverse_and_log_det: Callable[..., tuple[PyTree, Array]]
    initialise: Callable[..., PyTree]
