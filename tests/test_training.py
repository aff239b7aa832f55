"""Training: the direction of an update, the order of the data, stopping and going on."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from iwae_jax import estimators, keys, models, training

NUM_IMAGES, BATCH, NUM_SAMPLES = 24, 6, 4
ROOT = jax.random.key(1)


@pytest.fixture(scope="module")
def setting():
    model, params = models.vae(
        jax.random.key(0), event_shape=(4, 4), latent_size=2, hidden_sizes=(8,)
    )
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 4, 4), dtype=np.uint8)
    return model, params, images


SGD, ADAM = optax.sgd(0.1), optax.adam(1e-2)
step = jax.jit(
    training.step,
    static_argnames=("model", "estimator", "num_samples", "optimizer", "max_pairs", "observe"),
)


def options(model, optimizer=SGD, **changes):
    common = {
        "model": model,
        "estimator": estimators.pathwise,
        "num_samples": NUM_SAMPLES,
        "optimizer": optimizer,
        "max_pairs": 1000,
    }
    return common | changes


def fit(setting, **changes):
    model, params, images = setting
    common = options(model, ADAM, batch_size=BATCH, num_epochs=3, steps_per_scan=3)
    return training.fit(ROOT, params, images, **common | changes)


def assert_trees_close(actual, expected, tolerance=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        actual,
        expected,
    )


def assert_trees_equal(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_an_update_climbs_the_mean_bound_with_the_keys_of_the_tree(setting):
    model, params, images = setting
    state = training.init(params, optimizer=SGD)._replace(step=jnp.int32(5))
    after, info = step(ROOT, state, images[:BATCH], **options(model))

    @jax.jit
    def objective(params):
        def one(position, image):
            key = jax.random.fold_in(jax.random.fold_in(ROOT, 5), position)
            x = training.dynamic_binarisation(key, image)
            return estimators.pathwise(key, params, x, model=model, num_samples=NUM_SAMPLES)[0]

        return jnp.mean(jax.vmap(one)(jnp.arange(BATCH), images[:BATCH]))

    bound, gradient = jax.value_and_grad(objective)(params)
    climbed = jax.tree.map(lambda leaf, slope: leaf + 0.1 * slope, params, gradient)
    assert_trees_close(after.params, climbed)
    np.testing.assert_allclose(info.bound, bound, rtol=1e-5)
    assert int(after.step) == 6
    assert 1.0 < float(info.effective_sample_size) < NUM_SAMPLES


@pytest.mark.parametrize("max_pairs", [12, 8, 4, 3, 1])
def test_a_split_batch_gives_the_same_update(setting, max_pairs):
    model, params, images = setting
    state = training.init(params, optimizer=SGD)
    whole = step(ROOT, state, images[:BATCH], **options(model))
    split = step(ROOT, state, images[:BATCH], **options(model, max_pairs=max_pairs))
    assert_trees_close(split, whole)


def test_an_epoch_is_its_steps_one_after_the_other(setting):
    model, params, images = setting
    state = training.init(params, optimizer=ADAM)
    order = jax.random.permutation(jax.random.key(3), NUM_IMAGES).reshape(-1, BATCH)
    epoch = jax.jit(partial(training.epoch, **options(model, ADAM)))
    after, info = epoch(ROOT, state, jnp.array(images), order)
    for batch, bound in zip(order, info.bound, strict=True):
        state, step_info = step(ROOT, state, images[batch], **options(model, ADAM))
        np.testing.assert_allclose(step_info.bound, bound, rtol=1e-4)
    assert_trees_close(after, state, 1e-4)


def test_an_epoch_of_one_update_is_the_step_without_a_loop(setting):
    model, params, images = setting
    state = training.init(params, optimizer=ADAM)
    epoch = partial(training.epoch, **options(model, ADAM))
    given = lambda num_steps: (
        ROOT, state, jnp.array(images), jnp.arange(num_steps * BATCH).reshape(num_steps, BATCH)
    )  # fmt: skip
    assert "scan[" not in str(jax.make_jaxpr(epoch)(*given(1)))
    assert "scan[" in str(jax.make_jaxpr(epoch)(*given(2)))
    after, info = jax.jit(epoch)(*given(1))
    expected, expected_info = step(ROOT, state, images[:BATCH], **options(model, ADAM))
    assert_trees_close(after, expected, 1e-4)
    assert info.bound.shape == (1,)
    np.testing.assert_allclose(info.bound[0], expected_info.bound, rtol=1e-4)


def test_every_epoch_visits_every_image_once_in_a_new_order(setting):
    model, params, _ = setting
    numbered = np.zeros((NUM_IMAGES, 4, 4), np.uint8)
    numbered[:, 0, 0] = np.arange(NUM_IMAGES)
    seen = []

    def observe(key, image):
        jax.debug.callback(lambda number: seen.append(int(number)), image[0, 0])
        return training.dynamic_binarisation(key, image)

    training.fit(
        ROOT, params, numbered, observe=observe, batch_size=BATCH, num_epochs=2, **options(model)
    )
    jax.effects_barrier()
    first, second = seen[:NUM_IMAGES], seen[NUM_IMAGES:]
    assert sorted(first) == sorted(second) == list(range(NUM_IMAGES))
    assert first != second


def test_training_raises_the_bound(setting):
    history = fit(setting, num_epochs=40).history
    assert history[-1]["train_bound"] > history[0]["train_bound"] + 0.5


def test_history_has_a_line_per_epoch(setting):
    _, _, images = setting
    told = []
    history = fit(setting, validation_images=images[:5], on_progress=told.append).history
    assert [line["epoch"] for line in history] == [1, 2, 3]
    assert [line["step"] for line in history] == [4, 8, 12]
    assert [progress.step for progress in told] == [3, 4, 7, 8, 11, 12]
    assert [progress.epoch for progress in told[1::2]] == history
    for line in history:
        assert line["validation_bound"] < 0.0
        assert 1.0 <= line["validation_ess"] <= NUM_SAMPLES


def test_the_best_parameters_are_those_of_the_best_validation_bound(setting, tmp_path):
    _, _, images = setting
    # It climbs for an epoch of four updates and then falls.
    rates = optax.join_schedules([lambda _: 0.02, lambda _: -0.05], [4])
    options = {"validation_images": images[:5], "optimizer": optax.sgd(rates)}
    first = fit(setting, num_epochs=1, **options)
    assert_trees_equal(first.best_params, first.params)
    whole = fit(setting, checkpoint_dir=tmp_path, **options)
    bounds = [line["validation_bound"] for line in whole.history]
    assert bounds[0] > max(bounds[1:])
    assert_trees_equal(whole.best_params, first.params)
    again = fit(setting, checkpoint_dir=tmp_path, **options)
    assert_trees_equal(again.best_params, first.params)
    assert_trees_equal(again.params, whole.params)
    _, params, _ = setting
    kept = training.restore(params, tmp_path, optimizer=options["optimizer"])
    assert_trees_equal(kept, whole)
    assert training.restore(params, tmp_path / "none", optimizer=SGD) is None
    unseen = fit(setting, optimizer=options["optimizer"])
    assert_trees_equal(unseen.best_params, unseen.params)


def test_the_callers_parameters_are_left_alone(setting):
    _, params, _ = setting
    before = jax.tree.map(np.array, params)
    fit(setting, num_epochs=1)
    assert_trees_equal(params, before)


def test_a_training_that_is_continued_is_one_that_never_stopped(setting, tmp_path):
    _, _, images = setting
    whole = fit(setting, validation_images=images[:5])

    class Stopped(Exception):
        pass

    def stop_at(step):
        def on_progress(progress):
            if progress.step == step:
                raise Stopped

        return on_progress

    for step_number in (3, 7, 8):
        with pytest.raises(Stopped):
            fit(
                setting, validation_images=images[:5], checkpoint_dir=tmp_path,
                checkpoint_seconds=0.0, on_progress=stop_at(step_number),
            )  # fmt: skip
    continued = fit(setting, validation_images=images[:5], checkpoint_dir=tmp_path)
    assert_trees_equal(continued.params, whole.params)
    assert_trees_equal(continued.best_params, whole.best_params)
    assert continued.history == whole.history
    again = fit(setting, validation_images=images[:5], checkpoint_dir=tmp_path)
    assert_trees_equal(again.params, whole.params)
    assert again.history == whole.history


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch_size": 4}, "batch_size=6 .now 4."),
        ({"num_samples": 2}, "num_samples=4 .now 2."),
        ({"optimizer": SGD}, "another model or optimiser"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(setting, tmp_path, change, word):
    fit(setting, num_epochs=1, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=word):
        fit(setting, checkpoint_dir=tmp_path, **change)


def breaks_at(step_number):
    def estimator(key, params, x, **options):
        bound, log_weights = estimators.pathwise(key, params, x, **options)
        example_keys = jax.vmap(lambda i: keys.example(keys.step(ROOT, step_number), i))(
            jnp.arange(BATCH)
        )
        same = jnp.all(jax.random.key_data(example_keys) == jax.random.key_data(key), axis=-1)
        return jnp.where(jnp.any(same), jnp.nan, bound), log_weights

    return estimator


def test_a_bound_that_is_not_finite_stops_with_step_checkpoint_and_advice(setting, tmp_path):
    with pytest.raises(training.NonFiniteError, match=r"step 9;.*/8\. Try a lower learning rate"):
        fit(setting, estimator=breaks_at(9), checkpoint_dir=tmp_path, checkpoint_seconds=0.0)


def test_without_checkpoints_the_message_says_so(setting):
    with pytest.raises(training.NonFiniteError, match="step 5; last good checkpoint: none"):
        fit(setting, estimator=breaks_at(5))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": NUM_IMAGES + 1}, "batch_size"),
        ({"num_samples": 0}, "num_samples"),
        ({"num_epochs": 0}, "num_epochs"),
        ({"max_pairs": 0}, "max_pairs"),
    ],
)
def test_arguments_out_of_range_are_refused(setting, change, word):
    with pytest.raises(ValueError, match=word):
        fit(setting, **change)


def test_binarisation_keeps_black_and_white_and_the_mean_of_grey():
    image = jnp.array([0, 1, 64, 200, 254, 255], jnp.uint8)
    draw = jax.jit(jax.vmap(training.dynamic_binarisation, (0, None)))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 40_000), image))
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.dtype == np.float32
    p = np.asarray(image) / 255.0
    assert np.all(np.abs(x.mean(0) - p) <= 4.0 * np.sqrt(p * (1.0 - p) / len(x)))
