"""Clips of a video as the model takes them."""

import logging

import numpy as np
import pytest

from tests.helpers import face_videos
from tests.helpers.media import picture, write_video
from vasal_jax.config import FRAME_OFFSET
from vasal_jax.errors import InputError
from vasal_jax.inputs import clips as clips_module
from vasal_jax.inputs.audio import HOP, hop_at, load_spectrogram, mel_picture
from vasal_jax.inputs.clips import VideoClips, cut_clips
from vasal_jax.inputs.faces.maps import FaceMaps
from vasal_jax.inputs.faces.slots import FaceSlots
from vasal_jax.inputs.sound import SAMPLE_RATE
from vasal_jax.inputs.video import Frame, model_frame, probe


def _video(folder, n: int):
    """Frame t shows t as its brightness; the sound gets louder and higher."""
    frames = [np.full((8, 8, 3), 2 * t, np.uint8) for t in range(n)]
    time = np.arange(SAMPLE_RATE * n // 25 + HOP) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * (300 + 500 * time) * time) * time / time[-1]
    return write_video(folder / "v.mkv", frames, codec="ffv1", pix_fmt="bgr0", sound=0.8 * sound)


@pytest.mark.parametrize("length", [1, 5, 12, 40])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 25])
def test_every_frame_is_in_one_clip_with_its_past_and_its_sound(tmp_path, n, length):
    video = _video(tmp_path, n)
    track = load_spectrogram(video)
    pictures = [mel_picture(track, hop_at(t / 25)) for t in range(n)]
    clips = list(VideoClips(video, length))
    assert [frame.index for clip in clips for frame in clip.frames] == list(range(n))
    assert [len(clip.frames) for clip in clips[:-1]] == [length] * (len(clips) - 1)
    for number, clip in enumerate(clips):
        shapes = {name: value.shape for name, value in clip.batch.items()}
        assert shapes == {
            "frames": (1, length, 256, 256, 3),
            "frames_past": (1, length, 256, 256, 3),
            "mel": (1, length, 16, 64, 64, 1),
            "face_map": (1, length, 32, 32, 1),
        }
        assert {value.dtype.name for value in clip.batch.values()} == {"float32"}
        for step in range(length):
            t = min(number * length + step, n - 1)  # past the end the last frame is repeated
            for name, shown in (("frames", t), ("frames_past", max(t - FRAME_OFFSET, 0))):
                expected = model_frame(np.full((8, 8, 3), 2 * shown, np.uint8))
                np.testing.assert_array_equal(clip.batch[name][0, step], expected)
            first = min(max(t - 8, 0), max(n - 16, 0))
            heard = [pictures[min(j, n - 1)] for j in range(first, first + 16)]
            np.testing.assert_array_equal(clip.batch["mel"][0, step, ..., 0], heard)
        assert not clip.batch["face_map"].any()


def test_frames_from_anywhere_with_several_tracks(tmp_path):
    """Pictures of a dataset, face maps of its tracks, and two sounds: each as if it were the only one."""
    video = _video(tmp_path, 20)
    frames = [Frame(t, t / 25, np.full((8, 8, 3), 2 * t, np.uint8)) for t in range(20)]
    track = load_spectrogram(video)
    face_maps = FaceMaps(range(20), 20, lambda index: np.arange(32 * 32).reshape(32, 32) == index)
    clips = list(cut_clips(iter(frames), {"mel": track, "backwards": track[:, ::-1]}, face_maps, 12))
    for clip, expected in zip(clips, VideoClips(video, 12), strict=True):
        assert [frame.index for frame in clip.frames] == [frame.index for frame in expected.frames]
        for name in ("frames", "frames_past", "mel"):
            np.testing.assert_array_equal(clip.batch[name], expected.batch[name])
        assert clip.batch["backwards"].shape == clip.batch["mel"].shape
        for step, frame in enumerate(clip.frames):
            assert clip.batch["face_map"][0, step, ..., 0].argmax() == frame.index
    heard = mel_picture(track[:, ::-1], hop_at(8 / 25))
    np.testing.assert_array_equal(clips[0].batch["backwards"][0, 0, 8, :, :, 0], heard)


@pytest.mark.parametrize(("n", "expected"), [(17, [5]), (28, [5]), (29, [5, 17]), (30, [5, 17])])
def test_released_clips(tmp_path, n, expected):
    clips = list(VideoClips(_video(tmp_path, n), 12, released=True))
    assert [clip.frames[0].index for clip in clips] == expected
    assert all(len(clip.frames) == 12 for clip in clips)
    np.testing.assert_array_equal(clips[0].batch["frames_past"][0, 0], model_frame(np.zeros((8, 8, 3), np.uint8)))


def test_released_needs_a_whole_clip(tmp_path):
    with pytest.raises(InputError, match="needs 17 frames or more, found 16"):
        list(VideoClips(_video(tmp_path, 16), 12, released=True))


def test_a_sound_that_ends_early_is_told_once(tmp_path, caplog):
    video = write_video(tmp_path / "v.mkv", [picture()] * 40, sound=0.5 * np.sin(np.arange(11025)))
    list(VideoClips(video, 12))
    assert [record.getMessage() for record in caplog.records] == [
        f"{video}: the sound ends at 0.5 s of 1.6 s; silence is used after it"
    ]


def test_a_sound_that_lasts_is_not_remarked_on(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    list(VideoClips(_video(tmp_path, 25), 12))
    assert not caplog.records


def test_an_abandoned_reading_closes_its_file(tmp_path):
    clips = iter(VideoClips(_video(tmp_path, 40), 12))
    next(clips)
    clips.close()
    (tmp_path / "v.mkv").unlink()


def test_clips_for_a_face_branch(tmp_path, caplog):
    """Every face in its slot from clip to clip; 3 frames of 17 have no tracks."""
    video, n = face_videos.write_talkers(tmp_path / "v.mkv", 17), 14
    mask = np.ones((n, 2), bool)
    mask[3:12, 1] = False  # gone over the border of two clips, back in another track
    faces = face_videos.boxes_of(face_videos.paths(n)), mask
    clips = list(VideoClips(video, 5, faces=faces, face_branch=True))
    together = {name: np.concatenate([clip.batch[name][0] for clip in clips]) for name in clips[0].batch}
    slots = FaceSlots(*faces)
    expected, _ = slots.of_clip([frame for clip in clips for frame in clip.frames])
    assert "face_map" not in together
    for name in ("face_crops", "face_boxes", "face_mask"):
        assert together[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(together[name][:17], expected[name])
        np.testing.assert_array_equal(together[name][17:], together[name][[16] * 3])
    assert together["face_mask"].sum(1).tolist() == [2] * 3 + [1] * 9 + [2] * 2 + [0] * 6
    assert [clip.slots for clip in clips] == [2] * 4
    assert clips[2].faces[3].track.tolist() == [0, 2]  # frame 13
    assert [record.getMessage() for record in caplog.records] == [
        "face boxes: face tracks for 14 of 17 frames; the rest are taken as without faces"
    ]


@pytest.mark.parametrize("face_branch", [False, True])
@pytest.mark.parametrize("released", [False, True])
def test_a_blank_clip_is_as_all_others_are(tmp_path, face_branch, released):
    video = face_videos.write_talkers(tmp_path / "v.mkv", 17)
    faces = face_videos.boxes_of(face_videos.paths(17)), np.ones((17, 2), bool)
    clips = VideoClips(video, 12, faces=faces, face_branch=face_branch, released=released)
    blank = clips.blank()
    assert clips.slots == (2 if face_branch else 0)
    for clip in clips:
        assert clip.slots == (2 if face_branch else 0)
        assert sorted((name, value.shape, value.dtype) for name, value in clip.batch.items()) == sorted(
            (name, value.shape, value.dtype) for name, value in blank.items()
        )
    assert not blank["mel"].any()


def test_a_probed_video_is_not_probed_again(tmp_path, monkeypatch):
    video = _video(tmp_path, 7)
    info, expected = probe(video), list(VideoClips(video, 4))
    monkeypatch.delattr(clips_module, "probe")
    for found, clip in zip(VideoClips(info, 4), expected, strict=True):
        for name, value in clip.batch.items():
            np.testing.assert_array_equal(found.batch[name], value)


def test_clips_can_be_read_again(tmp_path):
    clips = VideoClips(_video(tmp_path, 7), 4)
    for first, again in zip(clips, clips, strict=True):
        for name, value in first.batch.items():
            np.testing.assert_array_equal(again.batch[name], value)
