"""Every bijection under the same properties, and the parts against independent formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iwae_jax import flows

KEY = jax.random.key(0)
VECTOR, IMAGE = (6,), (4, 4, 2)
SMALL = flows.mlp(hidden_sizes=(7,), activation=jnp.tanh)
SPLINE = flows.rational_quadratic(num_bins=4, interval=3.0)
MASK = flows.checkerboard(IMAGE)
CONVOLUTIONS = flows.convolutional(MASK, width=3, num_blocks=1)


# Most of these tests' time is compilation, and what they run is small.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
compiled = functools.partial(jax.jit, compiler_options=QUICK)


def coupling(transformer, **options):
    return lambda key: flows.coupling(
        key, flows.alternating(VECTOR), transformer=transformer, network=SMALL, **options
    )


def autoregressive(build, **options):
    return lambda key: build(key, VECTOR, hidden_sizes=(7,), activation=jnp.tanh, **options)


def chained(key):
    layers = [flows.planar(key, VECTOR), flows.scaling(VECTOR), coupling(flows.affine())(key)]
    return flows.chain([*layers, flows.permutation([3, 1, 0, 5, 2, 4])])


def factored(key):
    inner = flows.chain([flows.squeeze((4, 4, 1)), flows.act_norm((4, 4, 1))])
    return flows.factor_out(inner, num_channels=1)


# name -> builder, shape of the datum, length of the context, whether it starts as the identity
TABLE = {
    "additive": (coupling(flows.additive()), VECTOR, 0, True),
    "affine": (coupling(flows.affine()), VECTOR, 0, True),
    "spline": (coupling(SPLINE), VECTOR, 0, True),
    "conditional_affine": (coupling(flows.affine(), context_size=3), VECTOR, 3, True),
    "conditional_spline": (coupling(SPLINE, context_size=3), VECTOR, 3, True),
    "convolutional": (lambda k: flows.coupling(k, MASK, network=CONVOLUTIONS), IMAGE, 0, True),
    "masked_autoregressive": (autoregressive(flows.masked_autoregressive), VECTOR, 0, True),
    "inverse_autoregressive": (autoregressive(flows.inverse_autoregressive), VECTOR, 0, True),
    "autoregressive_spline": (
        autoregressive(flows.masked_autoregressive, transformer=SPLINE), VECTOR, 0, True,
    ),
    "conditional_autoregressive": (
        autoregressive(flows.masked_autoregressive, context_size=2), VECTOR, 2, True,
    ),
    "act_norm": (lambda key: flows.act_norm(IMAGE), IMAGE, 0, True),
    "scaling": (lambda key: flows.scaling(VECTOR), VECTOR, 0, True),
    "lu_linear": (lambda key: flows.lu_linear(key, VECTOR), VECTOR, 0, False),
    "one_by_one": (lambda key: flows.lu_linear(key, IMAGE), IMAGE, 0, False),
    "whitening": (lambda key: flows.whitening(VECTOR), VECTOR, 0, True),
    "planar": (lambda key: flows.planar(key, VECTOR, scale=1.0), VECTOR, 0, False),
    "permutation": (lambda key: flows.permutation([3, 1, 0, 5, 2, 4]), VECTOR, 0, False),
    "flatten": (lambda key: flows.flatten(IMAGE), IMAGE, 0, False),
    "squeeze": (lambda key: flows.squeeze(IMAGE), IMAGE, 0, False),
    "factor_out": (factored, IMAGE, 0, False),
    "logit_pixels": (lambda key: flows.logit_pixels(VECTOR), VECTOR, 0, False),
    "sharp_logit": (lambda key: flows.logit_pixels(VECTOR, alpha=1e-6), VECTOR, 0, False),
    "unit_pixels": (lambda key: flows.unit_pixels(VECTOR), VECTOR, 0, False),
    "chain": (chained, VECTOR, 0, False),
    "repeat": (lambda k: flows.repeat(k, coupling(flows.affine()), num_layers=3), VECTOR, 0, True),
    "invert": (
        lambda key: (flows.invert(flows.act_norm(VECTOR)[0]), flows.act_norm(VECTOR)[1]),
        VECTOR, 0, True,
    ),
}  # fmt: skip


class Row:
    """One row of the table, away from its start; everything that is looked at compiles as one."""

    def __init__(self, name):
        build, self.shape, context_size, self.starts_as_identity = TABLE[name]
        self.bijection, self.initial = build(KEY)
        leaves, tree = jax.tree.flatten(self.initial)
        rng = np.random.default_rng(1)
        self.params = jax.tree.unflatten(
            tree, [np.asarray(leaf) + 0.3 * rng.normal(size=leaf.shape) for leaf in leaves]
        )
        if name == "whitening":
            self.params["directions"] = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        self.context = (rng.normal(size=context_size),) if context_size else ()
        pixels = name.endswith(("pixels", "logit"))
        self.x = rng.uniform(1.0, 255.0, self.shape) if pixels else rng.normal(size=self.shape)

    def arguments(self, dtype):
        cast = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)
        return cast(self.params), cast(self.x), cast(self.context)

    def there_and_back(self, params, x, context):
        z, inverse_log_det = self.bijection.inverse_and_log_det(params, x, *context)
        again, forward_log_det = self.bijection.forward_and_log_det(params, z, *context)
        back, _ = self.bijection.inverse_and_log_det(params, again, *context)
        return {"z": z, "again": again, "back": back,
                "inverse": inverse_log_det, "forward": forward_log_det}  # fmt: skip

    def jacobian(self, params, x, context):
        def flat(vector):
            z, _ = self.bijection.inverse_and_log_det(params, vector.reshape(x.shape), *context)
            return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(z)])

        return jax.jacrev(flat)(x.reshape(-1))

    def gradients_far_away(self, params, x, z, context):
        def total(params, x, z):
            results = (
                self.bijection.inverse_and_log_det(params, x, *context),
                self.bijection.forward_and_log_det(params, z, *context),
            )
            leaves = jax.tree.leaves(results)
            return sum(jnp.sum(jnp.where(jnp.isfinite(leaf), leaf, 0.0)) for leaf in leaves)

        far = jax.tree.map(lambda leaf: 1e3 * jnp.sign(leaf), (x, z))
        return jax.grad(total, argnums=(0, 1, 2))(params, *far)

    @functools.cached_property
    def single(self):
        def everything(params, x, context):
            found = self.there_and_back(params, x, context)
            xs = jnp.stack([0.5 * x, x, 0.9 * x])
            inverse = lambda x: self.bijection.inverse_and_log_det(params, x, *context)
            found["mapped"] = jax.tree.map(lambda leaf: leaf[1], jax.vmap(inverse)(xs))
            found["far"] = self.gradients_far_away(params, x, found["z"], context)
            initial = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), self.initial)
            found["initial"] = self.bijection.inverse_and_log_det(initial, x, *context)
            return found

        return compiled(everything)(*self.arguments(jnp.float32))

    @functools.cached_property
    def double(self):
        def everything(*arguments):
            return self.there_and_back(*arguments) | {"jacobian": self.jacobian(*arguments)}

        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, compiled(everything)(*self.arguments(jnp.float64)))


@functools.cache
def row(name):
    return Row(name)


@pytest.fixture(scope="module", params=TABLE, name="case")
def rows(request):
    return row(request.param)


def assert_close(actual, expected, tolerance):
    check = lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    jax.tree.map(check, actual, expected)


@pytest.mark.parametrize(("precision", "tolerance"), [("single", 1e-4), ("double", 1e-10)])
def test_both_directions_undo_each_other(case, precision, tolerance):
    found = getattr(case, precision)
    assert_close(found["again"], case.x.astype(np.float32 if precision == "single" else float),
                 tolerance)  # fmt: skip
    assert_close(found["back"], found["z"], tolerance)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_precision_stays_what_it_is(case, precision):
    found = getattr(case, precision)
    parts = [found[name] for name in ("z", "again", "inverse", "forward")]
    expected = np.dtype(np.float32 if precision == "single" else np.float64)
    assert {leaf.dtype for leaf in jax.tree.leaves(parts)} == {expected}


def test_the_log_dets_are_those_of_the_jacobian(case):
    found = case.double
    expected = np.linalg.slogdet(found["jacobian"])[1]
    np.testing.assert_allclose(found["inverse"], expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found["forward"], -expected, rtol=1e-8, atol=1e-8)
    assert found["forward"].shape == found["inverse"].shape == ()


def test_a_batch_is_a_vmap(case):
    z, log_det = case.single["mapped"]
    assert_close(z, case.single["z"], 2e-4)
    assert_close(log_det, case.single["inverse"], 2e-4)


def test_it_starts_as_the_identity(case):
    if not case.starts_as_identity:
        pytest.skip("starts elsewhere")
    z, log_det = case.single["initial"]
    np.testing.assert_allclose(z, case.x, atol=2e-6)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


def test_gradients_are_finite_far_outside(case):
    for leaf in jax.tree.leaves(case.single["far"]):
        assert np.all(np.isfinite(leaf))


def test_another_shape_is_refused(case):
    params, x, context = case.arguments(jnp.float32)
    wrong = jnp.ones((3, *x.shape))
    with jax.checking_leaks(), pytest.raises((AssertionError, TypeError, ValueError)):
        jax.eval_shape(case.bijection.inverse_and_log_det, params, wrong, *context)


@pytest.mark.parametrize("name", ["affine", "whitening"])
def test_it_is_the_same_without_jit_and_leaks_no_tracer(name):
    found = row(name).single
    params, x, context = row(name).arguments(jnp.float32)
    with jax.checking_leaks():
        z, log_det = row(name).bijection.inverse_and_log_det(params, x, *context)
    assert_close(z, found["z"], 1e-5)
    assert_close(log_det, found["inverse"], 1e-5)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[2]])
def test_a_context_is_read_and_its_size_is_held(name):
    params, x, (context,) = row(name).arguments(jnp.float32)
    other, _ = jax.jit(row(name).bijection.inverse_and_log_det)(params, x, context + 1.0)
    assert np.max(np.abs(row(name).single["z"] - other)) > 1e-3
    with pytest.raises(ValueError, match="a context of"):
        row(name).bijection.inverse_and_log_det(params, x)


def test_planar_inverse_passes_the_gradient_of_its_parameters(float64):
    params, x, _ = row("planar").arguments(jnp.float64)
    bijection = row("planar").bijection

    @jax.jit
    @jax.grad
    def round_trip(params):
        z, _ = bijection.inverse_and_log_det(params, x)
        again, _ = bijection.forward_and_log_det(params, z)
        return jnp.sum(jnp.sin(jnp.arange(6.0)) * again)

    for leaf in jax.tree.leaves(round_trip(params)):
        np.testing.assert_allclose(leaf, 0.0, atol=1e-10)


def test_autoregressive_jacobian_is_triangular():
    jacobian = row("masked_autoregressive").double["jacobian"]
    np.testing.assert_array_equal(jacobian, np.tril(jacobian))
    assert np.all(np.abs(jacobian[np.tril_indices(6, -1)]) > 0.0)


def test_a_log_scale_is_bounded():
    params, x, _ = row("affine").arguments(jnp.float32)
    huge = jax.tree.map(lambda leaf: 1e6 * leaf, params)
    _, log_det = row("affine").bijection.forward_and_log_det(huge, x)
    assert abs(float(log_det)) <= 3 * 2.0


def test_the_spline_is_the_identity_outside_and_meets_it():
    raw = jnp.asarray(np.random.default_rng(0).normal(size=SPLINE.num_params), jnp.float32)
    edges = jnp.array([-50.0, -3.0, 3.0, 50.0])
    for direction in (SPLINE.forward_and_log_det, SPLINE.inverse_and_log_det):
        values, log_dets = jax.vmap(direction, (None, 0))(raw, edges)
        np.testing.assert_array_equal(values, edges)
        np.testing.assert_array_equal(log_dets, 0.0)
        inside, _ = jax.vmap(direction, (None, 0))(raw, jnp.array([-2.9999, 2.9999]))
        np.testing.assert_allclose(inside, [-2.9999, 2.9999], atol=1e-3)


def test_the_spline_increases():
    raw = jnp.asarray(3.0 * np.random.default_rng(0).normal(size=SPLINE.num_params), jnp.float32)
    grid = jnp.linspace(-4.0, 4.0, 2001)
    values, log_dets = jax.vmap(SPLINE.forward_and_log_det, (None, 0))(raw, grid)
    assert np.all(np.diff(values) > 0.0)
    slopes = np.diff(values) / np.diff(grid)
    middle = 0.5 * (np.exp(log_dets)[1:] + np.exp(log_dets)[:-1])
    assert np.median(np.abs(slopes / middle - 1.0)) < 1e-2


def test_a_scan_is_the_chain_of_its_layers():
    params, x, _ = row("repeat").arguments(jnp.float32)
    one, _ = coupling(flows.affine())(KEY)
    total = 0.0
    value = x
    for index in reversed(range(3)):
        own = jax.tree.map(lambda leaf, index=index: leaf[index], params)
        value, log_det = one.inverse_and_log_det(own, value)
        total += log_det
    assert_close(row("repeat").single["z"], value, 1e-5)
    assert_close(row("repeat").single["inverse"], total, 1e-5)
