"""Videos whose names are as long as a file system takes them."""

import dataclasses
import os

import pytest

from tests.helpers.media import write_video
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.system.terminal import run


@pytest.mark.parametrize("stem", ["é" * 118, "n" * 251])
def test_every_output_of_a_video_with_a_long_name(tmp_path, stem):
    weights.save(narrow_model(), tmp_path / "w.safetensors")
    video = write_video(tmp_path / "v.mkv", 2).rename(tmp_path / f"{stem}.mkv")
    args = PredictArgs(video, weights=tmp_path / "w.safetensors", faces="none")
    assert run(lambda: predict(args)) == 0
    many = dataclasses.replace(args, out=tmp_path / "out", write=("frames", "maps"), overwrite=True)
    for _ in range(2):  # the second time in the place of the first
        assert run(lambda: predict(many)) == 0
    beside = [path.name for path in tmp_path.iterdir() if path.name.endswith("_overlay.mp4")]
    made = [path.name for path in (tmp_path / "out").iterdir() if path.name not in (".records", "summary.json")]
    assert (len(beside), len(made)) == (1, 2)
    assert all(name.startswith(stem[0]) and len(os.fsencode(name)) <= 255 for name in beside + made)
