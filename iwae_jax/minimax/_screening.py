"""The choices of a large game that matter, which shows long before how often each is played."""

import math

import numpy as np
import numpy.typing as npt

from iwae_jax.minimax._products import products

# In a game of random payoffs about half of the choices are played.
_SHARE = 0.6

Choices = npt.NDArray[np.intp]


def _nearest(strategy: npt.NDArray, regret: npt.NDArray) -> Choices:
    """A share of the choices, in order: those that are played, then those nearest to it."""
    kept = math.ceil(_SHARE * strategy.size)
    if np.count_nonzero(strategy) > kept:
        return np.arange(strategy.size)
    return np.sort(np.argpartition(np.where(strategy > 0, -1.0, regret), kept - 1)[:kept])


def within_reach(M: npt.NDArray, p: npt.NDArray, q: npt.NDArray) -> tuple[Choices, Choices]:
    """The rows and columns that are played, or would be soonest, near a saddle point.

    One that is left out may be the best answer to what is found without it: that has to be proven
    with it.
    """
    won, paid = products(p, M, q)
    return _nearest(p, paid - paid.min()), _nearest(q, won.max() - won)


def spread(probabilities: npt.NDArray, choices: Choices, size: int) -> npt.NDArray[np.float64]:
    """A strategy over all choices, of one over those that were kept."""
    whole = np.zeros(size)
    whole[choices] = probabilities
    return whole
