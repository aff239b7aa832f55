"""Every method on games whose saddle points and rates are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from iwae_jax import minimax
from iwae_jax.minimax import Saddle

RPS = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
A, B = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.1, 0.7])
SIMPLEX = minimax.simplex()


def rps(p, q):
    return p @ jnp.asarray(RPS, p.dtype) @ q


def strong(x, y):
    """Strongly monotone, with its saddle point at x = (1, 2), y = (0, -1)."""
    x, y = x - jnp.array([1.0, 2.0], x.dtype), y - jnp.array([0.0, -1.0], y.dtype)
    return 0.5 * x @ x + x @ jnp.array([[0.6, -0.8], [0.2, 0.4]], x.dtype) @ y - 0.25 * y @ y


# name -> the method of a loss of Lipschitz constant about 1, given a projection
METHODS = {
    "extragradient": partial(minimax.extragradient, step_size=0.3),
    "adaptive_extragradient": minimax.adaptive_extragradient,
    "optimistic": partial(minimax.optimistic, step_size=0.3),
    "anchored_extragradient": partial(minimax.anchored_extragradient, step_size=0.125),
    "varying_anchored_extragradient": partial(
        minimax.varying_anchored_extragradient, lipschitz=1.0
    ),
    "fast_extragradient": partial(minimax.fast_extragradient, step_size=1.0),
    "dual_fast_extragradient": lambda loss, project=None: minimax.dual_fast_extragradient(
        loss, step_size=1.0, num_steps=2000
    ),
    "simultaneous_descent_ascent": partial(minimax.simultaneous_descent_ascent, step_size=0.3),
    "alternating_descent_ascent": partial(minimax.alternating_descent_ascent, step_size=0.3),
    "adam": partial(minimax.with_optimizer, optimizer=optax.adam(0.05)),
}  # fmt: skip
OF_RPS = {  # whose Lipschitz constant is sqrt(3)
    "anchored_extragradient": {"step_size": 0.072},
    "varying_anchored_extragradient": {"lipschitz": 3.0**0.5},
    "fast_extragradient": {"step_size": 3.0**-0.5},
}
ANCHORED = {name for name in METHODS if "anchored" in name or "fast" in name}


def run(loss, method, start, num_steps):
    observe = lambda state: (state.point, minimax.field(*state.point, loss=loss))
    call = partial(minimax.trajectory, method=method, num_steps=num_steps, observe=observe)
    return jax.jit(call)(*start)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "adam"])
def test_every_method_finds_the_saddle_of_a_strongly_monotone_game(name, float64):
    method = METHODS[name](strong)
    points, _ = run(strong, method, (jnp.zeros(2), jnp.zeros(2)), 2000)
    # The anchored methods are made for games that are not strongly monotone: 1/k, not linear.
    tolerance = 1e-2 if name in ANCHORED else 1e-10
    np.testing.assert_allclose(points.theta[-1], [1.0, 2.0], atol=tolerance)
    np.testing.assert_allclose(points.phi[-1], [0.0, -1.0], atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
def test_rock_paper_scissors_by_projections(name, float64):
    if name == "dual_fast_extragradient":
        pytest.skip("it has no projection")
    gap = partial(minimax.duality_gap, loss=rps, feasible=SIMPLEX)
    method = METHODS[name](rps, project=SIMPLEX.project, **OF_RPS.get(name, {}))
    averaged = minimax.averaged(method)
    observe = lambda state: (gap(*state.inner.point), gap(*state.average))
    last, average = jax.jit(
        partial(minimax.trajectory, method=averaged, num_steps=1000, observe=observe)
    )(A, B)
    assert last.shape == (1001,)
    np.testing.assert_allclose(last[0], 0.5 + 0.6)
    if name in ("extragradient", "optimistic"):
        assert last[-1] <= 1e-12
    elif name in ANCHORED:
        assert np.all(last[10:] <= 30.0 / np.arange(10, 1001))
    elif name == "adaptive_extragradient":
        assert last[-1] <= 1e-6
    else:
        assert np.min(last[100:]) > 0.1
    assert average[-1] < 0.05
    assert average[-1] < 0.2 * average[50]


def test_multiplicative_weights_cycle_where_the_optimistic_ones_converge(float64):
    gap = partial(minimax.duality_gap, loss=rps, feasible=SIMPLEX)
    for build, converges in (
        (minimax.multiplicative_weights, False),
        (minimax.optimistic_multiplicative_weights, True),
        (minimax.mirror_prox, True),
    ):
        method = minimax.averaged(build(rps, step_size=0.3))
        observe = lambda state: (gap(*state.inner.point), gap(*state.average))
        last, average = jax.jit(
            partial(minimax.trajectory, method=method, num_steps=3000, observe=observe)
        )(A, B)
        assert (last[-1] < 1e-10) if converges else (np.min(last[500:]) > 0.5)
        assert average[-1] < (3e-3 if converges else 0.1)
        if converges:
            # The largest divergence from the start, log(10) for each player, over eta T.
            T = np.arange(1, 3001)
            assert np.all(average[1:] <= 2.0 * np.log(10.0) / (0.3 * T))


def test_descent_ascent_spirals_out_and_alternating_stays(float64):
    bilinear = lambda x, y: x @ y
    start = (jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0]))
    norm = lambda point: np.sqrt(np.sum(point.theta**2 + point.phi**2, -1))
    points, _ = run(bilinear, METHODS["simultaneous_descent_ascent"](bilinear), start, 100)
    np.testing.assert_allclose(norm(points), np.sqrt(5.0) * 1.09 ** (np.arange(101) / 2))
    points, _ = run(bilinear, METHODS["alternating_descent_ascent"](bilinear), start, 1000)
    # It keeps |x|^2 + |y|^2 - eta <x, y> as it is.
    kept = norm(points) ** 2 - 0.3 * np.sum(points.theta * points.phi, -1)
    np.testing.assert_allclose(kept, 5.0)
    points, _ = run(bilinear, METHODS["extragradient"](bilinear), start, 100)
    rate = (1 - 0.3**2) ** 2 + 0.3**2
    np.testing.assert_allclose(norm(points), np.sqrt(5.0) * rate ** (np.arange(101) / 2))


def test_stochastic_extragradient_needs_its_two_steps(float64):
    noisy = lambda key, x, y: x * y + x * jax.random.normal(key) * y
    later = lambda power: lambda t: 0.3 / (1.0 + t.astype(jnp.float64) / 50.0) ** power
    ends = {}
    for name, exploration, step in (
        ("two", later(1 / 3), later(2 / 3)),
        ("one", 0.3, 0.3),
    ):
        method = lambda key, far=exploration, near=step: minimax.stochastic_extragradient(
            key, noisy, exploration=far, step_size=near
        )
        end = lambda key, make=method: minimax.trajectory(
            1.0, 1.0, method=make(key), num_steps=3000
        )
        points = jax.jit(jax.vmap(end))(jax.random.split(jax.random.key(0), 20))
        ends[name] = np.median(np.hypot(points.theta, points.phi)[:, -1])
    assert ends["two"] < 0.1
    assert ends["two"] < 0.5 * ends["one"]


def test_adaptive_step_ends_where_the_field_allows(float64):
    loss = lambda x, y: 50.0 * x @ y
    method = minimax.adaptive_extragradient(loss, step_size=10.0, safety=0.5)
    solution = minimax.solve(
        jnp.ones(2), -jnp.ones(2), method=method, tolerance=1e-9, max_steps=400,
        gap=lambda x, y: jnp.linalg.norm(x) + jnp.linalg.norm(y),
    )  # fmt: skip
    assert solution.status == minimax.CONVERGED
    np.testing.assert_allclose(solution.state.memory, 0.5 / 50.0)


def test_averages_have_their_weights(float64):
    bilinear = lambda x, y: x * y
    inner = minimax.simultaneous_descent_ascent(bilinear, step_size=0.1)
    seen = minimax.trajectory(1.0, 2.0, method=inner, num_steps=9)
    for power in (0.0, 1.0, 2.0):
        mean = minimax.trajectory(
            1.0, 2.0, method=minimax.averaged(inner, power=power), num_steps=9
        )
        weights = np.arange(1.0, 10.0) ** power
        np.testing.assert_allclose(mean.theta[-1], np.average(seen.theta[:9], weights=weights))


NONCONVEX = {
    "consensus": lambda loss: minimax.consensus(loss, strength=0.5),
    "symplectic_adjustment": minimax.symplectic_adjustment,
    "competitive": lambda loss: minimax.competitive(loss, step_size=0.2),
}


def dirac_gan(theta, psi):
    """One parameter each: a generator at theta, data at 0, a linear discriminator."""
    return jnp.sum(jax.nn.softplus(theta * psi)) + jnp.sum(jax.nn.softplus(jnp.zeros_like(psi)))


@pytest.mark.parametrize("name", NONCONVEX)
def test_corrections_are_their_formulas_and_tame_the_dirac_gan(name, float64):
    loss = lambda x, y: jnp.sin(x[0]) * y[0] ** 2 + x[1] * y[0] ** 3 + x[0] ** 2 * x[1]
    z = Saddle(jnp.array([0.3, -0.7]), jnp.array([0.4]))
    flat = lambda v: minimax.field(*Saddle(v[:2], v[2:]), loss=loss)
    of = lambda v: jnp.concatenate(flat(v))
    v = jnp.concatenate(z)
    F, J = np.asarray(of(v)), np.asarray(jax.jacobian(of)(v))
    off = J.copy()
    off[:2, :2], off[2:, 2:] = 0.0, 0.0
    turned = 0.5 * (J - J.T).T @ F
    sign = np.sign((F @ J.T @ F) * (turned @ J.T @ F) + 0.1)
    expected = {
        "consensus": F + 0.5 * J.T @ F,
        "symplectic_adjustment": F + sign * turned,
        "competitive": np.linalg.solve(np.eye(3) + 0.2 * off, F),
    }[name]
    change = NONCONVEX[name](loss)
    actual, _ = change.update(flat(v), change.init(z), z)
    np.testing.assert_allclose(jnp.concatenate(actual), expected, rtol=1e-6)
    if name == "competitive":
        # Conjugate gradients take a step for each of the two eigenvalues of I + eta^2 B'B.
        for steps, exact in ((1, False), (2, True)):
            few = minimax.competitive(loss, step_size=0.2, num_iterations=steps)
            found, _ = few.update(flat(v), few.init(z), z)
            off_by = np.linalg.norm(jnp.concatenate(found) - expected)
            assert off_by < 1e-12 if exact else off_by > 1e-3
    with pytest.raises(ValueError, match="Saddle"):
        change.update(tuple(z), change.init(z), tuple(z))

    loss = lambda theta, psi: -dirac_gan(-theta, psi)
    norm = {}
    for label, first in (("plain", optax.identity()), ("corrected", NONCONVEX[name](loss))):
        method = minimax.with_optimizer(loss, optimizer=optax.chain(first, optax.sgd(0.2)))
        points, _ = run(loss, method, (jnp.ones(1), jnp.ones(1)), 1500)
        norm[label] = np.hypot(points.theta[-1, 0], points.phi[-1, 0])
    assert norm["corrected"] < 1e-2
    assert norm["plain"] > 1.0


@pytest.mark.parametrize("name", METHODS)
def test_float32_stays_float32(name):
    method = METHODS[name](strong)
    state, info = jax.eval_shape(
        lambda x, y: method.step(method.init(x, y)), jnp.zeros(2, "f4"), jnp.zeros(2, "f4")
    )
    leaves = jax.tree.leaves((state.point, info))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
