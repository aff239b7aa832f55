"""Coupling and autoregressive layers: some values give the maps of others."""

import math
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from iwae_jax.flows import conditioners, transformers
from iwae_jax.flows.chains import invert
from iwae_jax.flows.structures import Bijection, Transformer
from iwae_jax.types import Array, Key, PyTree


def _with_context(x: Array, context: tuple[PyTree, ...], context_size: int) -> Array:
    if not context_size:
        return x
    flat = [jnp.ravel(leaf).astype(x.dtype) for leaf in jax.tree.leaves(context)]
    found = sum(leaf.size for leaf in flat)
    if found != context_size:
        raise ValueError(f"a context of {context_size} numbers is needed; got {found}.")
    return jnp.concatenate([x, *flat])


def coupling(
    key: Key,
    mask: np.ndarray,
    *,
    transformer: Transformer = transformers.affine(),  # noqa: B008
    network: conditioners.Network = conditioners.mlp(),  # noqa: B008
    context_size: int = 0,
) -> tuple[Bijection, PyTree]:
    r"""Keeps some values and maps the others, each by a map that the kept ones choose.

    .. math:: x_A = z_A, \quad x_B = T(z_B;\, f(z_A))

    With `additive` this is the coupling of NICE, with `affine` that of RealNVP, with
    `rational_quadratic` that of neural spline flows. It starts as the identity.

    Args:
      key: key of the initial weights, ``[]``.
      mask: ``event_shape``, bool: True for A, what is kept; False for B, what is mapped.
      transformer: T.
      network: builder of f.
      context_size: numbers in the context, which f reads too; 0 ignores any context.

    Returns:
      The bijection and its parameters.

    Raises:
      ValueError: the mask keeps all or nothing, or a context of another size is given.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.coupling(jax.random.key(0), flows.halves((4,)))
      >>> x, log_det = layer.forward_and_log_det(params, jnp.arange(4.0))
      >>> x.tolist(), float(log_det)
      ([0.0, 1.0, 2.0, 3.0], 0.0)

    References:
      Dinh, Krueger and Bengio (2015), arXiv:1410.8516; Dinh, Sohl-Dickstein and Bengio (2017),
      arXiv:1605.08803; Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032.
    """
    mask = np.asarray(mask, bool)
    kept, moved = (np.flatnonzero(chosen).astype(np.int32) for chosen in (mask, ~mask))
    if not len(kept) or not len(moved):
        raise ValueError("a coupling's mask must keep something and leave something to map.")
    back = np.argsort(np.concatenate([kept, moved])).astype(np.int32)
    num_params = transformer.num_params
    apply, params = network(key, len(kept) + context_size, num_params * len(moved))

    def mapped(function: Callable) -> Callable[..., tuple[Array, Array]]:
        def bijection(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
            chex.assert_shape(x, mask.shape)
            flat = x.reshape(-1)
            given, rest = flat[kept], flat[moved]
            raw = apply(params, _with_context(given, context, context_size))
            rest, log_dets = jax.vmap(function, (1, 0))(raw.reshape(num_params, -1), rest)
            return jnp.concatenate([given, rest])[back].reshape(mask.shape), jnp.sum(log_dets)

        return bijection

    forward = mapped(transformer.forward_and_log_det)
    return Bijection(forward, mapped(transformer.inverse_and_log_det)), params


def masked_autoregressive(
    key: Key,
    event_shape: Sequence[int],
    *,
    transformer: Transformer = transformers.affine(),  # noqa: B008
    hidden_sizes: Sequence[int] = (256, 256),
    activation: conditioners.Activation = jax.nn.relu,
    context_size: int = 0,
) -> tuple[Bijection, PyTree]:
    r"""Maps each value by a map that the data before it choose: a fast density, a slow sampler.

    .. math:: x_i = T(z_i;\, f_i(x_1, \dots, x_{i-1}))

    The inverse is one pass of the network; the forward direction takes one for each value.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of the event, read as a vector of length D.
      transformer: T.
      hidden_sizes: widths of the masked network's hidden layers, one or more.
      activation: what follows every layer of the network but the last.
      context_size: numbers in the context, which f reads too; 0 ignores any context.

    Returns:
      The bijection and its parameters; it starts as the identity.

    Raises:
      ValueError: a size is not positive, or a context of another size is given.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.masked_autoregressive(jax.random.key(0), (3,), hidden_sizes=(8,))
      >>> z, log_det = layer.inverse_and_log_det(params, jnp.arange(3.0))
      >>> z.tolist()
      [0.0, 1.0, 2.0]

    References:
      Papamakarios, Pavlakou and Murray (2017), Masked Autoregressive Flow for Density Estimation,
      arXiv:1705.07057.
    """
    shape = tuple(event_shape)
    size = math.prod(shape)
    if size < 1:
        raise ValueError(f"the event must have at least one entry; got {shape}.")
    apply, params = conditioners.autoregressive_network(
        key, size, transformer.num_params, context_size,
        hidden_sizes=hidden_sizes, activation=activation,
    )  # fmt: skip
    forward = jax.vmap(transformer.forward_and_log_det, (1, 0))
    inverse = jax.vmap(transformer.inverse_and_log_det, (1, 0))

    def inverse_and_log_det(params: PyTree, x: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(x, shape)
        flat = x.reshape(-1)
        z, log_dets = inverse(apply(params, _with_context(flat, context, context_size)), flat)
        return z.reshape(shape), jnp.sum(log_dets)

    def forward_and_log_det(params: PyTree, z: Array, *context: PyTree) -> tuple[Array, Array]:
        chex.assert_shape(z, shape)
        flat = z.reshape(-1)

        # Pass i makes x_i right, and the last one has read all that it needs.
        def improve(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            raw = apply(params, _with_context(carry[0], context, context_size))
            return forward(raw, flat), None

        start = (jnp.zeros_like(flat), jnp.zeros_like(flat))
        (x, log_dets), _ = jax.lax.scan(improve, start, length=size)
        return x.reshape(shape), jnp.sum(log_dets)

    return Bijection(forward_and_log_det, inverse_and_log_det), params


def inverse_autoregressive(
    key: Key,
    event_shape: Sequence[int],
    *,
    transformer: Transformer = transformers.affine(),  # noqa: B008
    hidden_sizes: Sequence[int] = (256, 256),
    activation: conditioners.Activation = jax.nn.relu,
    context_size: int = 0,
) -> tuple[Bijection, PyTree]:
    r"""Maps each value by a map that the latents before it choose: a fast sampler, a slow density.

    .. math:: z_i = T(x_i;\, f_i(z_1, \dots, z_{i-1}))

    The forward direction is one pass of the network; the inverse takes one for each value.

    Args:
      key: key of the initial weights, ``[]``.
      event_shape: shape of the event, read as a vector of length D.
      transformer: T.
      hidden_sizes: widths of the masked network's hidden layers, one or more.
      activation: what follows every layer of the network but the last.
      context_size: numbers in the context, which f reads too; 0 ignores any context.

    Returns:
      The bijection and its parameters; it starts as the identity.

    Raises:
      ValueError: a size is not positive, or a context of another size is given.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.inverse_autoregressive(jax.random.key(0), (3,), hidden_sizes=(8,))
      >>> x, log_det = layer.forward_and_log_det(params, jnp.arange(3.0))
      >>> x.tolist()
      [0.0, 1.0, 2.0]

    References:
      Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improving Variational
      Inference with Inverse Autoregressive Flow, arXiv:1606.04934.
    """
    bijection, params = masked_autoregressive(
        key, event_shape, transformer=transformer, hidden_sizes=hidden_sizes,
        activation=activation, context_size=context_size,
    )  # fmt: skip
    return invert(bijection), params
