"""Faces for tests of detectors: those of synthetic scenes, and filmed ones if mvva_005.gif is at hand."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import write_video
from tests.inputs.faces.test_tracking import count_errors, runs
from vasal_jax.scenes import Scene

# 34 frames of the MVVA database under the authors' heat map, to test detectors on real faces. Nobody may redistribute
# them, so they are no part of the checkout; every test on them has one like it on synthetic faces.
_PLACES = [parent / "shared/media/mvva_005.gif" for parent in Path(__file__).parents]
FILMED = next((place for place in _PLACES if place.exists()), None)
needs_filmed = pytest.mark.skipif(FILMED is None, reason="needs mvva_005.gif, which is no part of the checkout")

LEFT, RIGHT = (450, 320), (840, 340)  # the two men in front, a point of each in every frame


def write_drawn(path: Path) -> tuple[Path, np.ndarray]:
    """A video of 3 scenes of 15 frames with 3, 5 and 4 faces, and their boxes (45,12,4) in 0..1, NaN where absent."""
    scenes = [Scene.make(seed, seconds=0.6) for seed in range(3)]
    write_video(path, [scene.frame(index) for scene in scenes for index in range(15)])
    truth = np.full((45, 12, 4), np.nan)
    for shot, (scene, first) in enumerate(zip(scenes, (0, 3, 8), strict=True)):
        truth[15 * shot : 15 * shot + 15, first : first + scene.boxes.shape[1]] = scene.boxes / (640, 360, 640, 360)
    return path, truth


def check_drawn(truth: np.ndarray, boxes: np.ndarray, mask: np.ndarray, missed: float) -> None:
    """Checks that no track changes its face before the cut, and that at most the share `missed` is not found.

    Nothing but faces may be found.
    """
    errors = count_errors(truth, boxes, mask, least=0.3)
    assert errors.switches == 0
    assert errors.misses <= missed * np.isfinite(truth).all(-1).sum()
    assert errors.false == 0


def check_filmed(boxes: np.ndarray, mask: np.ndarray, columns: int) -> None:
    """Checks that each man in front keeps one column for all 34 frames, and that there are at most `columns`."""
    assert len(boxes) == 34
    pixels = boxes * (1280, 720, 1280, 720)
    for x, y in (LEFT, RIGHT):
        holds = (pixels[..., 0] < x) & (x < pixels[..., 2]) & (pixels[..., 1] < y) & (y < pixels[..., 3])
        large = mask & (pixels[..., 3] - pixels[..., 1] > 130)
        assert (holds & large).all(axis=0).sum() == 1, "one column holds the face in every frame"
    assert mask.sum(1).min() >= 4
    assert mask.shape[1] <= columns
    assert runs(mask).max() + 1 == mask.shape[1]
