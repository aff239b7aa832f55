"""Saddle points: sets, projected-gradient methods, matrix games, and their certificates."""

from iwae_jax.minimax.analysis import (
    NOT_UNIQUE,
    UNDECIDED,
    UNIQUE,
    Equilibria,
    Exploitability,
    Uniqueness,
    all_equilibria,
    best_columns,
    best_rows,
    exploitability,
    uniqueness,
)
from iwae_jax.minimax.anchored import (
    anchored_extragradient,
    dual_fast_extragradient,
    fast_extragradient,
    varying_anchored_extragradient,
)
from iwae_jax.minimax.averages import Averaged, averaged
from iwae_jax.minimax.balls import halfspace, l1_ball, l2_ball, linf_ball
from iwae_jax.minimax.certificates import MatrixGameSolution, certify, payoffs, strategy
from iwae_jax.minimax.descent_ascent import (
    alternating_descent_ascent,
    simultaneous_descent_ascent,
    with_optimizer,
)
from iwae_jax.minimax.extrapolation import (
    adaptive_extragradient,
    extragradient,
    optimistic,
    stochastic_extragradient,
)
from iwae_jax.minimax.fixed_point import dual_halpern, halpern, krasnoselskii_mann, primal_dual
from iwae_jax.minimax.interior_point import Interior, interior_step, start_interior
from iwae_jax.minimax.loops import Solution, solve, trajectory
from iwae_jax.minimax.matrix_games import solve_matrix_game
from iwae_jax.minimax.method import (
    CONVERGED,
    NOT_CONVERGED,
    NOT_FINITE,
    Info,
    Method,
    State,
    field_norm,
    start,
)
from iwae_jax.minimax.multiplicative import (
    mirror_prox,
    multiplicative_weights,
    optimistic_multiplicative_weights,
)
from iwae_jax.minimax.nonconvex import competitive, consensus, symplectic_adjustment
from iwae_jax.minimax.problem import Saddle, duality_gap, field, saddle_value
from iwae_jax.minimax.products import everything, product
from iwae_jax.minimax.regret_matching import Progress, predictive_regret_matching
from iwae_jax.minimax.restarted import Origin, restarted_primal_dual
from iwae_jax.minimax.sets import ConvexSet, box, joint_simplex, non_negative, simplex
from iwae_jax.minimax.small_games import solve_small_game, solve_small_games

__all__ = [
    "CONVERGED",
    "NOT_CONVERGED",
    "NOT_FINITE",
    "NOT_UNIQUE",
    "UNDECIDED",
    "UNIQUE",
    "Averaged",
    "ConvexSet",
    "Equilibria",
    "Exploitability",
    "Info",
    "Interior",
    "MatrixGameSolution",
    "Method",
    "Origin",
    "Progress",
    "Saddle",
    "Solution",
    "State",
    "Uniqueness",
    "adaptive_extragradient",
    "all_equilibria",
    "alternating_descent_ascent",
    "anchored_extragradient",
    "averaged",
    "best_columns",
    "best_rows",
    "box",
    "certify",
    "competitive",
    "consensus",
    "dual_fast_extragradient",
    "dual_halpern",
    "duality_gap",
    "everything",
    "exploitability",
    "extragradient",
    "fast_extragradient",
    "field",
    "field_norm",
    "halfspace",
    "halpern",
    "interior_step",
    "joint_simplex",
    "krasnoselskii_mann",
    "l1_ball",
    "l2_ball",
    "linf_ball",
    "mirror_prox",
    "multiplicative_weights",
    "non_negative",
    "optimistic",
    "optimistic_multiplicative_weights",
    "payoffs",
    "predictive_regret_matching",
    "primal_dual",
    "product",
    "restarted_primal_dual",
    "saddle_value",
    "simplex",
    "simultaneous_descent_ascent",
    "solve",
    "solve_matrix_game",
    "solve_small_game",
    "solve_small_games",
    "start",
    "start_interior",
    "stochastic_extragradient",
    "strategy",
    "symplectic_adjustment",
    "trajectory",
    "uniqueness",
    "varying_anchored_extragradient",
    "with_optimizer",
]
