"""Bijections from bijections: one after another, many alike as a scan, turned round, on a part."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from iwae_jax.flows.structures import Bijection
from iwae_jax.types import Array, Key, PyTree

Layer = tuple[Bijection, PyTree]


def chain(layers: Sequence[Layer]) -> Layer:
    r"""One bijection after another.

    .. math:: x = f_L \circ \dots \circ f_1(z)

    Args:
      layers: pairs of a bijection and its parameters, from the latent to the data.

    Returns:
      The bijection, and the list of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.chain([flows.permutation([1, 0]), flows.scaling((2,))])
      >>> layer.forward_and_log_det(params, jnp.array([1.0, 2.0]))[0].tolist()
      [2.0, 1.0]

    References:
      Papamakarios et al. (2021), Normalizing Flows for Probabilistic Modeling and Inference,
      arXiv:1912.02762.
    """
    bijections = [bijection for bijection, _ in layers]

    def forward_and_log_det(params: PyTree, z: PyTree, *context: PyTree) -> tuple[PyTree, Array]:
        total = None
        for bijection, own in zip(bijections, params, strict=True):
            z, log_det = bijection.forward_and_log_det(own, z, *context)
            total = log_det if total is None else total + log_det
        return z, _zero(z) if total is None else total

    def inverse_and_log_det(params: PyTree, x: PyTree, *context: PyTree) -> tuple[PyTree, Array]:
        total = None
        for bijection, own in zip(reversed(bijections), reversed(params), strict=True):
            x, log_det = bijection.inverse_and_log_det(own, x, *context)
            total = log_det if total is None else total + log_det
        return x, _zero(x) if total is None else total

    def initialise(params: PyTree, xs: PyTree, *contexts: PyTree) -> PyTree:
        fitted: list[PyTree] = []
        for bijection, own in zip(reversed(bijections), reversed(params), strict=True):
            own = bijection.initialise(own, xs, *contexts)
            xs = _pull_back(bijection, own, xs, *contexts)
            fitted.insert(0, own)
        return fitted

    bijection = Bijection(forward_and_log_det, inverse_and_log_det, initialise)
    return bijection, [params for _, params in layers]


def repeat(key: Key, build: Callable[[Key], Layer], *, num_layers: int) -> Layer:
    """The same kind of bijection many times over, as one scan: it compiles once.

    Args:
      key: key of the initial weights, ``[]``; each layer has its own under it.
      build: ``key -> (bijection, params)``.
      num_layers: how many.

    Returns:
      The bijection, and the parameters stacked along a new first axis, from the latent to the
      data.

    Raises:
      ValueError: `num_layers` is not positive.

    Example:
      >>> import jax
      >>> from iwae_jax import flows
      >>> build = lambda key: flows.coupling(key, flows.halves((4,)))
      >>> _, params = flows.repeat(jax.random.key(0), build, num_layers=3)
      >>> params["last"]["bias"].shape
      (3, 4)

    References:
      Bradbury et al. (2018), JAX: composable transformations of Python+NumPy programs.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1; got {num_layers}.")
    bijection, _ = build(key)
    built = [build(own)[1] for own in jax.random.split(key, num_layers)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *built)

    def run(direction: Callable, params: PyTree, x: PyTree, *context: PyTree, reverse):
        def body(carry: tuple[PyTree, Array], own: PyTree) -> tuple[tuple[PyTree, Array], None]:
            x, total = carry
            x, log_det = direction(own, x, *context)
            return (x, total + log_det), None

        # A scan's carry keeps its dtype, where single data may meet double parameters.
        dtype = jnp.result_type(*jax.tree.leaves((x, params)))
        x = jax.tree.map(lambda leaf: leaf.astype(dtype), x)
        start = (x, jnp.zeros((), dtype))
        (x, total), _ = jax.lax.scan(body, start, params, reverse=reverse)
        return x, total

    def initialise(params: PyTree, xs: PyTree, *contexts: PyTree) -> PyTree:
        fitted: list[PyTree] = []
        for index in reversed(range(num_layers)):
            own = jax.tree.map(lambda leaf, index=index: leaf[index], params)
            own = bijection.initialise(own, xs, *contexts)
            xs = _pull_back(bijection, own, xs, *contexts)
            fitted.insert(0, own)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *fitted)

    scanned = Bijection(
        partial(run, bijection.forward_and_log_det, reverse=False),
        partial(run, bijection.inverse_and_log_det, reverse=True),
        initialise,
    )
    return scanned, stacked


def invert(bijection: Bijection) -> Bijection:
    """The same bijection with its two directions exchanged.

    Args:
      bijection: any bijection; its data-dependent initialisation is lost.

    Returns:
      The bijection turned round, of the same parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import flows
      >>> layer, params = flows.permutation([1, 2, 0])
      >>> flows.invert(layer).forward_and_log_det(params, jnp.array([10.0, 20.0, 30.0]))[0].tolist()
      [30.0, 10.0, 20.0]

    References:
      Papamakarios et al. (2021), Normalizing Flows for Probabilistic Modeling and Inference,
      arXiv:1912.02762.
    """
    return Bijection(bijection.inverse_and_log_det, bijection.forward_and_log_det)


def _zero(x: PyTree) -> Array:
    return jnp.zeros((), jax.tree.leaves(x)[0].dtype)


def _pull_back(bijection: Bijection, params: PyTree, xs: PyTree, *contexts: PyTree) -> PyTree:
    inverse = lambda x, *context: bijection.inverse_and_log_det(params, x, *context)[0]
    return jax.vmap(inverse)(xs, *contexts)
