"""Tracking on faces with known tracks: identity switches, misses and false boxes are counted and must not grow."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.helpers.whole_video_tracker import WholeVideoTracker
from vasal_jax.inputs.faces.tracking import MAX_GAP, TrackedFaces, Tracker, intersection_over_union, stacked

NAN = np.full(4, np.nan)


class Errors(NamedTuple):
    """What a tracker gets wrong."""

    switches: int  # a face goes on under another track
    misses: int  # faces without a box
    false: int  # boxes without a face


def walk(start, end, frames=60, size=(0.1, 0.16)) -> np.ndarray:
    """(frames,4): a box whose centre goes evenly from one point to another."""
    centres = np.linspace(start, end, frames)
    return np.concatenate([centres - np.divide(size, 2), centres + np.divide(size, 2)], axis=1)


def track(found, cuts=(), max_gap=MAX_GAP):
    """Tracks detections (F,n,4), NaN where nothing is found; a frame that is None is not looked at."""
    return stacked(settled(Tracker(max_gap), [(boxes, None, index in cuts) for index, boxes in enumerate(found)]))


def settled(tracker: Tracker, frames) -> list[TrackedFaces]:
    """All frames of a video, each given as boxes, scores and whether it follows a cut."""
    return [faces for frame in frames for faces in tracker.update(*frame)] + tracker.finish()


def runs(mask: np.ndarray) -> np.ndarray:
    """int (F,N): the number of the track in each place, -1 where there is none; a track is a run in a column."""
    starts = mask & ~np.pad(mask, ((1, 0), (0, 0)))[:-1]
    numbers = np.cumsum(starts.T.ravel()).reshape(mask.T.shape).T
    return np.where(mask, numbers - 1, -1)


def count_errors(truth, boxes, mask, least=0.4) -> Errors:
    """Compares tracks with the true faces (F,P,4), NaN where absent; the same face overlaps by `least` or more."""
    switches = misses = false = 0
    numbers, last = runs(mask), {}
    for frame, faces in enumerate(truth):
        present = np.flatnonzero(np.isfinite(faces).all(1))
        columns = np.flatnonzero(mask[frame])
        overlaps = intersection_over_union(faces[present], boxes[frame, columns])
        overlaps[overlaps < least] = 0
        # As usual, a pair lasts as long as it fits, whatever fits better.
        lasting = np.array([last.get(face, -1) for face in present])[:, None] == numbers[frame, columns]
        overlaps += lasting & (overlaps > 0)
        pairs = [pair for pair in zip(*linear_sum_assignment(-overlaps), strict=True) if overlaps[pair]]
        misses += len(present) - len(pairs)
        false += len(columns) - len(pairs)
        for face, column in pairs:
            number = numbers[frame, columns[column]]
            switches += last.setdefault(present[face], number) != number
            last[present[face]] = number
    return Errors(switches, misses, false)


def detections(truth, seed, noise=0.0, missed=0.0, false=0.0) -> list[np.ndarray]:
    """What a detector makes of the truth: jitter as a share of the box, missed faces, boxes where nothing is."""
    rng = np.random.default_rng(seed)
    found = []
    for faces in truth:
        sizes = np.tile(faces[:, 2:] - faces[:, :2], 2)
        boxes = faces + noise * sizes * rng.standard_normal(faces.shape)
        boxes = boxes[rng.uniform(size=len(boxes)) >= missed]
        if rng.uniform() < false:
            centre = rng.uniform(0.1, 0.9, 2)
            boxes = np.concatenate([boxes, [[*centre - 0.06, *centre + 0.06]]])
        found.append(rng.permutation(boxes))  # a detector has no order
    return found


def every(found, step: int) -> list[np.ndarray | None]:
    """Only every `step`-th frame, and the last, is looked at."""
    return [boxes if i % step == 0 or i == len(found) - 1 else None for i, boxes in enumerate(found)]


STANDING = np.stack([walk((0.2, 0.4), (0.25, 0.4)), walk((0.5, 0.5), (0.5, 0.45)), walk((0.8, 0.4), (0.75, 0.42))], 1)
CROSSING = np.stack([walk((0.15, 0.5), (0.85, 0.5)), walk((0.85, 0.52), (0.15, 0.48))], 1)


@pytest.mark.parametrize("step", [1, 5])
def test_faces_that_stay_keep_their_tracks(step):
    boxes, mask = track(every(detections(STANDING, 0), step))
    assert (boxes.dtype, boxes.shape, mask.dtype) == (np.float32, (60, 3, 4), bool)
    assert mask.all()
    assert count_errors(STANDING, boxes, mask, least=0.95) == (0, 0, 0)


@pytest.mark.parametrize("hidden", [False, True], ids=["both seen", "one hidden"])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_faces_that_cross_keep_their_tracks(step, hidden):
    seen = CROSSING.copy()
    if hidden:
        overlap = [intersection_over_union(*faces[:, None])[0, 0] for faces in CROSSING]
        covered = np.flatnonzero(np.array(overlap) > 0.15)
        assert len(covered) == 6
        seen[covered, 1] = np.nan
    boxes, mask = track(every(detections(seen, 1), step))
    assert count_errors(CROSSING, boxes, mask) == (0, 0, 0)


def test_gaps_are_filled_up_to_the_limit():
    for gap in (1, 10, MAX_GAP):
        seen = STANDING.copy()
        seen[20 : 20 + gap, 1] = np.nan
        boxes, mask = track(detections(seen, 2))
        assert count_errors(STANDING, boxes, mask, least=0.95) == (0, 0, 0)
    seen[20 : 20 + MAX_GAP + 1, 1] = np.nan
    boxes, mask = track(detections(seen, 2))
    assert count_errors(seen, boxes, mask, least=0.95) == (1, 0, 0)
    assert count_errors(seen, *track(detections(seen, 2), max_gap=MAX_GAP + 1)).switches == 0


def test_leaving_and_coming():
    truth = STANDING.copy()
    truth[25:, 0] = np.nan  # leaves
    truth[:30, 2] = np.nan  # comes
    boxes, mask = track(detections(truth, 3))
    assert count_errors(truth, boxes, mask) == (0, 0, 0)
    assert mask.shape == (60, 2)  # the column of the one is free when the other comes
    boxes, mask = track(every(detections(truth, 3), 5))
    # Leaves 4 frames after a look; comes at one.
    assert count_errors(truth, boxes, mask) == (0, 4, 0)


def test_walking_out_of_the_picture():
    truth = np.clip(np.stack([walk((0.7, 0.5), (1.3, 0.5)), STANDING[:, 0]], 1), 0, 1)
    truth[truth[..., 2] - truth[..., 0] < 0.02] = np.nan
    boxes, mask = track(detections(truth, 4))
    assert count_errors(truth, boxes, mask) == (0, 0, 0)
    assert boxes.max() <= 1


def test_a_cut_ends_every_track():
    """Other faces at the same places are other faces; one free frame in the column tells them apart."""
    boxes, mask = track(detections(STANDING, 5), cuts=(30,))
    assert count_errors(STANDING, boxes, mask, least=0.95) == (3, 0, 0)
    assert runs(mask).max() + 1 == 6
    assert mask.shape == (60, 6)
    boxes, mask = track(detections(STANDING, 5), cuts=(20, 40))
    assert mask.shape == (60, 6)  # the third shot takes the columns of the first
    assert runs(mask).max() + 1 == 9


@pytest.mark.parametrize("step", [1, 5])
def test_noisy_detector(step):
    """Jitter of 5% of the box, every tenth face missed, a false box in every tenth frame; ten draws of 180 faces."""
    total = np.zeros(3, int)
    for seed in range(10):
        found = detections(STANDING, seed, noise=0.05, missed=0.1, false=0.1)
        total += count_errors(STANDING, *track(every(found, step)))
    switches, misses, false = total
    assert switches == 0
    assert misses <= (10 if step == 1 else 40)  # of 1800: where the first or last look fails
    assert false <= 20


def test_noisy_crossings():
    total = np.zeros(3, int)
    for seed in range(10):
        total += count_errors(CROSSING, *track(detections(CROSSING, seed, noise=0.05, missed=0.1, false=0.1)))
    switches, misses, false = total
    assert switches == 0  # in 10 crossings
    assert misses <= 10  # of 1200
    assert false <= 20


def test_errors_of_the_detector_are_left_out():
    sure, faint = np.array([[0.1, 0.1, 0.3, 0.3]]), np.array([[0.6, 0.6, 0.7, 0.7]])
    frames = []
    for index in range(20):
        boxes, scores = np.concatenate([sure, faint]), [0.99 if index == 7 else 0.55, 0.6]
        frames.append((boxes, scores) if index != 5 else ([*boxes, [0.4, 0.4, 0.5, 0.5]], [*scores, 1.0]))
    boxes, mask = stacked(settled(Tracker(), frames))
    assert mask.shape == (20, 1)  # neither the always faint one nor the one seen once
    assert mask.all()
    np.testing.assert_allclose(boxes[:, 0], np.tile(sure, (20, 1)), atol=1e-7)


def test_a_face_that_is_faint_for_long_begins_when_it_is_sure():
    """One score above the limit at frame 30: what was settled by then stays without it."""
    frames = [([[0.1, 0.1, 0.3, 0.3]], [0.9 if index == 30 else 0.55]) for index in range(40)]
    _, mask = stacked(settled(Tracker(), frames))
    assert mask[:, 0].tolist() == [False] * (30 - MAX_GAP) + [True] * (10 + MAX_GAP)


@pytest.mark.parametrize(("faint", "follows"), [(MAX_GAP, False), (MAX_GAP + 1, True)])
def test_faint_finds_between_sure_ones_do_not_move_the_box(faint, follows):
    """A detector that takes an ear for the face while it is turned away; for longer it is believed."""
    truth = STANDING[:40, :1]
    found = truth.copy()
    found[5 : 5 + faint, :, ::2] -= 0.03
    scores = np.where((np.arange(40) >= 5) & (np.arange(40) < 5 + faint), 0.55, 0.9)
    frames = [(boxes, [score]) for boxes, score in zip(found, scores, strict=True)]
    boxes, mask = stacked(settled(Tracker(), frames))
    assert mask.all()
    np.testing.assert_allclose(boxes, found if follows else truth, atol=1e-3)


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("truth", [STANDING, CROSSING], ids=["standing", "crossing"])
def test_frames_settled_on_the_way_are_those_of_the_whole_video(truth, step):
    """Ten noisy videos with cuts and faint faces."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = every(detections(truth, seed, noise=0.03, missed=0.15, false=0.1), step)
        scores = [None if boxes is None else rng.uniform(0.6, 1, len(boxes)) for boxes in found]
        frames = list(zip(found, scores, np.arange(len(found)) % 25 == 24, strict=True))
        whole = WholeVideoTracker()
        for frame in frames:
            whole.update(*frame)
        for mine, expected in zip(stacked(settled(Tracker(), frames)), whole.tracks(), strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-6)


def test_every_frame_is_settled_within_the_longest_gap():
    tracker, done = Tracker(7), 0
    for index, boxes in enumerate(detections(CROSSING, 6, noise=0.02)):
        done += len(tracker.update(boxes, cut=index == 30))
        assert done == max(index - 6, 30 * (index >= 30), 0)
    assert done + len(tracker.finish()) == 60


def test_memory_does_not_grow_with_the_video():
    """What is kept of 300 and of 3000 frames with faces that come and go is of one size."""
    sizes = []
    for frames in (300, 3000):
        tracker = Tracker()
        for index in range(frames):
            tracker.update(STANDING[0, [0, 1 + index // 40 % 2]])
        sizes.append(len(pickle.dumps(tracker)))
    assert sizes[1] < 1.5 * sizes[0]


def test_a_single_look_is_believed():
    boxes, mask = track([STANDING[0]])
    assert mask.tolist() == [[True] * 3]
    np.testing.assert_allclose(boxes, STANDING[:1], atol=1e-7)


@pytest.mark.parametrize("found", [[], [None] * 4, [np.empty((0, 4))] * 4, [[]] * 4])
def test_no_faces(found):
    boxes, mask = track(found)
    assert boxes.shape == (len(found), 0, 4)
    assert mask.shape == (len(found), 0)


def test_unusable_boxes_are_left_out():
    bad = [
        NAN,
        [0.2, 0.2, np.inf, 0.4],
        [0.5, 0.5, 0.5, 0.7],  # no width
        [0.7, 0.7, 0.6, 0.8],  # turned round
        [1.1, 0.2, 1.3, 0.4],  # outside
        [-0.5, -0.5, -0.1, 0],
    ]
    good = [-0.1, 0.3, 0.2, 1.4]
    boxes, mask = track([[*bad, good]] * 5)
    assert mask.tolist() == [[True]] * 5
    np.testing.assert_allclose(boxes[:, 0], [[0, 0.3, 0.2, 1]] * 5, atol=1e-7)
    assert stacked(settled(Tracker(), [([good, good], [np.nan, 1.0])]))[1].shape == (1, 1)


numbers = st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 0.5, 1.0])
looks = st.none() | st.lists(st.tuples(*[numbers | st.floats(0, 1)] * 4), max_size=4)


@given(st.lists(st.tuples(looks, st.booleans()), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_boxes_give_boxes_in_the_picture(frames):
    boxes, mask = stacked(settled(Tracker(3), [(boxes, None, cut) for boxes, cut in frames]))
    assert len(boxes) == len(mask) == len(frames)
    assert not boxes[~mask].any()
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[mask][:, 2:] >= boxes[mask][:, :2]).all()


def test_overlaps():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [0, 0, 0, 0]])
    expected = [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(intersection_over_union(boxes, boxes), expected)
    assert intersection_over_union(boxes, np.empty((0, 4))).shape == (3, 0)
