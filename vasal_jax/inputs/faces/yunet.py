"""YuNet, the face detector that is used unless another is asked for.

YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023) lies in the package
(`assets/yunet.md`) and is run by OpenCV, on the CPU.
"""

import contextlib
import importlib.resources
import os
from collections.abc import Iterator

import cv2
import numpy as np

try:
    from cv2.utils.logging import getLogLevel, setLogLevel
except ImportError:
    from cv2 import getLogLevel, setLogLevel  # pyright: ignore[reportAttributeAccessIssue] (only OpenCV 4 has them)

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detector import LONGER_SIDE, Detector

MODEL = "face_detection_yunet_2023mar.onnx"
MIN_SCORE = 0.5  # below OpenCV's own 0.9: the tracker asks for one high score a track
MAX_OVERLAP = 0.3  # intersection over union of two faces
MAX_FACES = 5000  # before overlapping ones are left out


def yunet_detector() -> Detector:
    """YuNet with the weights of this package.

    The detector takes pictures of any size and belongs to one thread at a time.

    Raises:
      InputError: OpenCV cannot run it.
    """
    model = np.frombuffer((importlib.resources.files("vasal_jax") / "assets" / MODEL).read_bytes(), np.uint8)
    with _naming_opencv_errors(), _no_warnings():
        size = LONGER_SIDE, LONGER_SIDE
        network = cv2.FaceDetectorYN.create("onnx", model, model[:0], size, MIN_SCORE, MAX_OVERLAP, MAX_FACES)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        with _naming_opencv_errors():
            network.setInputSize((width, height))
            _, faces = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))  # (n,15): box, landmarks, score
        if faces is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        faces = faces[np.isfinite(faces).all(1)]  # OpenCV 4 gives others on pictures a pixel wide
        corners = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
        boxes = np.clip(corners / np.array((width, height, width, height), np.float32), 0, 1)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return boxes[inside], faces[inside, 14]

    detect(np.zeros((32, 32, 3), np.uint8))  # an engine that cannot run it says so here
    return detect


@contextlib.contextmanager
def _naming_opencv_errors() -> Iterator[None]:
    try:
        yield
    except cv2.error as error:
        forced = os.environ.get("OPENCV_FORCE_DNN_ENGINE")  # its engine 1 cannot run YuNet, the others can
        said = " ".join(str(error.err or error).split())[:120]
        reason = f"under OPENCV_FORCE_DNN_ENGINE={forced}; unset it" if forced else f"({said})"
        raise InputError(
            f"face detection: OpenCV {cv2.__version__} cannot run YuNet {reason}, or choose another detector, "
            "face tracks, or none"
        ) from None


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Drops OpenCV's warnings: version 5 says that its new engine has but one target."""
    level = getLogLevel()
    setLogLevel(2)  # errors
    try:
        yield
    finally:
        setLogLevel(level)
