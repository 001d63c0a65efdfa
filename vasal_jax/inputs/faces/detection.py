"""The faces of any video: found by MTCNN every few frames, tracked in between.

MTCNN (Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional networks", 2016) runs
on TensorFlow, which is loaded when the first detector is made and not before.
"""

import contextlib
import importlib.resources
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, pairwise

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracking import MAX_GAP, Tracker
from vasal_jax.inputs.faces.tracks import keep_largest
from vasal_jax.inputs.video import read_frames

# uint8 (h,w,3) RGB -> boxes (n,4), x1, y1, x2, y2 in 0..1, and scores (n,) in 0..1
Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

EVERY = 5  # frames
LONGER_SIDE = 480  # pixels of the reduced picture
MIN_FACE = 20  # pixels of the reduced picture: 4% of its longer side
# Of the cascade's three networks, below MTCNN's own: the tracker asks for one high score a track, and a face that
# turns away or is half hidden goes on with low ones.
THRESHOLDS = {"threshold_pnet": 0.4, "threshold_rnet": 0.5, "threshold_onet": 0.5}

# Mean difference of two frames' thumbnails, 0..255. Motion within a shot stays below 4 in what was measured (drawn,
# animated and filmed scenes), another shot is above 40; a wild camera makes for steady changes, a cut for a single one.
CUT_CHANGE = 12.0
CUT_RATIO = 4.0
THUMBNAIL = (32, 18)


def detect_tracks(
    video: str | os.PathLike,
    *,
    every: int = EVERY,
    detector: Detector | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds and tracks the faces of a video, in memory of a few frames and the tracks.

    Faces are looked for in the first frame of each shot, every `every` frames from there, and in its last.

    Args:
      video: a video file.
      every: frames from one look to the next, 1 or more.
      detector: finds the faces of a picture whose longer side has at most `LONGER_SIDE` pixels; MTCNN where None.
      progress: called after each frame with the number of frames done.

    Returns:
      boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked; columns as `Tracker.tracks`.
      mask: bool (F,N), at most `MAX_FACES` faces a frame.

    Raises:
      InputError: the video cannot be read, `every` is below 1, or the detector is not installed.
    """
    if every < 1:
        raise InputError(f"faces: expected a look every 1 or more frames, found {every}; choose a larger number")
    detect = detector or mtcnn_detector()
    tracker, is_cut = Tracker(max(MAX_GAP, 2 * every)), CutDetector()  # a single look may always fail
    images = (_reduced(frame.image) for frame in read_frames(video))
    cut, age = False, 0  # frames since the shot began
    for index, (image, following) in enumerate(pairwise(chain(images, [None]))):
        next_cut = following is not None and is_cut(image, following)
        look = age % every == 0 or next_cut or following is None
        tracker.update(*(detect(image) if look else ()), cut=cut)
        cut, age = next_cut, 0 if next_cut else age + 1
        if progress is not None:
            progress(index + 1)
    return keep_largest(*tracker.tracks(), source=video)


def mtcnn_detector() -> Detector:
    """MTCNN with the weights of its package, on the CPU.

    It sees grey: colour tells little of faces, and casts of light mislead it.

    Raises:
      InputError: the package or TensorFlow is not installed.
    """
    with _silence():
        # Asked of the loader before it starts; a TensorFlow that runs already keeps what it has.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            import mtcnn
            import tensorflow as tf
        except ImportError as error:
            raise InputError(
                f"face detection: the package {error.name or 'mtcnn'} is missing or cannot be loaded; "
                'pip install "vasal-jax[faces]", or give face tracks'
            ) from None
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")  # TensorFlow would take all its memory, which JAX needs
        # By their full paths: a bare name is looked for in the current folder first, and is a pickle.
        weights = importlib.resources.files("mtcnn.assets.weights")
        stages = [getattr(mtcnn.stages, f"Stage{n}Net")(weights=str(weights / f"{n.lower()}net.lz4")) for n in "PRO"]
        network = mtcnn.MTCNN(stages)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        options = {"box_format": "xyxy", "output_type": "numpy", "min_face_size": MIN_FACE, **THRESHOLDS}
        found = network.detect_faces(grey, **options)  # (n,16): number of the picture, box, score, landmarks
        height, width = image.shape[:2]
        return found[:, 1:5] / (width, height, width, height), found[:, 5]

    return detect


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


def _reduced(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drops what is written to the error stream, from C++ too: TensorFlow greets there before it reads any setting."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
