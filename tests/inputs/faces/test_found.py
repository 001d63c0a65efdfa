"""Faces found while a video goes by: those of the whole video, in flat memory, from one decoding."""

import threading
import weakref
from itertools import count

import numpy as np
import pytest

from tests.helpers import real_faces
from tests.helpers.media import write_video
from tests.inputs.faces.test_detection import Told, draw
from vasal_jax.inputs import clips as clips_module
from vasal_jax.inputs.clips import VideoClips
from vasal_jax.inputs.faces.detection import FaceFollower, detect_tracks
from vasal_jax.inputs.faces.found import SLOTS, FoundMaps
from vasal_jax.inputs.faces.sources import open_faces
from vasal_jax.inputs.faces.tracking import stacked
from vasal_jax.inputs.video import Frame, probe, read_frames


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """3 shots with 3, 5 and 4 faces."""
    return real_faces.write_drawn(tmp_path_factory.mktemp("drawn") / "v.mp4")[0]


def clips_of(video, face_branch: bool, length: int = 4, record=None, **options):
    faces = open_faces("auto", probe(video), record=record)
    return list(VideoClips(video, length, faces=faces, face_branch=face_branch, **options))


@pytest.mark.parametrize("length", [2, 12])
@pytest.mark.parametrize("released", [False, True])
def test_one_pass_gives_a_face_branch_what_two_give(drawn, length, released):
    found = clips_of(drawn, True, length, released=released)
    options = {"faces": detect_tracks(drawn), "face_branch": True, "released": released}
    expected = list(VideoClips(drawn, length, **options))
    assert len(found) == len(expected) > 2
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.slots in SLOTS
        spare = mine.slots - theirs.slots
        assert spare >= 0 or not theirs.batch["face_mask"][:, :, mine.slots :].any()  # slots that come later
        for name in ("face_crops", "face_boxes", "face_mask"):
            both = min(mine.slots, theirs.slots)
            np.testing.assert_array_equal(mine.batch[name][:, :, :both], theirs.batch[name][:, :, :both])
            assert not mine.batch[name][:, :, both:].any()
        for one, other in zip(mine.faces, theirs.faces, strict=True):
            np.testing.assert_array_equal(one.track[one.mask], other.track[other.mask])
            np.testing.assert_array_equal(one.column[one.mask], other.column[other.mask])


def test_slots_only_grow(drawn):
    slots = [clip.slots for clip in clips_of(drawn, True)]
    assert slots == sorted(slots)
    assert slots[0] == 4
    assert slots[-1] == 16  # 3, then 5 others, then 4 of which 3 have the slots of the first


def test_one_pass_gives_maps_of_all_faces(drawn):
    found, expected = clips_of(drawn, False), VideoClips(drawn, 4, faces=detect_tracks(drawn))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.batch["face_map"], theirs.batch["face_map"])
        assert mine.batch["face_map"].any()


@pytest.mark.parametrize("released", [False, True])
def test_all_frames_are_recorded_in_order(drawn, released):
    record = []
    clips_of(drawn, True, 12, record.append, released=released)
    for mine, expected in zip(stacked(record), detect_tracks(drawn), strict=True):
        np.testing.assert_array_equal(mine, expected)


@real_faces.needs_filmed
def test_filmed_faces_in_one_pass():
    record = []
    clips_of(real_faces.FILMED, True, record=record.append)
    boxes, mask = stacked(record)
    real_faces.check_filmed(boxes, mask, columns=8)
    np.testing.assert_array_equal(boxes, detect_tracks(real_faces.FILMED)[0])


def test_the_video_is_decoded_once(drawn, monkeypatch):
    opened = []
    monkeypatch.setattr(clips_module, "read_frames", lambda path: opened.append(path) or read_frames(path))
    clips_of(drawn, True)
    assert len(opened) == 1


def test_nothing_needs_the_whole_video_and_few_frames_are_held(monkeypatch, tmp_path):
    """A camera that never stops: clips come all the same, and pictures of frames long gone are let go."""
    frames: list[weakref.ref] = []

    def endless(_):
        for index in count():
            image = draw([(0.3, 0.5), (0.7, 0.5)])
            frames.append(weakref.ref(image))
            yield Frame(index, index / 25, image)

    video = write_video(tmp_path / "v.mp4", [draw([(0.5, 0.5)])] * 3)
    monkeypatch.setattr(clips_module, "read_frames", endless)
    faces = open_faces("auto", probe(video), detector=Told())
    clips, alive = iter(VideoClips(video, 2, faces=faces, face_branch=True)), []
    for _ in range(60):
        clip = next(clips)
        assert clip.batch["face_mask"].sum() == 4
        alive.append(sum(frame() is not None for frame in frames))
    assert len(frames) < 60 * 2 + 20
    assert max(alive[10:]) <= 20
    clips.close()


def test_the_thread_ends_with_the_clips(drawn):
    def faces_threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("faces")]

    clips = iter(VideoClips(drawn, 2, faces="auto", face_branch=True))
    next(clips)
    assert len(faces_threads()) == 1
    clips.close()
    assert not faces_threads()


def test_a_detector_that_fails_ends_the_clips(drawn):
    def broken(image):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(VideoClips(drawn, 2, faces=open_faces("auto", probe(drawn), detector=broken)))


def test_a_video_without_faces_is_remarked_on_once(tmp_path, caplog):
    video = write_video(tmp_path / "v.mp4", [draw([])] * 20)
    clips = clips_of(video, True)
    assert [clip.slots for clip in clips] == [4] * 5
    assert not any(clip.batch["face_mask"].any() for clip in clips)
    said = [record.getMessage() for record in caplog.records]
    assert said.count(f"{video}: no faces were found") == 1


def test_a_frame_is_known_no_later_than_the_lookahead(drawn):
    """Asked for frame by frame, the faces of each need as many frames after it and no more."""
    follower, known = FaceFollower(Told(), "v"), 0
    for index in range(60):
        known += len(follower.see(draw([(0.5, 0.5)])))
        assert known >= index - follower.lookahead + 1
    assert known + len(follower.finish()) == 60
    found = FoundMaps(FaceFollower(Told(), "v"))
    for _ in range(found.lookahead + 1):
        found.see(draw([(0.5, 0.5)]))
    inputs, _ = found.of_clip([Frame(0, 0.0, draw([(0.5, 0.5)]))])  # would wait for ever otherwise
    assert inputs["face_map"].any()
    found.close()
