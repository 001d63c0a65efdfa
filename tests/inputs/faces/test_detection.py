"""When the faces of a video are looked for, with a detector that is told where they are."""

import cv2
import numpy as np
import pytest

from tests.helpers.media import write_video
from tests.inputs.faces.test_tracking import count_errors, runs
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import CutDetector, detect_tracks, open_detector
from vasal_jax.inputs.faces.detector import LONGER_SIDE
from vasal_jax.inputs.faces.tracks import MAX_FACES
from vasal_jax.scenes import Scene


class Told:
    """A detector that finds bright squares of 1/4 of the picture's height, and counts its looks."""

    def __init__(self):
        self.looks = 0
        self.sizes = set()

    def __call__(self, image):
        self.looks += 1
        self.sizes.add(image.shape)
        contours, _ = cv2.findContours((image.min(-1) > 200).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        height, width = image.shape[:2]
        boxes = [
            (x / width, y / height, (x + w) / width, (y + h) / height) for x, y, w, h in map(cv2.boundingRect, contours)
        ]
        return np.reshape(boxes, (-1, 4)), np.full(len(boxes), 0.99)


def draw(centres, background=40, size=(96, 160)) -> np.ndarray:
    image = np.full((*size, 3), background, np.uint8)
    side = size[0] // 4
    for x, y in centres:
        left, top = round(x * size[1] - side / 2), round(y * size[0] - side / 2)
        image[max(top, 0) : top + side, max(left, 0) : left + side] = 255
    return image


def truth_of(paths, size=(96, 160)) -> np.ndarray:
    half = size[0] // 4 / 2 / np.array(size[::-1])
    return np.concatenate([paths - half, paths + half], axis=-1)


@pytest.mark.parametrize(("every", "looks"), [(1, 31), (5, 7), (7, 6)])
def test_looks_and_boxes_in_between(tmp_path, every, looks):
    paths = np.stack([np.linspace((0.2, 0.3), (0.5, 0.3), 31), np.linspace((0.8, 0.6), (0.7, 0.7), 31)], 1)
    video = write_video(tmp_path / "v.mp4", [draw(centres) for centres in paths])
    told, done = Told(), []
    boxes, mask = detect_tracks(video, every=every, detector=told, progress=done.append)
    assert told.looks == looks
    assert done == list(range(1, 32))
    assert (boxes.dtype, mask.dtype) == (np.float32, bool)
    assert count_errors(truth_of(paths), boxes, mask, least=0.75) == (0, 0, 0)


def test_cuts_end_tracks_and_are_looked_at_on_both_sides(tmp_path):
    """13 and 17 frames: looks at 0, 5, 10, 12, and 13, 18, 23, 28, 29."""
    first, second = [[(0.3, 0.4), (0.7, 0.4)]] * 13, [[(0.3, 0.45)]] * 17
    frames = [draw(c) for c in first] + [draw(c, background=120) for c in second]
    told = Told()
    boxes, mask = detect_tracks(write_video(tmp_path / "v.mp4", frames), every=5, detector=told)
    assert told.looks == 9
    assert mask.sum(1).tolist() == [2] * 13 + [1] * 17
    assert runs(mask).max() + 1 == 3
    np.testing.assert_allclose(boxes[13:][mask[13:]], truth_of(np.array(second)[:, 0]), atol=0.02)


def test_cuts_between_drawn_scenes_and_none_within():
    """8 scenes with faces that move: 7 cuts found, none besides."""
    scenes = [Scene.make(seed, seconds=0.8, width=320, height=180) for seed in range(8)]
    images = [scene.frame(index) for scene in scenes for index in range(0, 20, 2)]
    is_cut = CutDetector()
    found = [i for i, image in enumerate(images) if is_cut(image)]
    assert found == list(range(10, 80, 10))


def test_a_wild_camera_is_no_cut():
    texture = cv2.resize(np.random.default_rng(0).integers(0, 255, (30, 120, 3), np.uint8), (1920, 480))
    images = [texture[:, 40 * i : 40 * i + 640] for i in range(30)]
    is_cut = CutDetector()
    assert not any([is_cut(image) for image in images][4:])  # its very start looks like one


@pytest.mark.parametrize("size", [(1080, 1920), (1200, 160), (96, 160)])
def test_the_detector_sees_reduced_pictures(tmp_path, size):
    told = Told()
    boxes, _ = detect_tracks(write_video(tmp_path / "v.mp4", [draw([(0.5, 0.5)], size=size)] * 2), detector=told)
    ((height, width, _),) = told.sizes
    assert max(height, width) == min(max(size), LONGER_SIDE)
    assert height / width == pytest.approx(size[0] / size[1], rel=0.01)
    np.testing.assert_allclose(boxes[:, 0], truth_of(np.full((2, 2), 0.5), size).clip(0, 1), atol=0.02)


def test_no_faces_and_a_single_frame(tmp_path):
    boxes, mask = detect_tracks(write_video(tmp_path / "none.mp4", [draw([])] * 7), detector=Told())
    assert (boxes.shape, mask.shape) == ((7, 0, 4), (7, 0))
    boxes, mask = detect_tracks(write_video(tmp_path / "one.mp4", [draw([(0.5, 0.5)])]), detector=Told())
    assert mask.tolist() == [[True]]


def test_a_crowd_keeps_its_largest_faces(tmp_path, caplog):
    sides = 0.02 + 0.0005 * np.arange(MAX_FACES + 16)
    corners = np.stack(np.meshgrid(np.arange(10), np.arange(8)), -1).reshape(-1, 2) / 10
    crowd = np.concatenate([corners, corners + sides[:, None]], axis=1)
    video = write_video(tmp_path / "v.mp4", [draw([])] * 6)
    boxes, mask = detect_tracks(video, detector=lambda image: (crowd, np.ones(len(crowd))))
    assert mask.sum(1).tolist() == [MAX_FACES] * 6
    np.testing.assert_allclose(np.unique(boxes[mask][:, 2] - boxes[mask][:, 0]).min(), sides[16], atol=1e-5)
    assert [r.getMessage() for r in caplog.records] == [
        f"{video}: 6 of 6 frames have more than {MAX_FACES} faces; the largest are kept"
    ]


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="look every 1 or more frames, found 0"):
        detect_tracks(tmp_path / "v.mp4", every=0, detector=Told())
    with pytest.raises(InputError, match=r"v\.mp4: no such file"):
        detect_tracks(tmp_path / "v.mp4", detector=Told())
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"v\.mp4: "):
        detect_tracks(tmp_path / "v.mp4", detector=Told())


def test_detectors_have_names():
    told = Told()
    assert open_detector(told) is told
    with pytest.raises(InputError, match="expected yunet or mtcnn, found 'haar'"):
        open_detector("haar")
