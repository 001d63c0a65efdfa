"""Evaluating a model with a face branch: its faces are those of the dataset, its face weights are kept."""

import jax
import numpy as np
import pytest

from tests.helpers.media import write_video
from tests.helpers.models import narrow_model
from tests.helpers.recorded_video import RecordedVideo
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior
from vasal_jax.evaluation.rows import model_rows
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.prediction.streaming import stream

CONVENTIONS = Conventions(size=(36, 64), sigma=5.0, negatives=100)
LENGTHS = {"crowded": 6, "unknown": 4, "changing": 15}  # in two lanes, the last comes after the first


@pytest.fixture(scope="module")
def model():
    return narrow_model(face=(4, 4, 4, 4, 4))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos with four faces, with unknown faces, and with three faces that share two slots."""
    folder, rng = tmp_path_factory.mktemp("media"), np.random.default_rng(2)
    box, changing = np.array([0.1, 0.2, 0.4, 0.6], np.float32), np.zeros((15, 3), bool)
    changing[:6, 0] = changing[3:, 2] = changing[9:, 1] = True  # column 1 takes the slot that column 0 leaves
    tracks = {"changing": changing, "crowded": np.ones((6, 4), bool), "unknown": None}

    def video(name):
        mask, file, length = tracks[name], folder / f"{name}.mkv", LENGTHS[name]
        write_video(file, list(rng.integers(0, 255, (length, 72, 128, 3), np.uint8)), codec="ffv1", pix_fmt="bgr0")
        boxes = None if mask is None else (box + 0.1 * np.arange(mask.shape[1])[:, None]) * mask[..., None]
        points = rng.uniform(0, 72, (length, 5, 2)).astype(np.float32)
        return RecordedVideo(name, length, file, points=points, boxes=boxes, mask=mask, speakers_known=False)

    return [video(name) for name in LENGTHS]


@pytest.fixture(scope="module")
def rows():
    return model_rows("model", {}, ["no faces"])


@pytest.fixture(scope="module")
def evaluated(videos, rows, model, tmp_path_factory):
    truths, prior = [GroundTruth.of(video) for video in videos], centre_prior(videos, CONVENTIONS)
    evaluation = Evaluation(truths, CONVENTIONS, prior, tmp_path_factory.mktemp("work"))
    return evaluation, evaluation.run(rows, model=model, batch=2)


def test_maps_and_weights_are_those_of_prediction(evaluated, videos, rows, model):
    evaluation, _ = evaluated
    for video in videos:
        frames = list(stream(model, video.video, sound=video.sound, faces=video.tracks()))
        np.testing.assert_allclose(
            evaluation.maps(rows[0], video), np.stack([frame.map for frame in frames]), rtol=1e-4
        )
        weights = evaluation.face_weights(rows[0], video)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
        for frame, found in zip(frames, weights, strict=True):
            expected = np.zeros(len(found))
            expected[frame.faces.column], expected[-1] = frame.faces.weights, frame.faces.no_face
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_faces_all_weight_is_on_no_face(evaluated, videos, rows):
    evaluation, _ = evaluated
    for video in videos:
        weights = evaluation.face_weights(rows[1], video)
        np.testing.assert_array_equal(weights[:, :-1], 0)
        np.testing.assert_array_equal(weights[:, -1], 1)
    assert not np.allclose(evaluation.maps(rows[0], videos[0]), evaluation.maps(rows[1], videos[0]), rtol=1e-4)


def test_a_second_run_returns_the_kept_scores(evaluated, rows, model):
    evaluation, scores = evaluated
    again = evaluation.run(rows, model=model)  # all there: nothing is computed
    jax.tree.map(np.testing.assert_array_equal, again, scores)
