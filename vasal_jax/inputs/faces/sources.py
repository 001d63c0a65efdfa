"""Where the faces of a video are known from, or that they are found as it goes by."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import FaceFollower, open_detector
from vasal_jax.inputs.faces.detector import Detector
from vasal_jax.inputs.faces.found import FoundMaps, FoundSlots
from vasal_jax.inputs.faces.maps import FaceMaps, folder_maps, gaussian_mixture
from vasal_jax.inputs.faces.slots import BRANCH_FACES, FaceSlots
from vasal_jax.inputs.faces.tracking import TrackedFaces
from vasal_jax.inputs.faces.tracks import keep_largest, load_tracks
from vasal_jax.inputs.video import VideoInfo
from vasal_jax.size import Size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a video, from `open_faces`.

    Attributes:
      source: what messages call them; None where none are known.
      tracks: boxes float32 (F,N,4), x1, y1, x2, y2 in 0..1, and mask bool (F,N); None where they are not known.
      ready_made: maps, where only those are known.
      detector: what finds them as the video goes by; None where something is known.
      record: called with the faces of each frame that are found so.
    """

    source: object
    tracks: tuple[np.ndarray, np.ndarray] | None
    ready_made: FaceMaps | None = None
    detector: Detector | None = None
    record: Callable[[TrackedFaces], object] | None = None

    def of_model(self, face_branch: bool) -> "ModelFaces":
        """What a model with or without a face branch takes: `slots` or `maps`."""
        return self.slots() if face_branch else self.maps()

    def maps(self) -> FaceMaps | FoundMaps:
        """For a model without a face branch: the ready-made maps, or the faces drawn with equal weights."""
        if self.detector:
            return FoundMaps(FaceFollower(self.detector, self.source), self.record)
        if self.tracks is None:
            assert self.ready_made is not None  # all that is left
            return self.ready_made
        boxes, mask = self.tracks
        return FaceMaps(range(len(boxes)), len(boxes), lambda index: gaussian_mixture(boxes[index], mask[index]))

    def slots(self) -> FaceSlots | FoundSlots:
        """For a model with a face branch. Raises `InputError` where only maps are known."""
        if self.detector:
            return FoundSlots(FaceFollower(self.detector, self.source), self.record)
        if self.tracks is None:
            raise InputError(
                f"{self.source}: holds face maps, but a model with a face branch makes its own and needs the boxes; "
                "give face tracks .npy, or auto to find the faces"
            )
        return FaceSlots(*keep_largest(*self.tracks, BRANCH_FACES, self.source))


ModelFaces = FaceMaps | FoundMaps | FaceSlots | FoundSlots
FaceSource = str | os.PathLike | tuple[np.ndarray, np.ndarray] | Faces | None


def open_faces(
    source: FaceSource,
    video: VideoInfo,
    *,
    tracks_size: Size | None = None,
    detector: str | Detector = "yunet",
    record: Callable[[TrackedFaces], object] | None = None,
) -> Faces:
    """The faces of a video, from wherever they are known.

    Args:
      source: "auto" to find and track them as the video goes by; an MVVA tracking file `.npy`; a folder of face maps
        `<n>.jpg` or `<n>.png`; None or "none"; arrays (boxes, mask), real (F,N,4), x1, y1, x2, y2 in 0..1, and bool
        (F,N), where boxes that are no boxes are left out with a warning; or what this function gave.
      video: the video, from `probe`.
      tracks_size: of the picture in whose pixels the tracking file counts; the video's by default.
      detector: of "auto", as `detect_tracks`.
      record: called with the faces of each frame that "auto" finds, in order.

    Raises:
      InputError: the source is missing or does not hold what it should, or the face detector cannot be had.
    """
    if isinstance(source, Faces):
        return source
    if isinstance(source, tuple):
        return Faces("face boxes", _checked(*source))
    if source is None or str(source) == "none":
        return Faces(None, (np.zeros((0, 0, 4), np.float32), np.zeros((0, 0), bool)))
    if str(source) == "auto":
        return Faces(video.path, None, detector=open_detector(detector), record=record)
    size = tracks_size or Size(video.height, video.width)
    if Path(source).suffix.lower() == ".npy" and os.path.isfile(source):
        return Faces(source, load_tracks(source, size))
    return Faces(source, None, folder_maps(source))


def _checked(boxes: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of a caller as `load_tracks` would give them."""
    boxes, mask = np.asarray(boxes), np.asarray(mask)
    if boxes.dtype.kind not in "iuf" or boxes.shape != (*mask.shape, 4) or mask.ndim != 2 or mask.dtype != bool:
        raise InputError(
            "face boxes: expected a pair of boxes, real (F,N,4), and mask, bool (F,N); "
            f"found {boxes.dtype} {boxes.shape} and {mask.dtype} {mask.shape}"
        )
    finite = np.isfinite(boxes).all(-1)
    boxes = np.where((mask & finite)[..., None], boxes, 0).astype(np.float32)
    if np.abs(boxes).max(initial=0) > 10:
        raise InputError(
            f"face boxes: expected x1, y1, x2, y2 in 0..1, found numbers up to {np.abs(boxes).max():g}; "
            "divide pixels by the picture's width and height"
        )
    boxes = np.clip(boxes, 0, 1)
    usable = np.all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    if (left_out := np.count_nonzero(mask & ~usable)) > 0:
        logger.warning(
            "face boxes: %d of %d are not finite, without area or outside the picture, and left out",
            left_out,
            np.count_nonzero(mask),
        )
    return np.where(usable[..., None], boxes, 0), usable
