"""`predict.py` on a folder of frames: the maps of the same frames in a video."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.media import picture, write_video, write_wav
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.system.terminal import run

FRAMES = [np.roll(picture(), 3 * t, axis=1) for t in range(14)]
TONE = 0.3 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 22050)


@pytest.fixture
def folder(tmp_path) -> Path:
    weights.save(narrow_model(), tmp_path / "w.safetensors")
    (tmp_path / "frames").mkdir()
    for index, image in enumerate(FRAMES, 1):
        cv2.imwrite(str(tmp_path / "frames" / f"f_{index}.png"), image[..., ::-1])
    return tmp_path / "frames"


def command(video: Path, **options) -> int:
    return run(lambda: predict(PredictArgs(video, weights=video.parent / "w.safetensors", faces="none", **options)))


def test_a_folder_of_frames_is_predicted_as_the_video_of_them(folder, capfd):
    there = folder.parent
    sound = write_wav(there / "s.wav", TONE)
    video = write_video(there / "v.mkv", FRAMES, 20, "ffv1", "bgr0", sound=TONE)
    assert command(folder, fps=20, sound=sound, maps=there / "a.npz", overlay=there / "a.mp4") == 0
    assert command(video, maps=there / "b.npz") == 0
    with np.load(there / "a.npz") as found, np.load(there / "b.npz") as expected:
        for name in ("frame_index", "time", "fps"):
            np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_allclose(found["maps"], expected["maps"], atol=1e-6)
    with av.open(str(there / "a.mp4")) as overlay:
        assert (len(overlay.streams.video), len(overlay.streams.audio)) == (1, 1)
    assert "warning" not in capfd.readouterr().err


def test_it_is_silent_without_a_sound_file(folder, capfd, monkeypatch):
    monkeypatch.chdir(folder)
    there = folder.parent
    options = {"weights": there / "w.safetensors", "faces": "none"}
    assert run(lambda: predict(PredictArgs(Path(), fps=25, **options))) == 0
    assert capfd.readouterr().err.count("a folder of frames has no sound, silence is used") == 1
    with av.open(str(there / "frames_overlay.mp4")) as overlay:
        assert not overlay.streams.audio
        assert sum(1 for _ in overlay.decode(video=0)) == 14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "for a folder of frames say how many a second, as in --fps 25"),
        ({"fps": 25, "sound_track": 2}, "has no sound tracks; name a file by --sound"),
        ({"fps": 25, "out": Path("out")}, "--fps: about one video"),
    ],
    ids=str,
)
def test_one_line_says_what_does_not_go_with_it(folder, capfd, options, message):
    assert command(folder, **options) == 2
    printed = capfd.readouterr().err
    assert message in printed.splitlines()[-1]
    assert "Traceback" not in printed


def test_faces_of_a_folder_are_found_alone(folder):
    tracks = folder.parent / "t.npy"
    assert run(lambda: predict(PredictArgs(folder, fps=25, save_tracks=tracks))) == 0
    assert len(np.load(tracks)) == 14
