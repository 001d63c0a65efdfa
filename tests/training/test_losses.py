"""The losses against numbers worked out by hand, under masks, in parts, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.batches import drawn_batch
from vasal_jax import metrics
from vasal_jax.errors import InputError
from vasal_jax.models import FaceLogits
from vasal_jax.training import losses
from vasal_jax.training.losses import LossWeights

ALL = LossWeights(kl=1.0, cc=0.5, nss=0.25, faces=2.0, talking=3.0, speaker=1.5)
LOG2 = float(np.log(2))

total = jax.jit(losses.total, static_argnames="weights")


@jax.jit
def loss_and_gradient(logits, faces, batch):
    return jax.value_and_grad(lambda *outputs: losses.total(*outputs, batch, ALL)[0], argnums=(0, 1))(logits, faces)


def one_frame(**changes) -> dict[str, np.ndarray]:
    """One frame with a 2x2 map and two faces, its left and right halves; one fixation is in the upper left cell."""
    fields = {
        "density": [[1, 0], [0, 0]],
        "fixations": [[0.5, 0.5]],
        "valid": True,
        "face_boxes": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]],
        "face_mask": [True, True],
        "talking": [True, False],
        "talking_known": [True, True],
    }
    batch = {name: np.array(value)[None, None] for name, value in (fields | changes).items()}
    return {name: x.astype(np.float32) if x.dtype.kind in "if" else x for name, x in batch.items()}


def logits_of(probabilities) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, np.float32))[None, None]


def faces_of(weights=(0.25, 0.25, 0.5), talking=(0.0, 0.0)) -> FaceLogits:
    return FaceLogits(logits_of(weights), np.array(talking, np.float32)[None, None])


def terms(batch, probabilities=((0.25, 0.25), (0.25, 0.25)), faces=None) -> dict[str, float]:
    found = total(logits_of(probabilities), faces_of() if faces is None else faces, batch, ALL)[1]
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize(
    ("density", "probabilities", "expected"),
    [
        ([[1, 0], [0, 0]], [[0.25, 0.25], [0.25, 0.25]], 2 * LOG2),
        ([[0.5, 0.5], [0, 0]], [[0.25, 0.25], [0.25, 0.25]], LOG2),
        ([[0.5, 0.25], [0.25, 0]], [[0.5, 0.25], [0.25, 0.0]], 0.0),
        ([[0.75, 0.25], [0, 0]], [[0.25, 0.5], [0.125, 0.125]], 0.75 * np.log(3) - 0.25 * LOG2),
    ],
)
def test_kl(density, probabilities, expected):
    assert terms(one_frame(density=density), probabilities)["kl"] == pytest.approx(expected, abs=1e-6)


def test_cc():
    linear = [[0.4, 0.3], [0.2, 0.1]]
    assert terms(one_frame(density=[[0.7, 0.4], [0.1, -0.2]]), linear)["cc"] == pytest.approx(1, abs=1e-6)
    # Deviations (3, 1, -1, -3) and (3, -1, -1, -1): products 9 - 1 + 1 + 3 = 12, squares 20 and 12.
    assert terms(one_frame(), linear)["cc"] == pytest.approx(12 / np.sqrt(20 * 12), abs=1e-6)
    assert terms(one_frame())["cc"] == 0  # a uniform map says nothing


def test_nss():
    # Deviations (3, 1, -1, -3) / 20, standard deviation sqrt(5) / 20.
    probabilities = [[0.4, 0.3], [0.2, 0.1]]
    assert terms(one_frame(), probabilities)["nss"] == pytest.approx(3 / np.sqrt(5), abs=1e-6)
    points = [[1.9, 0.0], [2.0, 2.0], [np.nan, np.nan], [2.1, 0.0], [-0.1, 0.0]]  # two of them lie on the map
    assert terms(one_frame(fixations=points), probabilities)["nss"] == pytest.approx((1 - 3) / 2 / np.sqrt(5), abs=1e-6)


def test_maps_score_as_they_do_in_the_metrics():
    batch = drawn_batch(4)
    logits = np.random.default_rng(1).normal(0, 2, (4, 2, 32, 32)).astype(np.float32)
    maps = jax.nn.softmax(logits.reshape(4, 2, -1)).reshape(logits.shape)
    points = batch["fixations"]
    mask = np.isfinite(points).all(-1)
    expected = {
        "kl": metrics.kl(maps, batch["density"]),
        "cc": metrics.cc(maps, batch["density"]),
        "nss": metrics.nss(maps, np.where(mask[..., None], points, 0).astype(np.int32), mask),
    }
    found = total(logits, None, without_text(batch, "face"), LossWeights())[1]
    for name, values in expected.items():
        assert float(found[name]) == pytest.approx(float(jnp.nanmean(values)), rel=1e-4), name


def test_faces_and_talking():
    assert terms(one_frame())["faces"] == pytest.approx(2 * LOG2, abs=1e-6)  # all on the first, which weighs 1/4
    half = one_frame(fixations=[[0.5, 0.5], [1.5, 0.5]])
    assert terms(half)["faces"] == pytest.approx(LOG2, abs=1e-6)
    masked = one_frame(face_mask=[False, True])
    found = terms(masked, faces=faces_of((0.0, 0.75, 0.25), (np.nan, np.log(3))))
    assert found["faces"] == pytest.approx(2 * LOG2, abs=1e-6)  # the fixation counts for "no face"
    assert found["talking"] == pytest.approx(2 * LOG2, abs=1e-6)  # -log(1 - 3/4)
    assert terms(one_frame(talking_known=[True, False]), faces=faces_of(talking=(np.log(3), 9.0)))["talking"] == (
        pytest.approx(np.log(4 / 3), abs=1e-6)
    )


def test_speaker():
    assert terms(one_frame())["speaker"] == pytest.approx(2 * LOG2, abs=1e-6)  # the first talks and weighs 1/4
    both = terms(one_frame(talking=[True, True]), faces=faces_of((0.5, 0.25, 0.25)))
    assert both["speaker"] == pytest.approx(1.5 * LOG2, abs=1e-6)
    for unseen in ({"face_mask": [False, True]}, {"talking_known": [False, True]}, {"talking": [False, False]}):
        assert terms(one_frame(**unseen))["speaker"] == 0  # no face is known to talk, so the term is 0


def test_a_face_without_a_talking_flag_is_not_trained_as_silent():
    """The terms `talking` and `speaker` have no gradient for its weight or its talking logit."""
    batch = one_frame(talking_known=[True, False])
    found = terms(batch, faces=faces_of((0.25, 0.5, 0.25)))
    assert found["speaker"] == pytest.approx(LOG2, abs=1e-6)  # the speaker and no face weigh alike

    def speaker_and_talking(faces):
        means = losses.total(logits_of(((0.25, 0.25), (0.25, 0.25))), faces, batch, ALL)[1]
        return means["speaker"] + means["talking"]

    gradient = jax.grad(speaker_and_talking)(faces_of((0.25, 0.5, 0.25)))
    assert gradient.weights[0, 0, 1] == gradient.talking[0, 0, 1] == 0
    assert gradient.weights[0, 0, 0] < 0 < gradient.weights[0, 0, 2]


def test_the_loss_weighs_and_signs_its_terms():
    found = terms(one_frame(), [[0.4, 0.3], [0.2, 0.1]])
    loss, _ = total(logits_of([[0.4, 0.3], [0.2, 0.1]]), faces_of(), one_frame(), ALL)
    expected = found["kl"] - 0.5 * found["cc"] - 0.25 * found["nss"] + 2 * found["faces"] + 3 * found["talking"]
    expected += 1.5 * found["speaker"]
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def without_text(batch, *parts):
    return {name: x for name, x in batch.items() if not any(part in name for part in ("video", *parts))}


def drawn_outputs(batch, seed=3):
    rng = np.random.default_rng(seed)
    mask = batch["face_mask"]
    face_logits = np.concatenate(
        [np.where(mask, rng.normal(size=mask.shape), -np.inf), np.ones((*mask.shape[:2], 1))], -1
    )
    return rng.normal(size=batch["density"].shape).astype(np.float32), FaceLogits(
        face_logits.astype(np.float32), rng.normal(size=mask.shape).astype(np.float32)
    )


def part(tree, begin, end):
    return jax.tree.map(lambda x: x[begin:end], tree)


def test_shares_of_uneven_parts_add_up_to_the_whole():
    batch = without_text(drawn_batch(7))
    logits, faces = drawn_outputs(batch)
    whole = losses.counts(batch)
    assert {name: int(count) for name, count in whole.items()} == {
        "kl": 8,
        "cc": 8,
        "nss": 8,
        "faces": 4,
        "talking": 12,
        "speaker": 5,
    }
    expected = total(logits, faces, batch, ALL)
    bounds = ((0, 1), (1, 2), (2, 7))  # the first part has no fixations at all
    shares = [total(*part((logits, faces, batch), b, e), ALL, whole) for b, e in bounds]
    for found, value in zip(
        map(sum, zip(*map(jax.tree.leaves, shares), strict=True)), jax.tree.leaves(expected), strict=True
    ):
        assert float(found) == pytest.approx(float(value), rel=1e-5)


def test_what_is_masked_changes_nothing():
    batch = without_text(drawn_batch(7))
    logits, faces = drawn_outputs(batch)
    spoiled = {name: np.array(x) for name, x in batch.items()}
    off = ~batch["valid"]
    spoiled["density"][off], spoiled["fixations"][off] = 0.5, 7.0
    spoiled["face_boxes"][~batch["face_mask"]] = 0.9
    spoiled["talking"][~(batch["talking_known"] & batch["face_mask"])] ^= True
    changed = faces._replace(talking=np.where(batch["face_mask"], faces.talking, np.nan))
    found, expected = (total(logits, t, b, ALL) for t, b in ((changed, spoiled), (faces, batch)))
    assert jax.tree.map(float, found) == jax.tree.map(float, expected)


def nothing_on(field):
    batch = drawn_batch(3)
    if field == "faces":
        batch["face_mask"] = np.zeros_like(batch["face_mask"])
    if field == "slots":
        for name in ("face_boxes", "face_mask", "talking", "talking_known"):
            batch[name] = batch[name][:, :, :0]
    if field == "fixations":
        batch["fixations"] = np.full_like(batch["fixations"], np.nan)
        batch["density"] = np.zeros_like(batch["density"])
    if field == "valid":
        batch["valid"] = np.zeros_like(batch["valid"])
    if field == "talking":
        batch["talking_known"] = np.zeros_like(batch["talking_known"])
    return without_text(batch)


@pytest.mark.parametrize("field", ["nothing", "faces", "slots", "fixations", "valid", "talking"])
@pytest.mark.parametrize("flat", [False, True])
def test_gradients_are_finite_whatever_is_missing(field, flat):
    batch = nothing_on(field)
    logits, faces = drawn_outputs(batch)
    if flat:
        logits = np.zeros_like(logits)  # constant maps have no spread to divide by
    value, (to_logits, to_faces) = loss_and_gradient(logits, faces, batch)
    assert np.isfinite(value)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((to_logits, to_faces)))
    assert np.abs(to_logits).max() < 100
    assert not np.asarray(to_faces.weights)[..., :-1][~batch["face_mask"]].any()
    learns = {"valid": [], "faces": [], "slots": [], "talking": ["weights"]}
    for name, gradient in to_faces._asdict().items():
        assert np.any(gradient) == (name in learns.get(field, to_faces._fields)), name
    assert np.any(to_logits) == (field not in ("fixations", "valid"))


def test_nan_in_a_prediction_is_not_hidden():
    batch = one_frame()
    assert np.isnan(terms(batch, faces=faces_of(talking=(np.nan, 0.0)))["talking"])
    assert np.isnan(terms(batch, [[np.nan, 0.3], [0.2, 0.1]])["kl"])


@pytest.mark.parametrize("changes", [{"kl": -1.0}, {"nss": float("nan")}, {"talking": float("inf")}, {"kl": 0.0}])
def test_impossible_weights_are_refused(changes):
    with pytest.raises(InputError, match="loss weights"):
        LossWeights(**changes)


def test_weights_of_faces_need_a_face_branch():
    with pytest.raises(InputError, match="faces, speaker, talking set, but the model has no face branch"):
        losses.total(logits_of([[0.4, 0.3], [0.2, 0.1]]), None, one_frame(), ALL)
