"""The faces of any video: found every few frames, tracked in between."""

import os
from collections import deque
from collections.abc import Callable
from itertools import chain, pairwise

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detector import Detector, reduced
from vasal_jax.inputs.faces.mtcnn import mtcnn_detector
from vasal_jax.inputs.faces.tracking import MAX_GAP, Tracker
from vasal_jax.inputs.faces.tracks import keep_largest
from vasal_jax.inputs.faces.yunet import yunet_detector
from vasal_jax.inputs.video import read_frames

DETECTORS = {"yunet": yunet_detector, "mtcnn": mtcnn_detector}
EVERY = 5  # frames

# Mean difference of two frames' thumbnails, 0..255. Motion within a shot stays below 4 in what was measured (drawn,
# animated and filmed scenes), another shot is above 40; a wild camera makes for steady changes, a cut for a single one.
CUT_CHANGE = 12.0
CUT_RATIO = 4.0
THUMBNAIL = (32, 18)


def detect_tracks(
    video: str | os.PathLike,
    *,
    every: int = EVERY,
    detector: str | Detector = "yunet",
    progress: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds and tracks the faces of a video, in memory of a few frames and the tracks.

    Faces are looked for in the first frame of each shot, every `every` frames from there, and in its last.

    Args:
      video: a video file.
      every: frames from one look to the next, 1 or more.
      detector: a name in `DETECTORS`, or a function that finds the faces of a picture `reduced` to its size.
      progress: called after each frame with the number of frames done.

    Returns:
      boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked; columns as `Tracker.tracks`.
      mask: bool (F,N), at most `MAX_FACES` faces a frame.

    Raises:
      InputError: the video cannot be read, `every` is below 1, or the detector cannot be had.
    """
    if every < 1:
        raise InputError(f"faces: expected a look every 1 or more frames, found {every}; choose a larger number")
    detect = open_detector(detector)
    tracker, is_cut = Tracker(max(MAX_GAP, 2 * every)), CutDetector()  # a single look may always fail
    images = (reduced(frame.image) for frame in read_frames(video))
    cut, age = False, 0  # frames since the shot began
    for index, (image, following) in enumerate(pairwise(chain(images, [None]))):
        next_cut = following is not None and is_cut(image, following)
        look = age % every == 0 or next_cut or following is None
        tracker.update(*(detect(image) if look else ()), cut=cut)
        cut, age = next_cut, 0 if next_cut else age + 1
        if progress is not None:
            progress(index + 1)
    return keep_largest(*tracker.tracks(), source=video)


def open_detector(detector: str | Detector) -> Detector:
    """The detector of a name in `DETECTORS`; a function as it is.

    Raises:
      InputError: no such name, or the detector is not installed or cannot be run.
    """
    if callable(detector):
        return detector
    if detector not in DETECTORS:
        raise InputError(f"face detector: expected {' or '.join(DETECTORS)}, found {detector!r}")
    return DETECTORS[detector]()


class CutDetector:
    """Tells scene cuts from motion: a change that is large, and large beside those of the last frames."""

    def __init__(self):
        self._changes = deque([0.0] * 8, maxlen=8)

    def __call__(self, image: np.ndarray, following: np.ndarray) -> bool:
        """Whether `following` begins another shot; both uint8 (h,w,3), consecutive frames, given in their order."""
        thumbnails = [cv2.resize(each, THUMBNAIL, interpolation=cv2.INTER_AREA) for each in (image, following)]
        change = float(cv2.absdiff(*thumbnails).mean())
        cut = change > max(CUT_CHANGE, CUT_RATIO * float(np.mean(self._changes)))
        self._changes.append(change)
        return cut
