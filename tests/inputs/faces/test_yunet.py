"""YuNet, the detector that is used unless another is asked for."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import vasal_jax
from tests.helpers import real_faces
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import detect_tracks
from vasal_jax.inputs.faces.detector import reduced
from vasal_jax.inputs.faces.tracking import intersection_over_union
from vasal_jax.inputs.faces.yunet import MODEL, yunet_detector
from vasal_jax.scenes import Scene

ASSETS = Path(vasal_jax.__file__).parent / "assets"


@pytest.fixture(scope="module")
def yunet():
    return yunet_detector()


@pytest.fixture(scope="module")
def scene():
    return Scene.make(5, seconds=0.2)


def test_the_file_is_the_one_of_the_card():
    digest = hashlib.sha256((ASSETS / MODEL).read_bytes()).hexdigest()
    assert digest in (ASSETS / "yunet.md").read_text()
    assert digest.startswith("8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4")
    assert "Shiqi Yu" in (ASSETS / MODEL).with_suffix(".LICENSE").read_text()


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_every_face_of_a_picture_in_shares_of_it(yunet, scene, turned):
    """A tall picture after a wide one: the detector is told each size."""
    image, truth = scene.frame(0), scene.boxes[0].copy()
    if turned:
        image = np.vstack([image, np.zeros((720, 640, 3), np.uint8)])
    height, width = image.shape[:2]
    boxes, scores = yunet(reduced(image))
    assert (boxes.dtype, scores.dtype, boxes.shape) == (np.float32, np.float32, (5, 4))
    assert (scores > 0.8).all()
    overlaps = intersection_over_union(truth / (width, height, width, height), boxes)
    assert (overlaps.max(1) > 0.5).all()


def test_colours_are_seen_as_they_are(yunet, scene):
    """Red and blue swapped, faces are bluish: the scores must be those of the picture as OpenCV reads it, BGR."""
    image = reduced(scene.frame(0))
    network = cv2.FaceDetectorYN.create(str(ASSETS / MODEL), "", (480, 270), 0.5)
    _, expected = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    np.testing.assert_allclose(np.sort(yunet(image)[1]), np.sort(expected[:, 14]), atol=1e-6)
    assert abs(np.sort(yunet(image[..., ::-1].copy())[1])[:4] - np.sort(expected[:, 14])[:4]).max() > 0.005


def test_boxes_stay_in_the_picture(yunet, scene):
    """Faces cut by the picture's edges."""
    left, top, right, bottom = scene.boxes[0, 0].astype(int)
    x, y = (left + right) // 2 - (right - left) // 5, (top + bottom) // 2 - (bottom - top) // 5
    boxes, _ = yunet(reduced(scene.frame(0)[y:, x:].copy()))
    assert len(boxes) >= 4
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (480, 1), (1, 480), (16, 480), (30, 30), (270, 480)])
def test_pictures_of_any_size_without_faces(yunet, size):
    for image in (np.zeros((*size, 3), np.uint8), np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)):
        boxes, scores = yunet(image)
        assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_on_drawn_faces(yunet, tmp_path):
    video, truth = real_faces.write_drawn(tmp_path / "v.mp4")
    real_faces.check_drawn(truth, *detect_tracks(video, detector=yunet), missed=0.0)


@real_faces.needs_filmed
def test_on_filmed_faces():
    real_faces.check_filmed(*detect_tracks(real_faces.FILMED), columns=8)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_it_needs_no_tensorflow_says_nothing_and_leaves_the_log_level(tmp_path):
    """With TensorFlow and mtcnn blocked, and from another folder, as an installed package would be.

    Nor SciPy, of 34 MB, where no face is near two tracks.
    """
    video, _ = real_faces.write_drawn(tmp_path / "v.mp4")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'mtcnn', 'jax', 'torch', 'scipy']))\n"
        "import cv2; log = getattr(cv2.utils, 'logging', cv2); before = log.getLogLevel()\n"
        "from vasal_jax.inputs.faces import detect_tracks\n"
        f"boxes, mask = detect_tracks({str(video)!r})\n"
        "assert log.getLogLevel() == before\n"
        "print(mask.sum(1).max())"
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_an_engine_of_opencv_that_cannot_run_it_is_one_line():
    code = (
        "import numpy as np; from vasal_jax.inputs.faces.yunet import yunet_detector\n"
        "from vasal_jax.errors import InputError\n"
        "try: yunet_detector()(np.zeros((90, 160, 3), np.uint8)); print('runs')\n"
        "except InputError as error: print(error)"
    )
    (line,) = run_python(code, OPENCV_FORCE_DNN_ENGINE="1").stdout.splitlines()
    if cv2.__version__.startswith("4."):
        assert line == "runs"  # its only engine
    else:
        assert "under OPENCV_FORCE_DNN_ENGINE=1; unset it" in line


def test_a_failure_of_opencv_is_one_line(monkeypatch):
    class Broken:
        @staticmethod
        def create(*arguments):
            raise cv2.error("no such\nlayer")

    monkeypatch.setattr(cv2, "FaceDetectorYN", Broken)
    with pytest.raises(InputError, match="cannot run YuNet \\(no such layer\\)"):
        yunet_detector()
