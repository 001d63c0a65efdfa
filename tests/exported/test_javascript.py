"""The example in JavaScript, on what the library prepares: the maps of `predict`."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import vasal_jax
from tests.helpers import face_videos
from vasal_jax import exported, load, predict
from vasal_jax.inputs.clips import VideoClips

EXAMPLE = Path(__file__).parents[2] / "docs/examples/saliency.cjs"
FRAMES = 39  # more than the packaged weights remember, and no whole number of clips


@pytest.mark.slow
def test_the_example_gives_the_maps_of_predict(tmp_path):
    """Makes an environment of its own: needs node, npm and a registry."""
    # Its script after installing fetches CUDA; what runs on the CPU is in the package.
    install = ["npm", "install", "--ignore-scripts", "--prefix", tmp_path, "onnxruntime-node@^1.22"]
    subprocess.run(install, check=True, capture_output=True)
    model = load(Path(vasal_jax.__file__).parent / "assets/tiny.safetensors")
    assert model.memory is not None
    assert model.memory.frames < FRAMES
    exported.save(model, tmp_path / "weights.onnx", "onnx")
    video = face_videos.write_talkers(tmp_path / "v.mkv", FRAMES)
    tracks = face_videos.write_tracks(tmp_path / "t.npy", FRAMES, face_videos.SIZE)
    clips = [clip.batch for clip in VideoClips(video, FRAMES, faces=tracks, face_branch=True)]
    (tmp_path / "inputs").mkdir()
    for name in clips[0]:
        np.save(tmp_path / "inputs" / f"{name}.npy", np.concatenate([clip[name][0] for clip in clips]))
    words = ["node", EXAMPLE, tmp_path / "weights.onnx", tmp_path / "inputs", tmp_path / "maps.f32"]
    environment = os.environ | {"NODE_PATH": str(tmp_path / "node_modules")}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = np.fromfile(tmp_path / "maps.f32", np.float32).reshape(-1, 32, 32)
    expected = predict(model, video, faces=tracks)
    print(f"{np.abs(found - expected).max():.1e} of {expected.max():.3g}")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())
