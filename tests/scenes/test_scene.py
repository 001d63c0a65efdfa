"""Scenes: what is in them, and that a seed makes them again."""

import subprocess
import sys

import numpy as np
import pytest

from vasal_jax.errors import InputError
from vasal_jax.scenes import Scene
from vasal_jax.scenes.voices import SAMPLE_RATE

ARRAYS = ("sound", "boxes", "talking", "mouth_moving", "openings", "object_positions")


@pytest.fixture(scope="module")
def scenes():
    return [Scene.make(seed) for seed in range(24)]


def loudness(scene):
    """RMS of the sound within each frame's time, (F,)."""
    edges = np.rint(np.arange(scene.n_frames + 1) * SAMPLE_RATE / scene.fps).astype(int)
    power = np.add.reduceat(scene.sound.astype(np.float64) ** 2, edges[:-1])
    return np.sqrt(power / np.diff(edges))


def mouth(scene, index, face):
    """The part of a frame around one face's mouth, float (h,w,3)."""
    x1, y1, x2, y2 = scene.boxes[index, face]
    wide, tall = x2 - x1, y2 - y1
    rows = slice(round(y1 + 0.66 * tall), round(y1 + 0.96 * tall))
    columns = slice(round(x1 + 0.25 * wide), round(x1 + 0.75 * wide))
    return scene.frame(index)[rows, columns].astype(float)


def test_a_seed_is_a_scene():
    one, same, other = Scene.make(3, seconds=2.0), Scene.make(3, seconds=2.0), Scene.make(4, seconds=2.0)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    late = same.frame(30)  # frames do not depend on the order in which they are asked for
    np.testing.assert_array_equal(one.frame(7), same.frame(7))
    np.testing.assert_array_equal(one.frame(30), late)
    assert not np.array_equal(one.frame(7), other.frame(7))
    assert not np.array_equal(one.sound, other.sound)


@pytest.mark.parametrize(
    ("width", "height", "fps"), [(640, 360, 25.0), (1280, 720, 30.0), (361, 641, 24.0), (64, 64, 15.0)]
)
def test_shapes_types_and_ranges(width, height, fps):
    scene = Scene.make(5, seconds=1.5, fps=fps, width=width, height=height, faces=4)
    f = round(1.5 * fps)
    assert scene.n_frames == f
    frame = scene.frame(f - 1)
    assert frame.shape == (height, width, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 10
    assert scene.sound.shape == (round(f / fps * SAMPLE_RATE),)
    expected = {
        "sound": (scene.sound.shape, np.float32),
        "boxes": ((f, 4, 4), np.float32),
        "talking": ((4, f), np.int8),
        "mouth_moving": ((4, f), np.int8),
        "openings": ((4, f), np.float32),
        "object_positions": ((f, 2), np.float32),
    }
    for name, (shape, dtype) in expected.items():
        assert getattr(scene, name).shape == shape, name
        assert getattr(scene, name).dtype == dtype, name
    assert 0.2 < np.abs(scene.sound).max() < 1
    assert scene.openings.min() >= 0
    assert scene.openings.max() <= 1
    with pytest.raises(IndexError):
        scene.frame(f)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1280, 720), (360, 640), (480, 480)])
def test_faces_lie_in_the_picture_and_apart(width, height):
    for seed in range(12):
        boxes = Scene.make(seed, seconds=4.0, width=width, height=height).boxes
        assert boxes.min() >= 0
        assert boxes[..., 2].max() <= width
        assert boxes[..., 3].max() <= height
        tall = (boxes[..., 3] - boxes[..., 1]) / min(width, height)
        assert tall.min() > 0.1
        assert tall.max() < 0.4
        low = np.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
        high = np.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
        overlap = (high > low).all(axis=-1) & ~np.eye(boxes.shape[1], dtype=bool)
        assert not overlap.any()


def test_twice_the_resolution_is_the_same_scene():
    small = Scene.make(6, seconds=1.0)
    large = Scene.make(6, seconds=1.0, width=1280, height=720)
    np.testing.assert_allclose(large.boxes, 2 * small.boxes, rtol=1e-4)
    np.testing.assert_allclose(large.object_positions, 2 * small.object_positions, rtol=1e-3)
    np.testing.assert_array_equal(large.sound, small.sound)
    shrunk = large.frame(10).reshape(360, 2, 640, 2, 3).mean(axis=(1, 3))
    difference = np.abs(shrunk - small.frame(10))
    assert np.median(difference) < 4
    assert difference.mean() < 8


def test_one_speaks_at_a_time_and_all_numbers_of_faces_occur(scenes):
    assert {scene.boxes.shape[1] for scene in scenes} == {2, 3, 4, 5, 6}
    for scene in scenes:
        assert scene.talking.sum(axis=0).max() == 1
        assert np.count_nonzero(scene.talking.any(axis=1)) >= 2, "speakers take turns"
        assert (scene.mouth_moving >= scene.talking).all()
        assert (scene.mouth_moving - scene.talking).sum(axis=0).max() <= 1
        assert 0.6 < scene.talking.any(axis=0).mean() < 1
        assert not scene.openings[scene.mouth_moving == 0].any()


def test_the_speaker_s_mouth_follows_the_sound_and_the_mime_s_does_not(scenes):
    mimes = []
    for scene in scenes:
        sound, heard = loudness(scene), scene.talking.any(axis=0)
        speaker = (scene.openings * scene.talking).sum(axis=0)
        assert np.corrcoef(speaker[heard], sound[heard])[0, 1] > 0.8
        miming = scene.mouth_moving - scene.talking
        both = heard & miming.any(axis=0)
        assert both.sum() > 15, "somebody moves the mouth while another speaks"
        mimes.append(np.corrcoef((scene.openings * miming).sum(axis=0)[both], sound[both])[0, 1])
    assert abs(np.mean(mimes)) < 0.1
    assert np.abs(mimes).mean() < 0.3


def test_a_mime_s_mouth_moves_as_a_speaker_s_does(scenes):
    speaking = np.concatenate([scene.openings[scene.talking == 1] for scene in scenes])
    miming = np.concatenate([scene.openings[(scene.mouth_moving - scene.talking) == 1] for scene in scenes])
    assert abs(speaking.mean() - miming.mean()) < 0.05
    assert abs(speaking.std() - miming.std()) < 0.05


def test_an_open_mouth_shows(scenes):
    for scene in scenes:
        face = int(np.argmax(scene.openings.max(axis=1)))
        wide = int(np.argmax(scene.openings[face]))
        shut = int(np.argmin(np.abs(np.arange(scene.n_frames) - wide) + 1e3 * (scene.openings[face] > 0.02)))
        spread = [mouth(scene, index, face).std(axis=(0, 1)).mean() for index in (shut, wide)]
        assert spread[1] > 1.3 * spread[0], "lips, teeth and the dark between them"


def test_beds_and_objects_of_all_kinds_occur(scenes):
    assert {scene.bed for scene in scenes} == {"none", "music", "noise"}
    for scene in scenes:
        quiet = loudness(scene)[~scene.mouth_moving.astype(bool).any(axis=0) | ~scene.talking.any(axis=0)]
        if scene.bed == "none":
            assert quiet.min() == 0
        else:
            assert quiet.min() > 0.001
    assert {scene.object_kind for scene in scenes} >= {"ball", "car", "bird"}


def test_the_object_crosses_in_view_and_leaves_the_faces_free(scenes):
    for scene in scenes:
        there = np.flatnonzero(np.isfinite(scene.object_positions).all(axis=1))
        assert 1.2 * scene.fps < len(there) < 0.6 * scene.n_frames
        assert (np.diff(there) == 1).all()
        x, y = scene.object_positions[there].T
        steps = np.diff(x)
        assert (steps > 0).all() or (steps < 0).all()
        assert np.ptp(x) > 0.9 * scene.width
        assert y.min() >= 0
        assert y.max() < scene.height
        boxes = scene.boxes[there]
        nearest = np.clip(np.stack([x, y], axis=1)[:, None], boxes[..., :2], boxes[..., 2:])
        assert np.linalg.norm(nearest - np.stack([x, y], axis=1)[:, None], axis=-1).min() > 0.5 * scene.object_radius
        middle = there[len(there) // 2]
        r = int(0.5 * scene.object_radius)
        cx, cy = scene.object_positions[middle].astype(int)
        patch = np.s_[max(0, cy - r) : cy + r, max(0, cx - r) : cx + r]
        without = 0 if there[0] > 10 else scene.n_frames - 1
        assert np.abs(scene.frame(middle)[patch].astype(int) - scene.frame(without)[patch]).mean() > 8


def test_voices_of_a_scene_are_told_apart_by_pitch(scenes):
    for scene in scenes:
        pitches = np.sort([voice.pitch for voice in scene.voices])
        assert (pitches[1:] / pitches[:-1]).min() > 1.08


@pytest.mark.parametrize("seconds", [0.04, 0.3, 0.9])
def test_very_short_scenes_are_drawn(seconds):
    scene = Scene.make(8, seconds=seconds, faces=2)
    assert scene.n_frames == round(seconds * 25)
    assert scene.frame(scene.n_frames - 1).shape == (360, 640, 3)
    assert np.isfinite(scene.sound).all()


@pytest.mark.parametrize(
    "wrong",
    [{"faces": 1}, {"faces": 7}, {"seconds": 0.0}, {"fps": 0.0}, {"width": 20}, {"seed": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_drawn_is_refused_in_one_line(wrong):
    with pytest.raises(InputError) as caught:
        Scene.make(**{"seed": 1, **wrong})
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_scenes_need_neither_jax_nor_decoders():
    heavy = "{'jax', 'tensorflow', 'torch', 'av', 'librosa'}"
    code = f"import sys, vasal_jax.scenes; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_1_makes_what_it_made():
    """Data of yesterday can be made again: the packaged weights were trained on it."""
    scene = Scene.make(3, seconds=3.0, width=128, height=72, version=1)
    changes = {
        name: [tuple(change) for change in np.argwhere(np.diff(getattr(scene, name), axis=1)).tolist()]
        for name in ("talking", "mouth_moving")
    }
    assert changes == {"talking": [(1, 9)], "mouth_moving": [(1, 9), (4, 48), (5, 3), (5, 32)]}
