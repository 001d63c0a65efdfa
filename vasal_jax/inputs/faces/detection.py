"""The faces of any video: found every few frames, tracked in between."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detector import Detector, reduced
from vasal_jax.inputs.faces.mtcnn import mtcnn_detector
from vasal_jax.inputs.faces.tracking import MAX_GAP, TrackedFaces, Tracker, stacked
from vasal_jax.inputs.faces.tracks import MAX_FACES, LargestFaces
from vasal_jax.inputs.faces.yunet import yunet_detector
from vasal_jax.inputs.video import VideoInfo, read_frames

DETECTORS = {"yunet": yunet_detector, "mtcnn": mtcnn_detector}
EVERY = 3
"""Frames from one look to the next: `docs/guide/faces.md` has what others miss and take."""

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

    Args:
      video: a video file.
      every: as `FaceFollower`.
      detector: a name in `DETECTORS`, or a function that finds the faces of a picture `reduced` to its size.
      progress: called after each frame with the number of frames done.

    Returns:
      boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked; columns as `Tracker` has them.
      mask: bool (F,N), at most `MAX_FACES` faces a frame.

    Raises:
      InputError: the video cannot be read, `every` is below 1, or the detector cannot be had.
    """
    return stacked(tracked_faces(video, every=every, detector=detector, progress=progress))


def tracked_faces(
    video: str | os.PathLike | VideoInfo,
    *,
    every: int = EVERY,
    detector: str | Detector = "yunet",
    progress: Callable[[int], object] | None = None,
) -> Iterator[TrackedFaces]:
    """The faces of a video frame by frame, as `detect_tracks` has them, in memory of a few frames."""
    images = (frame.image for frame in read_frames(video))
    source = video.path if isinstance(video, VideoInfo) else video
    for done, faces in enumerate(follow_faces(images, source, every=every, detector=detector), 1):
        yield faces
        if progress is not None:
            progress(done)


def follow_faces(
    images: Iterable[np.ndarray], source: object, *, every: int = EVERY, detector: str | Detector = "yunet"
) -> Iterator[TrackedFaces]:
    """The faces of a video's frames, uint8 (H,W,3) RGB, in order; messages call the video `source`."""
    follower = FaceFollower(open_detector(detector), source, every)
    for image in images:
        yield from follower.see(image)
    yield from follower.finish()


class FaceFollower:
    """Finds and tracks the faces of frames as they go by, and knows those of a frame `lookahead` frames later.

    Faces are looked for in the first frame of each shot, every `every` frames from there, and in its last.

    Attributes:
      source: what warnings call the video.
      lookahead: frames that must have been seen after a frame, or the end of its shot, before its faces are known.
    """

    def __init__(self, detector: Detector, source: object, every: int = EVERY):
        """Begins a video.

        Args:
          detector: finds the faces of a picture `reduced` to its size.
          source: what warnings call the video.
          every: frames from one look to the next, 1 or more. Raises `InputError` for less.
        """
        if every < 1:
            raise InputError(f"faces: expected a look every 1 or more frames, found {every}; choose a larger number")
        max_gap = max(MAX_GAP, 2 * every)  # a single look may always fail
        self.lookahead = max_gap + 1  # a frame is looked at when the next one tells whether its shot is over
        self.source, self._detect, self._every = source, detector, every
        self._tracker, self._is_cut = Tracker(max_gap), CutDetector()
        self._image: np.ndarray | None = None  # the last one given
        self._cut, self._age = False, 0  # whether that one began a shot; frames since the shot began
        self._largest = LargestFaces(MAX_FACES, source)

    def see(self, image: np.ndarray) -> list[TrackedFaces]:
        """Takes the next frame, uint8 (H,W,3) RGB; returns the faces of frames that are known by now, in order."""
        before, self._image = self._image, image
        next_cut = self._is_cut(image)
        return [] if before is None else self._take(before, next_cut, last=False)

    def finish(self) -> list[TrackedFaces]:
        """The faces of the frames that are left when the video is over."""
        if self._image is None:
            return []
        rest = self._take(self._image, False, last=True) + [self._largest(faces) for faces in self._tracker.finish()]
        self._largest.warn()
        return rest

    def _take(self, image: np.ndarray, next_is_cut: bool, *, last: bool) -> list[TrackedFaces]:
        look = self._age % self._every == 0 or next_is_cut or last
        settled = self._tracker.update(*(self._detect(reduced(image)) if look else ()), cut=self._cut)
        self._cut, self._age = next_is_cut, 0 if next_is_cut else self._age + 1
        return [self._largest(faces) for faces in settled]


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
        self._before: np.ndarray | None = None  # thumbnail of the frame before

    def __call__(self, image: np.ndarray) -> bool:
        """Whether a frame, uint8 (H,W,3), begins another shot than the frame before it, which was given before."""
        # Every n-th pixel will do: the mean of all of a large picture takes longer than all the rest.
        step = max(1, min(image.shape[0] // (5 * THUMBNAIL[1]), image.shape[1] // (5 * THUMBNAIL[0])))
        thumbnail = cv2.resize(image[::step, ::step], THUMBNAIL, interpolation=cv2.INTER_AREA)
        before, self._before = self._before, thumbnail
        if before is None:
            return False
        change = float(cv2.absdiff(before, thumbnail).mean())
        cut = change > max(CUT_CHANGE, CUT_RATIO * float(np.mean(self._changes)))
        self._changes.append(change)
        return cut
