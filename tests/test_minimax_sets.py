"""Projections: optimality by their variational inequality, and brute force where it is small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import minimax
from iwae_jax.minimax import Saddle

NORMAL = np.array([0.5, -1.0, 2.0, 0.25])
ROWS = lambda rng: rng.dirichlet(np.ones(4))
# name -> set, a draw of a member of it, whether it is bounded
SETS = {
    "simplex": (minimax.simplex(), ROWS, True),
    "simplex of 3": (minimax.simplex(total=3.0), lambda rng: 3.0 * ROWS(rng), True),
    "joint simplex": (minimax.joint_simplex(), ROWS, True),
    "box": (minimax.box(-1.0, 0.5), lambda rng: rng.uniform(-1.0, 0.5, 4), True),
    "orthant": (minimax.non_negative(), lambda rng: rng.exponential(2.0, 4), False),
    "l1": (minimax.l1_ball(1.5), lambda rng: 1.5 * ROWS(rng) * rng.choice([-1, 1], 4), True),
    "l2": (minimax.l2_ball(1.5), lambda rng: _direction(rng) * 1.5 * rng.uniform(), True),
    "linf": (minimax.linf_ball(0.7), lambda rng: rng.uniform(-0.7, 0.7, 4), True),
    "halfspace": (minimax.halfspace(jnp.array(NORMAL, jnp.float32), 0.3), None, False),
    "everything": (minimax.everything(), lambda rng: rng.normal(0.0, 9.0, 4), False),
}


def _direction(rng):
    x = rng.normal(size=4)
    return x / np.linalg.norm(x)


def _below_plane(rng):
    x = rng.normal(0.0, 3.0, 4)
    return x - max(0.0, NORMAL @ x - 0.3) * NORMAL / (NORMAL @ NORMAL)


@pytest.mark.parametrize("row", SETS.values(), ids=SETS)
def test_projection_and_lowest_point_are_argmins(row, float64):
    convex, draw, bounded = row
    draw, rng = draw or _below_plane, np.random.default_rng(3)
    members = np.stack([draw(rng) for _ in range(200)])
    project = jax.jit(convex.project)
    for x in rng.normal(0.0, 2.0, (20, 4)):
        y = project(jnp.array(x))
        # y is the projection if and only if <x - y, member - y> <= 0 for every member.
        assert np.max((members - y) @ (x - y)) <= 1e-9
        np.testing.assert_allclose(project(y), y, atol=1e-12)
        if bounded:
            lowest = convex.lowest(jnp.array(x))
            assert lowest @ x <= np.min(members @ x) + 1e-9
            np.testing.assert_allclose(project(lowest), lowest, atol=1e-12)
    assert (convex.lowest is not None) == bounded


@pytest.mark.parametrize("row", SETS.values(), ids=SETS)
def test_dtype_and_tree_are_kept(row):
    convex, *_ = row
    x = jnp.array([3.0, -1.0, 0.5, 2.0], jnp.float32)
    for function in filter(None, convex):
        assert function(x).dtype == jnp.float32
        assert function(x).shape == x.shape


def test_simplex_is_row_wise_and_the_joint_one_is_not():
    x = jnp.array([[0.3, 0.9], [2.0, 2.0]], jnp.float32)
    np.testing.assert_allclose(minimax.simplex().project((x,))[0].sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(minimax.joint_simplex().project((x,))[0].sum(), 1.0, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_simplex_agrees_with_a_sort_on_many_sizes(scale, float64):
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 300):
        x = scale * np.round(rng.normal(size=(20, n)), 1)  # ties
        ordered = -np.sort(-x, -1)
        levels = (np.cumsum(ordered, -1) - 1.0) / np.arange(1, n + 1)
        last = np.sum(ordered > levels, -1) - 1
        tau = np.take_along_axis(levels, last[:, None], -1)
        actual = minimax.simplex().project(jnp.array(x))
        np.testing.assert_allclose(actual, np.maximum(x - tau, 0.0), atol=1e-14 * max(1.0, scale))


def test_simplex_differentiates_and_maps(float64):
    project = minimax.simplex().project
    x = jnp.array([0.4, 0.5, -2.0, 0.3])
    jacobian = jax.jacrev(project)(x)
    support = jnp.array([1.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(jacobian, jnp.diag(support) - jnp.outer(support, support) / 3)
    np.testing.assert_allclose(jax.jacfwd(project)(x), jacobian)
    batch = jnp.stack([x, -x, x[::-1]])
    np.testing.assert_array_equal(jax.vmap(project)(batch), project(batch))


def test_a_product_is_its_parts_and_refuses_other_structures():
    sets = minimax.product(Saddle({"p": minimax.simplex()}, minimax.box(0.0, 1.0)))
    y = sets.project(Saddle({"p": jnp.ones(4)}, (jnp.array(3.0), jnp.array(-1.0))))
    np.testing.assert_allclose(y.theta["p"], 0.25)
    assert y.phi == (1.0, 0.0)
    assert sets.lowest(Saddle({"p": jnp.arange(4.0)}, jnp.ones(2))).theta["p"][0] == 1.0
    assert minimax.product((minimax.simplex(), minimax.everything())).lowest is None
    for point in (Saddle(jnp.ones(4), jnp.ones(2)), (jnp.ones(4), jnp.ones(2))):
        with pytest.raises(ValueError, match="structure"):
            sets.project(point)


@pytest.mark.parametrize(
    ("build", "error", "word"),
    [
        (lambda: minimax.simplex(total=0.0), ValueError, "total"),
        (lambda: minimax.l1_ball(-1.0), ValueError, "radius"),
        (lambda: minimax.l2_ball(float("nan")), ValueError, "radius"),
        (lambda: minimax.box(1.0, 0.0), ValueError, "empty"),
        (lambda: minimax.halfspace(jnp.zeros(2), 0.0), ValueError, "normal"),
        (lambda: minimax.product((minimax.simplex(), 3)), TypeError, "ConvexSet"),
        (lambda: minimax.simplex().project(jnp.array(1.0)), ValueError, "last axis"),
    ],
)
def test_wrong_sets_are_refused(build, error, word):
    with pytest.raises(error, match=word):
        build()


def test_a_nan_stays_a_nan():
    assert jnp.isnan(minimax.simplex().project(jnp.array([jnp.nan, 0.5]))).all()
