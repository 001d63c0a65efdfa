"""The demo as a person meets it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vasal_jax.commands.demo import DemoArgs, demo
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.size import Size
from vasal_jax.system.terminal import run

ROOT = Path(__file__).parents[2]
FILES = ["talking_faces.mp4", "talking_faces_overlay.mp4", "talking_faces_tracks.npy"]
EXPLAINED = ["talking_faces_explained.csv", "talking_faces_explained.mp4"]


def test_demo_leaves_a_clip_its_tracks_and_the_overlay(tmp_path, capfd):
    folder = tmp_path / "made" / "here"
    assert run(lambda: demo(DemoArgs(folder, seconds=0.6))) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES + EXPLAINED)
    clip, overlay = probe(folder / FILES[0]), probe(folder / FILES[1])
    assert clip.has_sound
    assert overlay.has_sound
    assert (overlay.width, overlay.height, overlay.frames, overlay.fps) == (
        clip.width, clip.height, clip.frames, clip.fps,
    )  # fmt: skip
    assert np.abs(np.concatenate(list(read_sound(folder / FILES[1])))).max() > 0.01
    _, mask = load_tracks(folder / FILES[2], Size(clip.height, clip.width))
    assert len(mask) == clip.frames
    assert mask.any(1).all()
    plain, coloured = (next(read_frames(folder / name)).image.astype(int) for name in FILES[:2])
    assert np.abs(plain - coloured).max() > 50
    printed = capfd.readouterr()
    assert "warning" not in printed.err
    assert str(folder.absolute()) in printed.out


def test_demo_of_the_script(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "predict.py", "--demo"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "vasal_demo").iterdir()) == sorted(FILES + EXPLAINED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "--seconds"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"seconds": 61}, "--seconds"),
        ({"seconds": 1e-6}, "at least one frame"),
        ({"seed": -1}, "seed"),
        ({"folder": Path("/dev/null")}, "cannot be made"),
        ({"folder": Path("/dev/null/demo")}, "cannot be made"),
        ({"weights": Path("none.safetensors")}, "no such weights"),
    ],
    ids=str,
)
def test_mistakes(tmp_path, capfd, options, message):
    assert run(lambda: demo(DemoArgs(**{"folder": tmp_path, "seconds": 0.2, **options}))) == 2
    printed = capfd.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
