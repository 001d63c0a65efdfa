"""The slots in which a face branch takes faces."""

import numpy as np
import pytest

from tests.helpers import face_videos
from vasal_jax.config import CROP_SIZE
from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.faces.slots import FaceSlots
from vasal_jax.inputs.video import read_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return face_videos.write_talkers(tmp_path_factory.mktemp("video") / "v.mkv", 8)


@pytest.mark.parametrize(
    ("columns", "slots", "expected"),
    [
        (("xxxx",), 1, ["0000"]),
        (("xx.xx",), 1, ["00.11"]),  # a gap ends a track: the branch forgets
        (("xx...", "...xx"), 1, ["00.11"]),  # two columns share a slot
        (("xx...", "..xxx"), 2, ["00...", "..111"]),  # but for a free frame in between
        ((".xxxx", "xxxxx", "x..xx"), 3, None),
        (("x.x.x.", "xx.xx.", ".....x"), 3, None),
        ((".....", "....."), 0, []),
        ((), 0, []),
    ],
)
def test_each_track_has_a_slot_of_its_own(columns, slots, expected):
    boxes, mask = face_videos.marked_tracks(*columns) if columns else (np.zeros((5, 0, 4)), np.zeros((5, 0), bool))
    found = FaceSlots(boxes, mask)
    assert found.slots == slots
    assert len(found) == len(mask)
    if expected is not None:
        marks = np.array([["." if number < 0 else str(number) for number in found[t].track] for t in range(len(mask))])
        assert ["".join(row) for row in marks.T] == expected
    seen: dict[int, tuple[int, int, int]] = {}  # slot, column and last frame of each track
    for t in range(len(mask)):
        faces = found[t]
        assert sorted(faces.column[faces.mask]) == np.flatnonzero(mask[t]).tolist()
        for slot in np.flatnonzero(faces.mask):
            track, column = int(faces.track[slot]), int(faces.column[slot])
            np.testing.assert_array_equal(faces.boxes[slot], boxes[t, column])
            assert seen.get(track, (slot, column, t - 1)) == (slot, column, t - 1)
            if track not in seen and t:  # a new one: nobody was here on the frame before, nor in its column
                assert not found[t - 1].mask[slot]
                assert not mask[t - 1, column]
            seen[track] = slot, column, t
        assert not faces.boxes[~faces.mask].any()
        assert (faces.track[~faces.mask] == -1).all()
    assert list(seen) == list(range(len(seen)))  # numbered as they begin


def test_frames_behind_the_tracks_have_the_same_slots_and_no_faces():
    slots = FaceSlots(*face_videos.marked_tracks("xxx", "xxx"))
    behind = slots[3]
    assert behind.boxes.shape == (2, 4)
    assert not behind.mask.any()


def test_inputs_are_cut_from_whole_frames(video):
    frames = list(read_frames(video))
    boxes = face_videos.boxes_of(face_videos.paths(5))  # 5 of 8 frames
    slots = FaceSlots(boxes, np.ones((5, 2), bool))
    found = slots.of_clip(frames[3:8])[0]
    assert {name: (value.shape, value.dtype.name) for name, value in found.items()} == {
        "face_crops": ((5, 2, CROP_SIZE, CROP_SIZE, 3), "float32"),
        "face_boxes": ((5, 2, 4), "float32"),
        "face_mask": ((5, 2), "bool"),
    }
    assert found["face_mask"].sum(1).tolist() == [2, 2, 0, 0, 0]
    there = np.ones(2, bool)
    for step in range(2):
        crops = crop_faces(frames[3 + step].image, boxes[3 + step], there)
        np.testing.assert_array_equal(found["face_crops"][step], model_crops(crops, there))
    assert found["face_crops"][0].std() > 20  # squares on a dark ground
    assert not found["face_crops"][2:].any()
