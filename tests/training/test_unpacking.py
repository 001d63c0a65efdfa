"""Packed batches on the device against the same windows made by hand."""

import jax
import numpy as np
import pytest

from tests.helpers.batches import packed_batch, unpacked_by_hand
from vasal_jax.ablations import without_senses
from vasal_jax.batch import OF_A_CLIP, Batch, PackedBatch, held, packed_names
from vasal_jax.training.unpacking import unpacked

MADE = ("frames", "frames_past", "mel", "face_crops")


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    """Of two clips, the first with its colours unchanged."""
    return packed_batch(2, steps=3)


def arrays(batch):
    return {name: value for name, value in batch.items() if name != "video"}


@pytest.fixture(scope="module")
def found(batch) -> dict[str, np.ndarray]:
    return jax.tree.map(np.asarray, jax.jit(unpacked)(arrays(batch)))


def test_pictures_are_the_stored_ones_to_the_bit(batch, found):
    expected = unpacked_by_hand(batch)
    for name in ("frames", "frames_past", "face_crops"):
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name][0], expected[name][0], err_msg=name)
    np.testing.assert_allclose(found["mel"], expected["mel"], rtol=2e-7)
    past = batch["pictures"][0, batch["past_at"][0, 1]] - np.array((123.68, 116.779, 103.939), np.float32)
    np.testing.assert_array_equal(found["frames_past"][0, 1], past)
    assert not found["face_crops"][~batch["face_mask"]].any()


def test_colours_change_as_they_should(batch, found):
    expected = unpacked_by_hand(batch)
    for name in ("frames", "frames_past", "face_crops"):
        np.testing.assert_allclose(found[name][1], expected[name][1], rtol=0, atol=1e-4, err_msg=name)
    plain = unpacked_by_hand(batch | {"colour": np.ones((2, 3), np.float32)})
    assert np.abs(plain["frames"][1] - found["frames"][1]).max() > 5


def test_what_is_not_packed_is_left_alone(batch, found):
    assert set(found) >= set(Batch.__required_keys__) - {"video"}
    for name in set(Batch.__required_keys__) - {*MADE, "video"}:
        np.testing.assert_array_equal(found[name], batch[name], err_msg=name)
    plain = unpacked_by_hand(batch)
    assert unpacked(plain) == plain


def test_fields_are_held_packed_or_not(batch):
    names = ("frames", "mel", "face_mask")
    assert tuple(held(batch, names)) == packed_names(names)
    assert tuple(held(unpacked_by_hand(batch), names)) == names
    assert set(OF_A_CLIP) < set(PackedBatch.__required_keys__)
    for name, value in arrays(batch).items():
        assert (value.shape[1] == 3) != (name in OF_A_CLIP) or name == "colour", name


def test_senses_are_taken_from_packed_batches_too(batch):
    left = unpacked_by_hand(without_senses(batch, ("sound", "faces")))
    assert not left["mel"].any()
    assert not left["face_mask"].any()
    assert not left["face_crops"].any()
    assert left["frames"].any()
