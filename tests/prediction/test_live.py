"""Live maps against the stream, where both know the same."""

import numpy as np
import pytest

from tests.helpers.media import write_video
from tests.helpers.models import weighing_model
from vasal_jax.inputs import audio
from vasal_jax.inputs.video import read_frames
from vasal_jax.prediction import live
from vasal_jax.prediction.streaming import Predictor


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Smooth motion without faces and without sound."""
    y, x = np.mgrid[:48, :64]
    frames = [
        np.stack([127 + 120 * np.sin(x / 9 + t / 2), 127 + 90 * np.sin(y / 7 - t), x * 3 + t], -1) for t in range(14)
    ]
    frames = [frame.astype(np.uint8) for frame in frames]
    return write_video(tmp_path_factory.mktemp("video") / "v.mkv", frames, codec="ffv1", pix_fmt="bgr0")


def test_silent_pictures_without_faces_are_those_of_the_stream(video):
    predictor = Predictor(weighing_model())
    expected = [frame.map for frame in predictor.stream(video, faces=None)]
    prediction = live.LivePrediction(predictor)
    for frame, wanted in zip(read_frames(video), expected, strict=True):
        found = prediction(frame.image, 100 + frame.time, np.zeros(882, np.float32))
        np.testing.assert_allclose(found.map, wanted, atol=1e-5 * wanted.max())
        assert found.faces.no_face == pytest.approx(1, abs=1e-5)


def test_sound_in_pieces_is_heard_as_the_whole():
    samples = np.arange(2 * audio.SAMPLE_RATE) / audio.SAMPLE_RATE
    sound = ((0.9 - 0.3 * samples) * np.sin(2 * np.pi * (300 + 200 * samples) * samples)).astype(np.float32)
    heard = live._Sound()
    for piece in np.array_split(sound, [100, 1000, 7777, 20000, 20001, 40000]):
        heard.hear(piece)
    whole = audio.spectrogram([np.zeros(6 * audio.SAMPLE_RATE, np.float32), sound])
    hops = [audio.hop_at(8 - back / 25) for back in range(15, 9, -1)]  # wholly before the end
    expected = np.stack([audio.mel_picture(whole, hop) for hop in hops])[..., None]
    assert expected.max() > 200
    shifts = [np.abs(heard.pictures()[:6] - expected).mean()]
    assert shifts[0] < 8  # a hop's shift: the pieces do not begin on one
    assert np.abs(heard.pictures()[:6] - expected[::-1]).mean() > 2 * shifts[0]


def test_faces_keep_their_columns_while_they_overlap():
    tied = live._TiedFaces()
    left, right = np.array([0.1, 0.1, 0.3, 0.4]), np.array([0.6, 0.1, 0.8, 0.4])
    moved = np.array([0.02, 0.0, 0.02, 0.0])
    assert tied(np.array([left, right])).columns.tolist() == [0, 1]
    faces = tied(np.array([right + moved, left - moved]))
    assert faces.columns.tolist() == [0, 1]
    np.testing.assert_allclose(faces.boxes, [left - moved, right + moved])
    assert tied(np.zeros((0, 4))).columns.tolist() == []
    assert tied(np.array([left])).columns.tolist() == [2]
    many = np.array([[0.1 * k, 0.5, 0.1 * k + 0.05 + 0.005 * k, 0.6] for k in range(7)])
    assert sorted(tied(many).boxes[:, 0].round(1)) == [0.3, 0.4, 0.5, 0.6]
