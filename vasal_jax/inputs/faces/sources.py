"""Where the faces of a video are known from, and the slots in which a face branch takes them."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.faces.detection import detect_tracks
from vasal_jax.inputs.faces.detector import Detector
from vasal_jax.inputs.faces.maps import FaceMaps, folder_maps, gaussian_mixture
from vasal_jax.inputs.faces.tracks import keep_largest, load_tracks
from vasal_jax.inputs.video import Frame, VideoInfo
from vasal_jax.size import Size

logger = logging.getLogger(__name__)

BRANCH_FACES = 16  # a frame, that a face branch is given; the largest are kept


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a video, from `open_faces`.

    Attributes:
      source: what messages call them; None where none are known.
      tracks: boxes float32 (F,N,4), x1, y1, x2, y2 in 0..1, and mask bool (F,N); None where only maps are known.
      ready_made: those maps.
    """

    source: object
    tracks: tuple[np.ndarray, np.ndarray] | None
    ready_made: FaceMaps | None = None

    def maps(self) -> FaceMaps:
        """For a model without a face branch: the ready-made maps, or the tracks drawn with equal weights."""
        if self.tracks is None:
            return self.ready_made
        boxes, mask = self.tracks
        return FaceMaps(range(len(boxes)), len(boxes), lambda index: gaussian_mixture(boxes[index], mask[index]))

    def slots(self) -> "FaceSlots":
        """For a model with a face branch. Raises `InputError` where only maps are known."""
        if self.tracks is None:
            raise InputError(
                f"{self.source}: holds face maps, but a model with a face branch makes its own and needs the boxes; "
                "give face tracks .npy, or auto to find the faces"
            )
        return FaceSlots.of(*keep_largest(*self.tracks, BRANCH_FACES, self.source))


FaceSource = str | os.PathLike | tuple[np.ndarray, np.ndarray] | Faces | None


def open_faces(
    source: FaceSource,
    video: VideoInfo,
    *,
    tracks_size: Size | None = None,
    detector: str | Detector = "yunet",
    progress: Callable[[int], object] | None = None,
) -> Faces:
    """The faces of a video, from wherever they are known.

    Args:
      source: "auto" to find and track them (`detect_tracks`); an MVVA tracking file `.npy`; a folder of face maps
        `<n>.jpg` or `<n>.png`; None or "none"; arrays (boxes, mask), real (F,N,4), x1, y1, x2, y2 in 0..1, and bool
        (F,N), where boxes that are no boxes are left out with a warning; or what this function gave.
      video: the video, from `probe`.
      tracks_size: of the picture in whose pixels the tracking file counts; the video's by default.
      detector: of "auto", as `detect_tracks`.
      progress: called with the number of frames that were searched for faces.

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
        return Faces(video.path, detect_tracks(video.path, detector=detector, progress=progress))
    size = tracks_size or Size(video.height, video.width)
    if Path(source).suffix.lower() == ".npy" and os.path.isfile(source):
        return Faces(source, load_tracks(source, size))
    return Faces(source, None, folder_maps(source))


class FacesOfFrame(NamedTuple):
    """What the slots hold on a frame; N slots, some of them empty."""

    boxes: np.ndarray  # float32 (N,4), x1, y1, x2, y2 in 0..1, zeros where masked
    mask: np.ndarray  # bool (N,)
    track: np.ndarray  # int32 (N,), number of the track
    column: np.ndarray  # int32 (N,), where the face stands in the tracks that were given


@dataclass(frozen=True, eq=False)
class FaceSlots:
    """The faces of a video in as few slots as will do, each track in one slot from its first frame to its last.

    A track is an unbroken run of faces in a column of what was given, as a face branch remembers it; they are
    numbered from 0 by their first frames, then their columns. A slot stays empty for a frame or more between two
    tracks, so that the branch forgets the first.
    """

    frames: list[FacesOfFrame]
    slots: int

    @classmethod
    def of(cls, boxes: np.ndarray, mask: np.ndarray) -> "FaceSlots":
        """Deals tracks out to slots: boxes float (F,N,4), x1, y1, x2, y2 in 0..1, and mask bool (F,N)."""
        runs = _runs(mask)
        ends: list[int] = []  # of each slot: the first frame without the track it held last
        places = []
        for start, _, end in runs:
            slot = next((slot for slot, last in enumerate(ends) if last < start), len(ends))
            ends[slot : slot + 1] = [end]
            places.append(slot)
        shape = len(mask), len(ends)
        dealt = np.zeros((*shape, 4), np.float32), np.zeros(shape, bool), *np.full((2, *shape), -1, np.int32)
        for track, ((start, column, end), slot) in enumerate(zip(runs, places, strict=True)):
            run = slice(start, end), slot
            for array, value in zip(dealt, (boxes[start:end, column], True, track, column), strict=True):
                array[run] = value
        return cls([FacesOfFrame(*rows) for rows in zip(*dealt, strict=True)], len(ends))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> FacesOfFrame:
        """The faces of a frame; none on those that the tracks do not reach."""
        if index < len(self.frames):
            return self.frames[index]
        empty = np.full((2, self.slots), -1, np.int32)
        return FacesOfFrame(np.zeros((self.slots, 4), np.float32), np.zeros(self.slots, bool), *empty)

    def inputs(self, frames: Sequence[Frame]) -> dict[str, np.ndarray]:
        """What a face branch takes of T frames, cut from them at their full size.

        Returns:
          `face_crops` float32 (T,N,64,64,3), RGB minus its mean, and `face_boxes` float32 (T,N,4), zeros where masked;
          `face_mask` bool (T,N).
        """
        faces = [self[frame.index] for frame in frames]
        crops = [crop_faces(frame.image, its.boxes, its.mask) for frame, its in zip(frames, faces, strict=True)]
        mask = np.stack([its.mask for its in faces])
        boxes = np.stack([its.boxes for its in faces])
        return {"face_crops": model_crops(np.stack(crops), mask), "face_boxes": boxes, "face_mask": mask}


def _runs(mask: np.ndarray) -> list[tuple[int, int, int]]:
    """First frame, column and the frame after the last of every unbroken run in the columns of (F,N), in this order."""
    changes = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    columns, starts = np.nonzero(changes == 1)
    _, ends = np.nonzero(changes == -1)
    return sorted(zip(starts.tolist(), columns.tolist(), ends.tolist(), strict=True))


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
    usable = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    if (left_out := np.count_nonzero(mask & ~usable)) > 0:
        logger.warning(
            "face boxes: %d of %d are not finite, without area or outside the picture, and left out",
            left_out,
            np.count_nonzero(mask),
        )
    return np.where(usable[..., None], boxes, 0), usable
