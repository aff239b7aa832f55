"""The choices of a large game that matter, which shows long before how often each is played."""

import math

import numpy as np
import numpy.typing as npt

# In a game of random payoffs about half of the choices are played.
_SHARE = 0.6

Choices = npt.NDArray[np.intp]


def within_reach(strategy: npt.NDArray, regret: npt.NDArray) -> tuple[Choices, float]:
    """The choices, in order, that are played or would be soonest, near a saddle point.

    Args:
      strategy: ``[n]``, probabilities.
      regret: ``[n]``, what each choice loses to the best one.

    Returns:
      A share of the choices, or all where more are played, and the least regret of the others. One
      of them may be the best answer to what is found without it: that has to be proven with it.
    """
    kept = math.ceil(_SHARE * strategy.size)
    if np.count_nonzero(strategy) > kept or kept == strategy.size:
        return np.arange(strategy.size), np.inf
    reach = np.where(strategy > 0, -np.inf, regret)
    order = np.argpartition(reach, kept)
    return np.sort(order[:kept]), float(reach[order[kept]])


def spread(probabilities: npt.ArrayLike, choices: Choices, size: int) -> npt.NDArray[np.float64]:
    """A strategy over all choices, of one over those that were kept."""
    whole = np.zeros(size)
    whole[choices] = probabilities
    return whole
