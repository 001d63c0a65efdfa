"""`predict.py` on a video with several sound tracks."""

from pathlib import Path

import numpy as np
import pytest
from av.stream import Disposition

from tests.helpers.media import write_tracks
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.inputs.sound import read_sound
from vasal_jax.system.terminal import run


@pytest.fixture
def video(tmp_path) -> Path:
    weights.save(narrow_model(), tmp_path / "w.safetensors")
    return write_tracks(tmp_path / "v.mkv", [Disposition(0), Disposition.default])


def command(video: Path, **options) -> int:
    return run(lambda: predict(PredictArgs(video, weights=video.parent / "w.safetensors", faces="none", **options)))


def test_the_track_that_is_asked_for_is_heard_and_written(video, capfd):
    """The first one is silent, the second, the default one, is not."""
    loud = {}
    for track in (None, 1, 2):
        overlay = video.with_name(f"{track}.mp4")
        assert command(video, sound_track=track, overlay=overlay) == 0
        loud[track] = np.abs(np.concatenate(list(read_sound(overlay)))).max() > 0.1
        said = capfd.readouterr().err
        assert ("2 sound tracks, track 2 is heard; --sound-track chooses" in said) == (track is None)
    assert loud == {None: True, 1: False, 2: True}


def test_a_track_that_is_not_there_costs_one_line(video, capfd):
    assert command(video, sound_track=3, overlay=video.with_name("o.mp4")) == 2
    assert "expected a sound track from 1 to 2, found 3" in capfd.readouterr().err.splitlines()[-1]
    assert not video.with_name("o.mp4").exists()
