"""Scenes closer to filmed ones: what is in them, that annotations follow the camera, and that drawn ones stay."""

import hashlib

import numpy as np
import pytest

from scripts.blind_baseline import baseline
from vasal_jax.errors import InputError
from vasal_jax.scenes import Scene
from vasal_jax.scenes.camera import Camera
from vasal_jax.scenes.filmed import SMALLEST_FACE, Hand, echoing
from vasal_jax.scenes.people import CLOTHES, Look
from vasal_jax.scenes.turns import number_of_faces, turns_of
from vasal_jax.scenes.voices import SAMPLE_RATE, Voice, laugh

ARRAYS = ("sound", "boxes", "talking", "mouth_moving", "openings", "object_positions")


@pytest.fixture(scope="module")
def scenes():
    return [Scene.make(seed, width=320, height=180, style="filmed") for seed in range(8)]


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (1, "165730d959124500315ddd9a2d0e2065"),
        (2, "409d82f0324d7705d1da43a15b3ac317"),
    ],
)
def test_drawn_scenes_are_the_same_bits_as_before_there_were_styles(version, digest):
    found = hashlib.sha256()
    for seed in (3, 11):
        scene = Scene.make(seed, seconds=2.0, width=192, height=108, version=version, style="drawn")
        for name in ARRAYS:
            found.update(np.ascontiguousarray(getattr(scene, name)).tobytes())
        for index in (0, 24, 49):
            found.update(scene.frame(index).tobytes())
    assert found.hexdigest()[:32] == digest


def test_a_seed_is_a_filmed_scene():
    one, same = (Scene.make(3, seconds=2.0, width=160, height=90, style="filmed") for _ in range(2))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    late = same.frame(30)  # frames do not depend on the order in which they are asked for
    np.testing.assert_array_equal(one.frame(7), same.frame(7))
    np.testing.assert_array_equal(one.frame(30), late)
    drawn = Scene.make(3, seconds=2.0, width=160, height=90)
    assert not np.array_equal(drawn.frame(7), one.frame(7))
    assert not np.array_equal(drawn.sound, one.sound)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"style": "painted"}, "drawn or filmed"), ({"style": "filmed", "version": 1}, "version 2")],
)
def test_a_style_that_there_is_not_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Scene.make(0, **changes)


def test_boxes_lie_in_the_picture_or_are_absent(scenes):
    heights = []
    for scene in scenes:
        there = np.isfinite(scene.boxes)
        assert (there.all(-1) == there.any(-1)).all()
        boxes = scene.boxes[there.all(-1)]
        assert boxes.min() >= 0
        assert (boxes[:, 2:] <= (scene.width, scene.height)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        heights.append((boxes[:, 3] - boxes[:, 1]) / scene.height)
        assert np.abs(scene.sound).max() < 1
    heights = np.concatenate(heights)
    assert heights.min() >= SMALLEST_FACE / 2  # half a face may be cut off
    assert heights.min() < 0.08
    assert heights.max() > 0.25
    assert any(np.isnan(scene.boxes).any() for scene in scenes)


def longest_pause(style: str) -> float:
    """The longest time between two speakers in 40 scenes, in seconds."""
    pauses = []
    for seed in range(40):
        speech, _ = turns_of(seed, number_of_faces(seed), 8.0, 2, style)
        ends = np.maximum.accumulate([turn.end for turn in speech])
        pauses.extend(np.array([turn.start for turn in speech[1:]]) - ends[:-1])
    return max(pauses)


def test_people_speak_at_once_pause_and_laugh(scenes):
    speakers = [scene.talking.sum(0) for scene in scenes]
    assert max(of.max() for of in speakers) == 2
    assert 0.02 < np.mean(np.concatenate(speakers) == 2) < 0.2
    assert longest_pause("filmed") > longest_pause("drawn") + 0.5
    seconds = 1.0
    laughter = laugh(Voice.make(np.random.default_rng(1)), seconds, np.random.default_rng(2))
    assert len(laughter.samples) == SAMPLE_RATE
    assert 0.5 < np.abs(laughter.samples).max() <= 1
    assert laughter.opening[0] == laughter.opening[-1] == 0
    assert laughter.opening.max() > 0.8


def test_turns_say_nothing_about_who_is_heard():
    share, frames = baseline(60, style="filmed")
    assert frames > 3000
    assert abs(share - 0.5) < 0.06


def test_no_mouth_moves_twice_at_once():
    for seed in range(40):
        speech, mimes = turns_of(seed, number_of_faces(seed), 8.0, 2, "filmed")
        moves = sorted(speech + mimes, key=lambda turn: turn.start)
        last = {}
        for move in moves:
            assert move.start >= last.get(move.face, 0.0)
            assert move.end > move.start
            last[move.face] = move.end


def test_annotations_follow_the_camera():
    """A white face on black is filmed where its box says, through cuts, pushes and shakes."""
    width, height, frames = 320, 180, 150
    sway = 8 * np.sin(np.linspace(0, 9, frames))
    places = np.array([(40, 60), (140, 80), (220, 100)])
    low = places[None] + sway[:, None, None]
    boxes = np.concatenate([low, low + np.array((24, 30))], -1)
    camera = Camera(5, boxes, 25.0, width, height)
    seen = camera.boxes(boxes)
    assert len(np.unique(np.round(np.diff(seen[:, 1, 0]), 0))) > 2  # it cuts
    checked = 0
    for index in range(0, frames, 10):
        for face in range(3):
            scene = np.zeros((height, width, 3), np.uint8)
            x1, y1, x2, y2 = np.rint(boxes[index, face]).astype(int)
            scene[y1:y2, x1:x2] = 255
            bright = np.argwhere(camera.film(scene, index).mean(-1) > 80)
            if np.isnan(seen[index, face]).any():
                continue
            (top, left), (bottom, right) = bright.min(0), bright.max(0) + 1
            np.testing.assert_allclose((left, top, right, bottom), seen[index, face], atol=4)
            checked += 1
    assert checked > 20


def test_shots_differ_in_light_and_noise(scenes):
    casts = []
    for scene in scenes[:4]:
        frames = [scene.frame(index).mean((0, 1)) for index in range(0, scene.n_frames, 40)]
        casts.append(np.ptp(np.array(frames), axis=0).max())
    assert max(casts) > 25


def test_a_hand_comes_before_the_mouth_and_goes():
    look = Look.make(np.random.default_rng(0), 0.2, CLOTHES[0])
    hand, blank = Hand(1.0, 2.0, 1), np.zeros((200, 200, 3), np.uint8)
    shown = {}
    for time in (0.5, 1.5, 2.5):
        image = blank.copy()
        hand.paint(image, look, (100.0, 80.0), 60.0, time)
        shown[time] = image
    mouth = np.s_[92:106, 92:108]
    assert (shown[1.5][mouth] > 0).any(-1).mean() > 0.8
    assert not shown[0.5].any()
    assert not shown[2.5].any()


def test_a_room_echoes_after_the_sound():
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[1000] = 1.0
    heard = echoing(click, np.random.default_rng(0))
    assert heard[1000] == pytest.approx(1.0, abs=1e-3)
    assert not heard[:1000].any() or np.abs(heard[:1000]).max() < 1e-6
    early, late = (np.sqrt(np.mean(heard[1000 + a : 1000 + a + 1000] ** 2)) for a in (200, 8000))
    assert early > 3 * late
