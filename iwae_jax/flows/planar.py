"""Planar flows: one ridge, whose inverse is a root of an increasing function of one number."""

import math
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from iwae_jax.flows.chains import Layer
from iwae_jax.flows.structures import Bijection
from iwae_jax.types import Array, Key, PyTree

_HALVINGS = 40


def planar(key: Key, event_shape: Sequence[int], *, scale: float = 0.1) -> Layer:
    r"""Moves a point along one direction by how far it is along another.

    .. math:: x = z + \hat u \tanh(w^\top z + b), \quad w^\top \hat u > -1

    The constraint, which makes it invertible, is kept by moving u along w. The inverse is found
    by bisection and one step of Newton's method, through which gradients flow.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of the event, read as a vector.
      scale: standard deviation of the initial weights.

    Returns:
      The bijection and its parameters.

    Raises:
      ValueError: `scale` is not positive.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.planar(jax.random.key(0), (3,))
      >>> x, _ = layer.forward_and_log_det(params, jnp.arange(3.0))
      >>> z, _ = layer.inverse_and_log_det(params, x)
      >>> z.round(3).tolist()
      [0.0, 1.0, 2.0]

    References:
      Rezende and Mohamed (2015), Variational Inference with Normalizing Flows, arXiv:1505.05770.
    """
    if scale <= 0.0:
        raise ValueError(f"scale must be positive; got {scale}.")
    shape, size = tuple(event_shape), math.prod(event_shape)
    w_key, u_key = jax.random.split(key)
    params = {
        "w": scale * jax.random.normal(w_key, (size,)),
        "u": scale * jax.random.normal(u_key, (size,)),
        "b": jnp.zeros(()),
    }

    def direction(params: PyTree) -> tuple[Array, Array]:
        """u hat, and its product with w."""
        w, u = params["w"], params["u"]
        product = w @ u
        # 1e-12 keeps a zero w from dividing by zero; then nothing moves.
        allowed = jax.nn.softplus(product) - 1.0
        u = u + (allowed - product) * w / (w @ w + 1e-12)
        return u, w @ u

    def forward_and_log_det(params: PyTree, z: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        u, product = direction(params)
        bend = jnp.tanh(params["w"] @ z.reshape(-1) + params["b"])
        x = z + (u * bend).reshape(shape)
        return x, jnp.log1p(product * (1.0 - bend**2))

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        u, product = direction(params)
        target = params["w"] @ x.reshape(-1) + params["b"]
        # a + product tanh(a) = target, for a = w'z + b.
        excess = lambda a: a + product * jnp.tanh(a) - target

        def halve(bracket: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            low, high = bracket
            middle = 0.5 * (low + high)
            above = excess(middle) > 0.0
            return (jnp.where(above, low, middle), jnp.where(above, middle, high)), None

        bracket = (target - jnp.abs(product) - 1e-3, target + jnp.abs(product) + 1e-3)
        (low, high), _ = jax.lax.scan(halve, bracket, length=_HALVINGS)
        a = jax.lax.stop_gradient(0.5 * (low + high))
        slope = 1.0 + product * (1.0 - jnp.tanh(a) ** 2)
        a = a - excess(a) / slope
        bend = jnp.tanh(a)
        z = x - (u * bend).reshape(shape)
        return z, -jnp.log1p(product * (1.0 - bend**2))

    return Bijection(forward_and_log_det, inverse_and_log_det), params
