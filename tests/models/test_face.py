"""The face branch: its symmetries, its masks, its memory, and the map it draws."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.helpers.golden import drawn_clip, drawn_state, to_batch
from tests.helpers.models import call
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces import maps as inputs
from vasal_jax.models import FaceBranch, ModelConfig, VASal, gaussian_map
from vasal_jax.weights import parameters, pytorch

SMALL = ModelConfig.tiny_full(face=(4, 6, 8, 12, 10))
HEARING = ModelConfig.tiny_full(face=(4, 6, 8, 12, 10), face_audio=6)
CHANNELS = 2 * HEARING.audio[-1]
BOTH = pytest.mark.parametrize("config", [SMALL, HEARING], ids=["as in the figure", "with sound"])


def drawn_values(shapes: dict[str, tuple[int, ...]], seed: int = 3) -> dict[str, np.ndarray]:
    """Parameters that keep the variance of signals, heads included, so that the weights of faces differ."""
    rng = np.random.default_rng(seed)
    scales = {name: np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.05 for name, shape in shapes.items()}
    return {name: (rng.standard_normal(shapes[name]) * scales[name]).astype(np.float32) for name in sorted(shapes)}


def drawn_model(config: ModelConfig) -> VASal:
    return parameters.build(config, drawn_values(parameters.parameter_shapes(config)), "drawn")


def drawn_branch(config: ModelConfig) -> FaceBranch:
    return drawn_model(config).face


def drawn_faces(steps: int, faces: int, seed: int = 0, batch: int = 2) -> dict[str, np.ndarray]:
    """Inputs of the branch; every face is there all the time."""
    rng = np.random.default_rng(seed)
    low, size = rng.uniform(0, 0.6, (batch, 1, faces, 2)), rng.uniform(0.1, 0.35, (batch, 1, faces, 2))
    boxes = np.concatenate([low, low + size], axis=-1) + rng.uniform(-0.01, 0.01, (batch, steps, faces, 4))
    arrays = {
        "crops": rng.uniform(-120, 150, (batch, steps, faces, 64, 64, 3)),
        "boxes": np.clip(boxes, 0, 1),
        "audio": rng.uniform(0, 200, (batch, steps, 32, 32, CHANNELS)),
        "mel": rng.uniform(0, 255, (batch, steps, 16, 64, 64, 1)),
    }
    return {name: x.astype(np.float32) for name, x in arrays.items()} | {"mask": np.ones((batch, steps, faces), bool)}


@partial(jax.jit, static_argnames="graph")
def run_compiled(graph, state, batch, carry):
    found, carry = nnx.merge(graph, state)(**batch, carry=carry)
    return found, map_of(batch, found.weights), carry


def run(branch: FaceBranch, batch: dict, carry=None):
    """The branch's `FaceLogits`, its face map, the carry."""
    return run_compiled(*nnx.split(branch), batch, carry)


def map_of(batch: dict, logits: jax.Array) -> jax.Array:
    return gaussian_map(batch["boxes"], batch["mask"], jax.nn.softmax(logits)[..., :-1])


def slots(batch: dict, index) -> dict:
    """The batch with other face slots."""
    return batch | {name: batch[name][:, :, index] for name in ("crops", "boxes", "mask")}


def steps(batch: dict, begin: int, end: int | None = None) -> dict:
    return {name: x[:, begin:end] for name, x in batch.items()}


@partial(jax.jit, static_argnames="graph")
def gradients_compiled(graph, state, floats, mask, weight):
    def loss(state, floats):
        found, _ = nnx.merge(graph, state)(**floats, mask=mask)
        value = (map_of(floats | {"mask": mask}, found.weights) * weight).sum()
        return value + (found.talking * found.talking).sum()

    return jax.grad(loss, argnums=(0, 1))(state, floats)


def gradients(branch: FaceBranch, batch: dict) -> tuple[dict, dict]:
    """Gradients of a loss over the face map and the talking logits, with respect to parameters and to inputs."""
    floats = {name: x for name, x in batch.items() if name != "mask"}
    weight = np.random.default_rng(8).standard_normal((32, 32)).astype(np.float32)
    state, floats = gradients_compiled(*nnx.split(branch), floats, batch["mask"], weight)
    return {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}, floats


def assert_close(found, expected, tolerance: float):
    """Compares two arrays to `tolerance` of the largest magnitude of `expected`."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1e-30, np.abs(expected).max()))


@BOTH
def test_permuted_faces_have_permuted_weights_and_one_map(config):
    branch, order = drawn_branch(config), np.array([2, 0, 3, 1])
    batch = drawn_faces(4, 4)
    batch["mask"][:, :2, 3] = False
    found, drawn, carry = run(branch, batch)
    permuted, redrawn, permuted_carry = run(branch, slots(batch, order))
    weights = jax.nn.softmax(found.weights)
    assert np.ptp(np.asarray(weights[:, -1, :4])) > 0.02  # the weights differ
    np.testing.assert_allclose(jax.nn.softmax(permuted.weights)[..., :4], weights[..., order], atol=1e-6)
    np.testing.assert_allclose(jax.nn.softmax(permuted.weights)[..., 4], weights[..., 4], atol=1e-6)
    np.testing.assert_allclose(permuted.talking, found.talking[..., order], atol=1e-5)
    assert_close(redrawn, drawn, 1e-5)
    for ours, theirs in zip(permuted_carry, carry, strict=True):
        np.testing.assert_allclose(ours, theirs[:, order], atol=1e-5)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -3e38])
def test_masked_faces_have_no_effect_on_values_and_gradients(garbage):
    """Garbage under the mask changes no value and no gradient, and the result is that of a batch without the slot."""
    branch = drawn_branch(HEARING)
    batch = drawn_faces(4, 4)
    batch["mask"][:, :, 1] = False
    batch["mask"][:, 1:3, 2] = False
    hidden = ~batch["mask"]
    spoilt = batch | {name: batch[name].copy() for name in ("crops", "boxes")}
    spoilt["crops"][hidden] = garbage
    spoilt["boxes"][hidden] = garbage

    clean, found = run(branch, batch), run(branch, spoilt)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(clean), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (of_clean, _), (of_parameters, of_inputs) = gradients(branch, batch), gradients(branch, spoilt)
    for name in of_clean:
        np.testing.assert_array_equal(of_parameters[name], of_clean[name], err_msg=name)
    for name in ("crops", "boxes"):
        assert not np.asarray(of_inputs[name])[hidden].any()
        assert np.asarray(of_inputs[name])[~hidden].any()

    fewer = slots(batch, np.array([0, 2, 3]))
    found, found_map, _ = run(branch, fewer)
    np.testing.assert_allclose(found.weights, clean[0].weights[..., [0, 2, 3, 4]], atol=1e-5)
    assert_close(found_map, clean[1], 1e-5)
    of_fewer, _ = gradients(branch, fewer)
    for name in of_clean:
        assert_close(of_fewer[name], of_clean[name], 1e-4)


@pytest.mark.parametrize("faces", [0, 4])
def test_without_faces_the_map_is_zero_and_every_gradient_finite(faces):
    branch = drawn_branch(HEARING)
    batch = drawn_faces(4, faces)
    batch["mask"][:] = False
    found, drawn, carry = run(branch, batch)
    assert not np.asarray(drawn).any()
    np.testing.assert_array_equal(jax.nn.softmax(found.weights)[..., -1], 1)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients(branch, batch)))
    assert not any(np.asarray(x).any() for x in carry)
    batch["mask"][:, ::2] = True  # faces in some frames
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients(branch, batch)))


@BOTH
def test_clips_with_the_carry_equal_one_long_clip(config):
    """Slots are empty at the start, in the middle, at a border between clips, and at the end."""
    branch = drawn_branch(config)
    batch = drawn_faces(9, 5)
    for slot, absent in enumerate([slice(0, 0), slice(0, 3), slice(2, 6), slice(3, 5), slice(7, 9)]):
        batch["mask"][:, absent, slot] = False
    whole, whole_map, last = run(branch, batch)
    carry, parts = branch.initial_carry(2, 5), []
    for begin, end in ((0, 4), (4, 5), (5, 9)):
        found, drawn, carry = run(branch, steps(batch, begin, end), carry)
        parts.append((found, drawn))
    found, drawn = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *parts)
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert_close(drawn, whole_map, 1e-5)
    for ours, theirs in zip(carry, last, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@BOTH
def test_a_face_that_appears_starts_afresh(config):
    """After an absence the state of a slot starts afresh: the frames that follow equal a clip that begins there."""
    branch = drawn_branch(config)
    batch = drawn_faces(7, 1)
    batch["mask"][:, 3] = False
    found, _, carry = run(branch, batch)
    alone, _, alone_carry = run(branch, steps(batch, 4))
    np.testing.assert_allclose(found.weights[:, 4:], alone.weights, atol=1e-6)
    assert np.abs(found.weights[:, 2] - found.weights[:, 4]).max() > 1e-3
    for ours, theirs in zip(carry, alone_carry, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_only_the_hearing_branch_hears():
    batch = drawn_faces(3, 3)
    for name, altered in (("mel", batch["mel"] * 0.2), ("audio", batch["audio"][..., ::-1])):
        for config, hears in ((SMALL, False), (HEARING, True)):
            branch = drawn_branch(config)
            changes = np.abs(run(branch, batch)[0].talking - run(branch, batch | {name: altered})[0].talking)
            assert (changes.max() > 1e-4) == hears, name


def test_no_face_draws_the_map_towards_that_of_a_frame_without_faces():
    batch = drawn_faces(1, 3, batch=1)
    boxes, mask = batch["boxes"][0, 0], batch["mask"][0, 0]
    shares = np.array([0.2, 0.5, 0.3], np.float32)
    whole = gaussian_map(boxes, mask, shares)
    assert_close(gaussian_map(boxes, mask, 0.25 * shares), 0.25 * whole, 1e-6)
    assert not np.asarray(gaussian_map(boxes, mask, 0 * shares)).any()
    # So small that a division by the sum of the shares would overflow float32.
    for tiny in (1e-10, 1e-20, 1e-30, 1e-38, 0):
        gradient = jax.grad(lambda w: (gaussian_map(boxes, mask, w) ** 2).sum())(np.float32(tiny) * shares)
        assert np.isfinite(gradient).all(), tiny


@pytest.mark.parametrize("faces", [1, 3, 6])
def test_equal_weights_draw_the_ready_made_map(faces):
    batch = drawn_faces(2, faces, seed=faces)
    boxes, mask = batch["boxes"], batch["mask"]
    mask[1, 1, 0] = False
    boxes[0, 0, 0] = (0.5, 0.5, 0.505, 0.502)  # narrower than the narrowest Gaussian
    boxes[0, 1, 0] = (0, 0, 1, 1)
    counts = np.maximum(mask.sum(-1, keepdims=True), 1)
    found = gaussian_map(boxes, mask, np.broadcast_to(1 / counts, mask.shape))
    for index in np.ndindex(2, 2):
        expected = inputs.normalise_face_map(inputs.gaussian_mixture(boxes[index], mask[index]))
        np.testing.assert_allclose(found[index], expected, atol=255e-5)


def test_other_weights_draw_the_ready_made_mixture():
    batch = drawn_faces(1, 4, batch=1)
    boxes, mask = batch["boxes"][0, 0], batch["mask"][0, 0]
    shares = np.array([0.1, 0.6, 0.3, 0.0])
    for scale in (0.425, 0.2):
        expected = inputs.normalise_face_map(inputs.gaussian_mixture(boxes, mask, shares, scale))
        np.testing.assert_allclose(gaussian_map(boxes, mask, shares, scale), expected, atol=255e-5)


def test_gradients_of_the_map_agree_with_finite_differences():
    """In float64, to 1e-5 of the largest gradient, for every coordinate of every box and for every weight."""
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 0.6, (2, 3, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.35, (2, 3, 2))], axis=-1)
    weights, mask = rng.uniform(0.1, 0.3, (2, 3)), np.array([[True, True, True], [True, False, True]])
    target = rng.standard_normal((2, 32, 32))

    with jax.enable_x64(True):

        def loss(boxes, weights):
            return (gaussian_map(boxes, mask, weights) * target).sum()

        found = jax.grad(loss, argnums=(0, 1))(jnp.asarray(boxes), jnp.asarray(weights))
        value = jax.jit(loss)
        for gradient, argument in zip(found, (boxes, weights), strict=True):
            expected = np.zeros_like(argument)
            for index in np.ndindex(argument.shape):
                step = np.zeros_like(argument)
                step[index] = 1e-6
                changed = [
                    value(boxes + s * step, weights) if argument is boxes else value(boxes, weights + s * step)
                    for s in (1, -1)
                ]
                expected[index] = (changed[0] - changed[1]) / 2e-6
            assert_close(gradient, expected, 1e-5)


def whole_batch(steps: int, faces: int) -> dict[str, np.ndarray]:
    drawn = drawn_faces(steps, faces, batch=1)
    return to_batch(drawn_clip(5, steps)) | {f"face_{name}": drawn[name] for name in ("crops", "boxes", "mask")}


@partial(jax.jit, static_argnames="graph")
def run_model_compiled(graph, state, batch, carry):
    return call(nnx.merge(graph, state), batch, carry=carry)


def run_model(model: VASal, batch: dict, carry=None):
    return run_model_compiled(*nnx.split(model), batch, model.initial_carry(1, 3) if carry is None else carry)


def test_released_weights_and_an_own_face_branch_work_together():
    """If all faces weigh the same, the model with a face branch equals the released one with the ready-made map."""
    released = pytorch.from_pytorch(drawn_state(ModelConfig.tiny()), ModelConfig.tiny(), "drawn")
    own = parameters.arrays(drawn_model(HEARING))
    own |= {f"face.{head}.kernel": 0 * own[f"face.{head}.kernel"] for head in ("weight", "none")}
    own["face.none.bias"] = np.full(1, -40, np.float32)  # "no face" gets a weight of 0
    joined = parameters.build(HEARING, own | released, "joined")
    batch = whole_batch(2, 3)
    logits, faces, _ = run_model(joined, batch)
    boxes, mask = batch["face_boxes"][0], batch["face_mask"][0]
    maps = [inputs.normalise_face_map(inputs.gaussian_mixture(b, m)) for b, m in zip(boxes, mask, strict=True)]
    plain = parameters.build(ModelConfig.tiny(), released, "released")
    expected, none, _ = run_model(plain, batch | {"face_map": np.stack(maps)[None, ..., None]})
    assert_close(logits, expected, 1e-5)
    assert none is None
    assert faces.weights.shape == (1, 2, 4)
    assert faces.talking.shape == (1, 2, 3)


def test_the_whole_model_streams():
    model, batch = drawn_model(HEARING), whole_batch(4, 3)
    batch["face_mask"][:, :2, 1] = False
    whole, _, last = run_model(model, batch)
    begin, _, carry = run_model(model, steps(batch, 0, 2))
    end, _, carry = run_model(model, steps(batch, 2), carry)
    assert_close(jnp.concatenate([begin, end], axis=1), whole, 1e-5)
    for ours, theirs in zip(jax.tree.leaves(carry), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_fresh_branch_starts_from_about_the_ready_made_map():
    batch = drawn_faces(4, 4)
    weights = np.asarray(jax.nn.softmax(run(FaceBranch(HEARING, rngs=nnx.Rngs(0)), batch)[0].weights))
    np.testing.assert_allclose(weights[..., :4], 1 / 4, atol=0.05)
    assert weights[..., 4].max() < 0.05


def test_bfloat16_computes_in_bfloat16_and_weighs_in_float32():
    batch = drawn_faces(3, 3)
    exact = drawn_branch(HEARING)
    rough = drawn_branch(dataclasses.replace(HEARING, dtype="bfloat16"))
    found, drawn, carry = run(rough, batch)
    assert {x.dtype for x in (*found, drawn)} == {jnp.dtype("float32")}
    assert [x.dtype for x in carry[:3]] == [jnp.dtype(name) for name in ("bfloat16", "float32", "bfloat16")]
    for logits in (found.talking, found.weights):  # the heads' results are not rounded to bfloat16
        finite = np.asarray(logits)[np.isfinite(logits)]
        assert (finite != finite.astype(jnp.bfloat16).astype(np.float32)).mean() > 0.5
    # Crops of noise change as much as possible from frame to frame, and the branch amplifies changes.
    assert 1e-6 < np.abs(found.talking - run(exact, batch)[0].talking).max() < 0.1


def test_missing_face_inputs_are_named():
    batch = whole_batch(1, 2)
    model = drawn_model(SMALL)
    with pytest.raises(InputError, match="face_mask, found no face_crops, face_mask"):
        call(model, {name: batch[name] for name in ("frames", "frames_past", "mel", "face_boxes")})
    with pytest.raises(InputError, match="expected the 3 face slots of the carry, found 2"):
        call(model, batch, carry=model.initial_carry(1, 3))
    with pytest.raises(InputError, match="without a face branch expects face_map, found no face_map"):
        call(drawn_model(ModelConfig.tiny()), {name: batch[name] for name in ("frames", "frames_past", "mel")})
