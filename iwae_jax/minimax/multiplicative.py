"""Methods in the geometry of probabilities: a step multiplies each by the exponential of a gain."""

import jax
import jax.numpy as jnp

from iwae_jax.minimax import _steps
from iwae_jax.minimax.method import Info, Method, Schedule, State, start
from iwae_jax.minimax.problem import Loss, Saddle, field
from iwae_jax.minimax.sets import simplex
from iwae_jax.types import Array, PyTree


def _entropic_move(point: Saddle, slope: Saddle, size: Array) -> Saddle:
    """The argmin over the simplices of ``<slope, z> + KL(z, point) / size``."""
    # A probability that has underflowed stays zero: its logarithm is -inf, and never nan.
    logits = lambda x, g: jnp.log(x) - size.astype(x.dtype) * g
    return jax.tree.map(lambda x, g: jax.nn.softmax(logits(x, g), -1), point, slope)


def _inside(method: Method) -> Method:
    def init(theta: PyTree, phi: PyTree) -> State:
        point = start(theta, phi, simplex().project)
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(point)):
            lowest = min(float(jnp.min(leaf)) for leaf in jax.tree.leaves(point))
            if lowest <= 0.0:
                raise ValueError(
                    "a start of multiplicative weights must have no probability at zero, as it "
                    "would stay there."
                )
        return method.init(theta, phi)

    return method._replace(init=init)


def multiplicative_weights(loss: Loss, *, step_size: Schedule) -> Method:
    r"""Multiplicative weights, both players at once.

    .. math:: z_{t+1} \propto z_t \exp(-\eta F(z_t))

    On a game with an equilibrium inside the simplices its last point moves to the boundary; its
    average converges.

    Args:
      loss: ``(theta, phi) -> []``; each row of each leaf is a point of a simplex.
      step_size: eta, or a schedule ``iteration -> []``.

    Returns:
      The method; ``init`` also refuses a concrete start with a probability of zero.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> method = minimax.multiplicative_weights(lambda p, q: p[0] * q[0], step_size=jnp.log(4.0))
      >>> half = jnp.array([0.5, 0.5])
      >>> method.step(method.init(half, half))[0].point.theta.round(4)
      Array([0.3333, 0.6667], dtype=float32)

    References:
      Freund and Schapire (1999), Adaptive Game Playing Using Multiplicative Weights. The last
      point: Bailey and Piliouras (2018), Multiplicative Weights Update in Zero-Sum Games.
    """

    def step(state: State) -> tuple[State, Info]:
        size = _steps.size_at(step_size, state.iteration, state.point)
        slope = field(*state.point, loss=loss)
        point = _entropic_move(state.point, slope, size)
        return State(state.iteration + 1, point, ()), Info(state.point, slope, size)

    return _inside(_steps.method_of(step, simplex().project))


def optimistic_multiplicative_weights(loss: Loss, *, step_size: Schedule) -> Method:
    r"""Optimistic multiplicative weights.

    .. math:: w_t \propto z_t \exp(-\eta F(w_{t-1})), \quad z_{t+1} \propto z_t \exp(-\eta F(w_t))

    Its last point converges linearly, with a constant step, where the equilibrium is unique.

    Args:
      loss: ``(theta, phi) -> []``; each row of each leaf is a point of a simplex.
      step_size: eta, or a schedule ``iteration -> []``.

    Returns:
      The method; ``init`` also refuses a concrete start with a probability of zero.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> loss = lambda p, q: p[0] * q[0]
      >>> method = minimax.optimistic_multiplicative_weights(loss, step_size=1.0)
      >>> half = jnp.array([0.5, 0.5])
      >>> bool(method.step(method.init(half, half))[0].point.theta[0] < 0.5)
      True

    References:
      Daskalakis and Panageas (2019), Last-Iterate Convergence: Zero-Sum Games and Constrained
      Min-Max Optimization, arXiv:1807.04252. The linear rate: Wei, Lee, Zhang and Luo (2021),
      arXiv:2006.09517.
    """
    method = _steps.optimistic_by(_entropic_move, loss, step_size, simplex().project)
    return _inside(method)


def mirror_prox(loss: Loss, *, step_size: Schedule) -> Method:
    r"""Mirror-prox with the entropy: the extragradient method in the geometry of probabilities.

    .. math:: w_t \propto z_t \exp(-\eta F(z_t)), \quad z_{t+1} \propto z_t \exp(-\eta F(w_t))

    The average of the w_t has a gap of order log(n) / T, with eta below one over the largest
    absolute entry of the matrix.

    Args:
      loss: ``(theta, phi) -> []``; each row of each leaf is a point of a simplex.
      step_size: eta, or a schedule ``iteration -> []``.

    Returns:
      The method; ``init`` also refuses a concrete start with a probability of zero.

    Example:
      >>> import jax.numpy as jnp
      >>> from iwae_jax import minimax
      >>> method = minimax.mirror_prox(lambda p, q: p[0] * q[0], step_size=1.0)
      >>> half = jnp.array([0.5, 0.5])
      >>> bool(method.step(method.init(half, half))[0].point.theta[0] < 0.5)
      True

    References:
      Nemirovski (2004), Prox-Method with Rate of Convergence O(1/t) for Variational Inequalities
      with Lipschitz Continuous Monotone Operators and Smooth Convex-Concave Saddle Point Problems.
    """
    method = _steps.extragradient_by(_entropic_move, loss, step_size, simplex().project)
    return _inside(method)
