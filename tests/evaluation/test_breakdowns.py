"""Scores of groups of frames, scores over time, and face weights against the shares of the gaze."""

import numpy as np
import pytest

from tests.helpers.recorded_video import RecordedVideo
from vasal_jax.evaluation.breakdowns import FACES, SPEAKING, face_agreement, gaze_on_faces, split_by, windowed_means
from vasal_jax.evaluation.ground_truth import GroundTruth
from vasal_jax.metrics.saliency import METRICS


def scores_of(**videos):
    """One row of a model and one of the centre prior, with ten times the model's values, in all metrics."""
    arrays = {video: np.array(values, np.float32) for video, values in videos.items()}
    return {
        name: {video: {metric: factor * values for metric in METRICS} for video, values in arrays.items()}
        for name, factor in (("model", 1), ("centre prior", 10))
    }


def test_groups_are_means_over_their_frames_that_have_scores():
    scores = scores_of(a=[1, 2, 3], b=[4, np.nan], c=[99])
    notes = {
        "a": {"seconds": np.arange(3), "faces": np.array([0, 2, 2]), "speaking": np.array([0, 1, 2])},
        "b": {"seconds": np.arange(2), "faces": np.array([2, 9]), "speaking": np.array([3, 0])},
        "c": {"seconds": np.arange(1)},  # the dataset has neither faces nor flags
    }
    faces = split_by(scores, notes, "faces", FACES)
    assert [(group.name, group.frames, group.videos) for group in faces] == [
        ("no face", 1, 1),
        ("2 faces", 3, 2),
        ("6 faces or more", 1, 1),
    ]
    assert [group.means["model"]["CC"] for group in faces] == [1, 3, None]
    assert [group.means["centre prior"]["NSS"] for group in faces] == [10, 30, None]
    speaking = split_by(scores, notes, "speaking", SPEAKING)
    assert [group.name for group in speaking] == list(SPEAKING)
    assert [group.means["model"]["KL"] for group in speaking] == [1, 2, 3.5]


def test_no_group_where_nothing_is_known():
    assert split_by(scores_of(a=[1.0]), {"a": {"seconds": np.zeros(1)}}, "faces", FACES) == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [(1, [1, np.nan, 3, 5, np.nan]), (2, [1, 4, np.nan]), (3, [2, 5]), (10, [3])],
)
def test_over_time(window, expected):
    np.testing.assert_allclose(windowed_means(np.array([1, np.nan, 3, 5, np.nan]), window), expected)


def test_frames_without_talking_flags_are_in_no_group():
    notes = {"a": {"seconds": np.arange(3), "speaking": np.array([np.nan, 1, 1])}}
    (group,) = split_by(scores_of(a=[1, 2, 3]), notes, "speaking", SPEAKING)
    assert (group.name, group.frames, group.means["model"]["CC"]) == (SPEAKING[1], 2, 2.5)


def truth_with_faces(points, boxes, mask, talking, known=None):
    boxes, mask = np.array(boxes, np.float32), np.array(mask)
    flags = None if talking is None else np.array(talking, bool)
    video = RecordedVideo(
        "a",
        len(mask),
        grid=(100, 100),
        boxes=boxes,
        mask=mask,
        flags=flags,
        known=known,
        speakers_known=flags is not None,
    )
    return GroundTruth(video, np.array(points, np.float32))


LEFT, RIGHT, NOWHERE = (10, 10), (90, 90), (50, 50)
BOXES = [[[0, 0, 0.2, 0.2], [0.8, 0.8, 1, 1]]] * 4


def test_face_weights_that_are_the_gaze():
    points = [[LEFT, LEFT, RIGHT, NOWHERE], [RIGHT] * 4, [LEFT] * 4, [NOWHERE] * 4]
    mask = [[True, True], [True, True], [True, False], [True, True]]  # two faces that are looked at: frames 0 and 1
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    truth = truth_with_faces(points, BOXES, mask, [[1, 0, 0, 0], [0, 0, 0, 0]])
    everything, two = face_agreement([truth], {"a": shares})
    assert (everything.name, two.name) == ("all", "2 faces")
    for group in (everything, two):
        assert group.frames == 2
        assert group.same_face == 1
        assert group.chance == 0.5
        assert group.divergence == pytest.approx(0, abs=1e-6)
        assert group.weight_on_speakers == group.gaze_on_speakers == 0.5  # in the one frame where somebody talks


def test_gaze_is_shared_out_among_faces_and_none():
    points = [[LEFT, LEFT, RIGHT, NOWHERE], [RIGHT] * 4]
    truth = truth_with_faces(points, BOXES[:2], np.ones((2, 2), bool), None)
    np.testing.assert_allclose(gaze_on_faces(truth), [[0.5, 0.25, 0.25], [0, 1, 0]])
    faceless = GroundTruth(RecordedVideo("b", 2, grid=(100, 100), boxes=None), truth.points)
    np.testing.assert_allclose(gaze_on_faces(faceless), [[1], [1]])


def test_a_face_without_flags_keeps_the_speakers_share_unknown():
    points = [[LEFT] * 4, [RIGHT] * 4, [LEFT] * 4, [LEFT] * 4]
    weights = np.array([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.9, 0.1, 0], [1, 0, 0]])
    known = np.array([[True] * 4, [True, False, False, False]])
    truth = truth_with_faces(points, BOXES, np.ones((4, 2), bool), [[1, 1, 1, 1], [0, 0, 0, 0]], known)
    everything, _ = face_agreement([truth], {"a": weights})
    assert everything.frames == 4
    assert everything.weight_on_speakers == pytest.approx(0.5)  # of the first frame alone


def test_face_weights_that_are_not():
    points = [[LEFT, LEFT, RIGHT, NOWHERE], [RIGHT] * 4, [LEFT] * 4, [NOWHERE] * 4]
    even = np.array([[0.5, 0.4, 0.1]] * 4)
    everything, _ = face_agreement([truth_with_faces(points, BOXES, np.ones((4, 2), bool), None)], {"a": even})
    assert everything.frames == 3
    assert everything.same_face == pytest.approx(2 / 3)
    first = 0.5 * np.log(0.5 / 0.5) + 0.25 * np.log(0.25 / 0.4) + 0.25 * np.log(0.25 / 0.1)
    assert everything.divergence == pytest.approx((first - np.log(0.4) - np.log(0.5)) / 3, rel=1e-5)
    assert everything.weight_on_speakers is everything.gaze_on_speakers is None


def test_a_masked_face_cannot_be_the_one_that_is_meant():
    truth = truth_with_faces(
        [[LEFT]], [[[0, 0, 0.2, 0.2], [0, 0, 1, 1], [0.8, 0.8, 1, 1]]], [[True, False, True]], None
    )
    everything, _ = face_agreement([truth], {"a": np.array([[0.3, 0.5, 0.1, 0.1]])})
    assert (everything.same_face, everything.chance) == (1, 0.5)


def test_where_two_faces_draw_either_is_right():
    truth = truth_with_faces([[LEFT, RIGHT]], BOXES[:1], [[True, True]], None)
    everything, _ = face_agreement([truth], {"a": np.array([[0.1, 0.8, 0.1]])})
    assert (everything.same_face, everything.chance) == (1, 1)


@pytest.mark.parametrize("faces", [0, 1])
def test_nothing_to_agree_on(faces):
    truth = truth_with_faces([[LEFT]], np.zeros((1, faces, 4)), np.ones((1, faces), bool), None)
    assert face_agreement([truth], {"a": np.full((1, faces + 1), 1 / (faces + 1))}) == []
