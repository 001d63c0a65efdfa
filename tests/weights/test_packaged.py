"""The weights in the package: small, described, and trained to find the speaker."""

import numpy as np
import pytest

from vasal_jax import weights
from vasal_jax.commands.demo import draw_scene
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.prediction.streaming import stream
from vasal_jax.scenes import Scene
from vasal_jax.size import Size


def test_they_are_small_and_have_a_card():
    assert PACKAGED_WEIGHTS.stat().st_size < 3_000_000
    assert "Trained on" in PACKAGED_WEIGHTS.with_suffix(".md").read_text()


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[tuple[Scene, np.ndarray, np.ndarray]]:
    """Scenes of four faces that nothing was trained on, the weights of their faces (F,N) and the gaze on them (F,N)."""
    model, folder, results = weights.load(PACKAGED_WEIGHTS), tmp_path_factory.mktemp("scenes"), []
    for seed in (9001, 9002, 9003):
        scene = Scene.make(seed, seconds=5.0, faces=4)
        video, tracks = folder / f"{seed}.mp4", folder / f"{seed}.npy"
        draw_scene(scene, video, tracks)
        boxes, mask = load_tracks(tracks, Size(scene.height, scene.width))
        frames = list(stream(model, video, faces=(boxes, mask)))
        shares = np.array([frame.faces.weights for frame in frames])
        results.append((scene, shares, np.array([gaze_on(f.map, b) for f, b in zip(frames, boxes, strict=True)])))
    return results


def gaze_on(saliency: np.ndarray, boxes: np.ndarray) -> list[float]:
    """How much of a map (32,32) lies in each box (N,4), of cells whose centres do."""
    centres = (np.arange(32) + 0.5) / 32
    columns, rows = ((boxes[:, i, None] < centres) & (centres < boxes[:, i + 2, None]) for i in (0, 1))
    return [saliency[np.ix_(y, x)].sum() for y, x in zip(rows, columns, strict=True)]


@pytest.mark.parametrize("what", ["face weights", "map"])
def test_the_speaker_draws_most_gaze(found, what):
    """Among four faces, one of which may move its mouth in silence. Chance is a quarter."""
    right = []
    for scene, shares, gaze in found:
        asked = scene.talking.any(0)
        heaviest = (shares if what == "face weights" else gaze).argmax(1)
        right.append(scene.talking[heaviest, np.arange(len(heaviest))][asked])
    assert np.concatenate(right).mean() > 0.6
