"""The weights in the package: small, described, and trained to find the speaker."""

from typing import NamedTuple

import numpy as np
import pytest

from data.gaze import Gaze, gaze_law
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


def test_they_say_what_memory_they_were_trained_with():
    """And the card says the same."""
    memory = weights.load(PACKAGED_WEIGHTS).memory
    assert memory is not None
    assert f"`{memory}`" in PACKAGED_WEIGHTS.with_suffix(".md").read_text()


class Found(NamedTuple):
    """What the weights say of a scene of four faces that nothing was trained on."""

    scene: Scene
    shares: np.ndarray  # (F,N), the weights of the faces
    gaze: np.ndarray  # (F,N), how much of the map lies on each
    maps: np.ndarray  # (F,32,32)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[Found]:
    model, folder, results = weights.load(PACKAGED_WEIGHTS), tmp_path_factory.mktemp("scenes"), []
    for seed in (9001, 9002, 9003):
        scene = Scene.make(seed, seconds=5.0, faces=4)
        video, tracks = folder / f"{seed}.mp4", folder / f"{seed}.npy"
        draw_scene(scene, video, tracks)
        boxes, mask = load_tracks(tracks, Size(scene.height, scene.width))
        frames = list(stream(model, video, faces=(boxes, mask)))
        shares = np.array([frame.faces.weights for frame in frames])
        gaze = np.array([gaze_on(frame.map, box) for frame, box in zip(frames, boxes, strict=True)])
        results.append(Found(scene, shares, gaze, np.array([frame.map for frame in frames])))
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
    for scene, shares, gaze, _ in found:
        asked = scene.talking.any(0)
        heaviest = (shares if what == "face weights" else gaze).argmax(1)
        right.append(scene.talking[heaviest, np.arange(len(heaviest))][asked])
    assert np.concatenate(right).mean() > 0.6


def law_of(scene: Scene, frames: int) -> np.ndarray:
    """Where people look in the first frames of a scene, (frames, 32, 32)."""
    return gaze_law(scene, np.random.default_rng(0), Gaze(), viewers=400).density(range(frames), (32, 32), 28.0)


def test_at_the_start_of_a_video_the_weights_look_for_the_centre(found):
    """All begin at the middle of the picture, before anybody has been noticed; KL over the first 12 frames.

    They must do no worse than the centre prior, and do better: 0.55 against 0.84. Untrained on starts they have 2.6.
    """
    others = [law_of(Scene.make(seed, seconds=5.0, width=320, height=180), 125) for seed in range(9101, 9109)]
    prior = 0.99 * np.concatenate(others).mean(0) + 0.01 / 32**2

    def divergence(truth: np.ndarray, maps: np.ndarray) -> float:
        return float((truth * np.log(np.maximum(truth, 1e-12) / np.maximum(maps, 1e-12))).sum((1, 2)).mean())

    truths = [law_of(one.scene, 12) for one in found]
    own = np.mean([divergence(truth, one.maps[:12]) for truth, one in zip(truths, found, strict=True)])
    assert own <= np.mean([divergence(truth, prior) for truth in truths])
