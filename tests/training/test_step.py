"""The step: its updates, what it skips, accumulates, averages, freezes; and the model inside it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.helpers.batches import FAST_COMPILE, StandIn, drawn_batch, drawn_params, stand_in_params
from tests.helpers.models import small_config
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.training import losses, sharding
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.step import Training, TrainState

WEIGHTS = LossWeights(kl=1.0, cc=0.3, nss=0.1, faces=1.0, talking=1.0)


def stand_in(updates=10, **optimizer) -> StandIn:
    settings = {"learning_rate": 0.1, "schedule": "constant"} | optimizer
    return StandIn(small_config(), WEIGHTS, OptimizerConfig(**settings), updates)


def one_device() -> jax.sharding.Mesh:
    return jax.sharding.Mesh(jax.devices()[:1], sharding.AXIS)


@cache
def compiled_step(training: Training, clips: int):
    state = training.initial_state(stand_in_params())
    batch = {name: drawn_batch(clips)[name] for name in training.fields}
    step = sharding.parallelise(training.step, one_device(), donate=True)
    return step.lower(state, batch).compile(FAST_COMPILE)


def run(training: Training, batches, state: TrainState | None = None) -> tuple[TrainState, list[dict[str, float]]]:
    """Steps on one device."""
    mesh = one_device()
    state = training.initial_state(stand_in_params()) if state is None else state
    state, scalars = sharding.replicate(state, mesh), []
    for batch in batches:
        batch = sharding.place({name: batch[name] for name in training.fields}, mesh)
        state, results = compiled_step(training, len(batch["valid"]))(state, batch)
        scalars.append({name: float(value) for name, value in results.items()})
    return jax.tree.map(np.array, state), scalars


def loss_and_gradient(training: Training, params, batch):
    """The loss of the whole batch, its terms and its gradient, by automatic differentiation of `losses.total`."""

    def loss(params):
        return losses.total(*training.forward(params, batch)[:2], batch, training.weights)

    batch = {name: jnp.asarray(batch[name]) for name in training.fields}
    return jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params).compile(FAST_COMPILE)(params)


def assert_near(found, expected, tolerance=1e-5):
    """Compares every array of a tree to `tolerance` of its largest value.

    For an array that is small beside the others, its largest value counts as 1e-5 of theirs: it is mostly rounding.
    """
    floor = 1e-5 * max(np.abs(x).max() for x in jax.tree.leaves(expected))

    def check(x, y):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * max(np.abs(y).max(), floor))

    jax.tree.map(check, found, expected)


def test_a_step_is_the_loss_and_an_optax_update_of_its_gradient():
    training = stand_in(clip_norm=0.5, weight_decay=0.1, learning_rate=0.01)
    params, batch = stand_in_params(), drawn_batch(4)
    (loss, terms), gradient = loss_and_gradient(training, params, batch)
    chain = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adamw(0.01, weight_decay=0.1, mask={name: name.endswith("kernel") for name in params}),
    )
    updates, _ = chain.update(gradient, chain.init(params), params)
    state, (scalars,) = run(training, [batch])
    assert_near(state.params, optax.apply_updates(params, updates))
    assert scalars["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert scalars["gradient_norm"] == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-5)
    assert scalars["gradient_norm"] > 0.5  # so the gradient was clipped
    assert {name: scalars[name] for name in terms} == pytest.approx(jax.tree.map(float, terms), rel=1e-5)
    assert scalars["learning_rate"] == pytest.approx(0.01)
    assert int(state.step) == 1


def test_steps_lower_the_loss():
    _, scalars = run(stand_in(updates=30), [drawn_batch(4)] * 30)
    assert scalars[-1]["loss"] < 0.8 * scalars[0]["loss"]


def test_adam_decays_through_its_gradient():
    params, batch = stand_in_params(), drawn_batch(4)
    training = stand_in(kind="adam", weight_decay=0.5)
    _, gradient = loss_and_gradient(training, params, batch)
    kernels = {name: name.endswith("kernel") for name in params}
    chain = optax.chain(optax.add_decayed_weights(0.5, kernels), optax.adam(0.1))
    updates, _ = chain.update(gradient, chain.init(params), params)
    state, _ = run(training, [batch])
    assert_near(state.params, optax.apply_updates(params, updates))


def test_micro_batches_add_up_to_the_bigger_batch():
    batch = drawn_batch(8)  # the parts are annotated unevenly
    whole, expected = run(stand_in(), [batch] * 2)
    for parts in (2, 8):
        state, scalars = run(stand_in(accumulation=parts), [batch] * 2)
        assert_near(state, whole)
        assert scalars[1] == pytest.approx(expected[1], rel=1e-5)
    with pytest.raises(InputError, match="accumulation must divide the 8 clips"):
        run(stand_in(accumulation=3), [batch])


@pytest.mark.parametrize("field", ["frames", "density", "face_crops"])
def test_a_batch_with_nan_is_skipped_and_counted(field):
    good, bad = drawn_batch(4), drawn_batch(4)
    bad[field][3, 1].flat[0] = np.nan
    training = stand_in(ema_decay=0.5, learning_rate=0.01)
    before, _ = run(training, [good])
    state, scalars = run(training, [bad, bad], before)
    for name in ("params", "opt_state", "ema"):
        jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(before, name))
    assert (int(state.step), int(state.skipped), int(state.skipped_in_a_row)) == (3, 2, 2)
    assert [s["skipped_in_a_row"] for s in scalars] == [1, 2]
    assert not np.isfinite(scalars[0]["gradient_norm"])

    state, scalars = run(training, [good], state)
    assert (int(state.step), int(state.skipped), int(state.skipped_in_a_row)) == (4, 2, 0)
    without, _ = run(training, [good, good])
    jax.tree.map(np.testing.assert_array_equal, state.params, without.params)


def test_the_running_mean_of_weights():
    training = stand_in(ema_decay=0.5)
    params, batch = stand_in_params(), drawn_batch(4)
    mean, state = params, None
    for made in range(8):
        state, _ = run(training, [batch], state)
        decay = min(0.5, (1 + made) / (10 + made))
        mean = {name: decay * mean[name] + (1 - decay) * state.params[name] for name in mean}
        assert_near(state.ema, mean, 1e-6)
    assert any(np.abs(state.ema[name] - state.params[name]).max() > 1e-3 for name in mean)
    state, _ = run(stand_in(ema_decay=0.0), [batch] * 2)
    jax.tree.map(np.testing.assert_array_equal, state.ema, state.params)


def test_frozen_parameters_stay_and_cost_nothing():
    training = stand_in(freeze=("face.*", "visual.conv1_1.kernel"), ema_decay=0.9, weight_decay=0.1)
    params, batch = stand_in_params(), drawn_batch(4)
    state, (scalars,) = run(training, [batch])
    left = "fusion.head.bias"
    assert {name for name in params if np.any(state.params[name] != params[name])} == {left}
    assert {name for name in params if np.any(state.ema[name] != params[name])} == {left}
    assert sum(x.size for x in jax.tree.leaves(state.opt_state) if x.ndim) == 2 * params[left].size
    _, gradient = loss_and_gradient(training, params, batch)
    assert scalars["gradient_norm"] == pytest.approx(float(np.linalg.norm(gradient[left])), rel=1e-5)


def test_parts_learn_at_their_own_rates():
    params, batch = stand_in_params(), drawn_batch(4)
    plain, _ = run(stand_in(weight_decay=0.1), [batch])
    slow, _ = run(stand_in(weight_decay=0.1, texture_factor=0.25, face_factor=0.5), [batch])
    for name in params:
        factor = {"visual": 0.25, "face": 0.5}.get(name.split(".")[0], 1)
        assert_near(slow.params[name] - params[name], factor * (plain.params[name] - params[name]))


def test_face_losses_need_a_face_branch():
    with pytest.raises(InputError, match="need a model with a face branch"):
        Training(ModelConfig.tiny(), WEIGHTS, OptimizerConfig(), 10)


def test_face_terms_alone_leave_the_rest_of_the_model_out():
    freeze = ("visual.*", "audio.*", "fusion.*")
    faces = LossWeights(kl=0.0, faces=1.0, talking=1.0)

    def stepped(weights: LossWeights) -> tuple[float, set[str], dict[str, jax.Array]]:
        training = Training(small_config(), weights, OptimizerConfig(freeze=freeze), 10)
        batch = {name: drawn_batch(4)[name][3:] for name in training.step_fields}
        step = sharding.parallelise(training.step, one_device())
        state = training.initial_state(drawn_params(training.model))
        compiled = step.lower(state, batch).compile(FAST_COMPILE)
        _, scalars = compiled(state, batch)
        return compiled.cost_analysis()["flops"], set(batch), scalars

    alone, read, terms = stepped(faces)
    whole, all_read, all_terms = stepped(WEIGHTS)
    assert terms.keys() ^ all_terms.keys() == {"kl", "cc", "nss"}
    assert read ^ all_read == {"frames", "frames_past"}
    assert alone < 0.5 * whole
    for name in ("faces", "talking", "speaker"):
        assert float(all_terms[name]) == pytest.approx(float(terms[name]), rel=1e-6), name
        assert float(terms[name]) > 0, name


def test_evaluation_adds_up_to_the_loss():
    training, batch, params = stand_in(), drawn_batch(4), stand_in_params()
    mesh = one_device()
    evaluate = sharding.parallelise_stateful(training.evaluate, mesh)
    parts = [{name: batch[name][part] for name in training.fields} for part in (slice(0, 1), slice(1, 4))]
    starts = [sharding.split(training.initial_carry(len(part["valid"]), 2), mesh) for part in parts]
    results = [
        evaluate(sharding.replicate(params, mesh), sharding.place(part, mesh), start)[0][:2]
        for part, start in zip(parts, starts, strict=True)
    ]
    sums, counts = jax.tree.map(lambda *x: float(sum(x)), *results)
    (_, terms), _ = loss_and_gradient(training, params, batch)
    assert {name: sums[name] / counts[name] for name in sums} == pytest.approx(jax.tree.map(float, terms), rel=1e-5)


def gradient_of_the_model(dtype="float32", **changes):
    """Loss, terms and gradient of the model of `small_config`, and the bytes of temporary memory of the program."""
    training = Training(small_config(dtype=dtype), WEIGHTS, OptimizerConfig(), 10, **changes)
    batch = {name: drawn_batch(2, steps=4)[name] for name in training.fields}

    def loss(params, batch):
        return losses.total(*training.forward(params, batch)[:2], batch, training.weights)

    params = drawn_params(training.model)
    lowered = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, batch)
    compiled = lowered.compile(FAST_COMPILE)
    return compiled(params, batch), compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_rematerialisation_changes_nothing_but_memory():
    expected, whole = gradient_of_the_model()
    found, parts = gradient_of_the_model(live_frames=2)
    assert_near(found, expected, 1e-4)
    assert parts < 0.7 * whole
    with pytest.raises(InputError, match="live_frames must divide the clip length 4, found 3"):
        gradient_of_the_model(live_frames=3)


def test_bfloat16_keeps_parameters_and_loss_in_float32():
    training = Training(small_config(dtype="bfloat16"), WEIGHTS, OptimizerConfig(), 10)
    batch = {name: drawn_batch(2)[name] for name in training.fields}
    params = drawn_params(training.model, seed=1)  # with seed 0 no input reaches the output of the face branch
    state = training.initial_state(params)
    mesh = one_device()
    shapes = jax.eval_shape(sharding.parallelise(training.step, mesh), state, batch)
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(shapes)}
    assert kinds == {"float32", "int32"}
    exact = Training(small_config(), WEIGHTS, OptimizerConfig(), 10)
    rough, close = (
        sharding.parallelise_stateful(t.evaluate, mesh)
        .lower(params, batch, t.initial_carry(2, 2))
        .compile(FAST_COMPILE)(params, batch, t.initial_carry(2, 2))[0][0]
        for t in (training, exact)
    )
    for name in rough:
        assert 0 < abs(float(rough[name] - close[name])) < 0.05 * max(abs(float(close[name])), 1), name
