"""The slots in which a face branch takes the faces of a video, each track in one of them from its start to its end."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.faces.tracking import TrackedFaces
from vasal_jax.inputs.video import Frame

BRANCH_FACES = 16  # a frame, that a face branch is given; the largest are kept


class FacesOfFrame(NamedTuple):
    """What the slots hold on a frame; N slots, some of them empty."""

    boxes: np.ndarray  # float32 (N,4), x1, y1, x2, y2 in 0..1, zeros where masked
    mask: np.ndarray  # bool (N,)
    track: np.ndarray  # int32 (N,), number of the track
    column: np.ndarray  # int32 (N,), where the face stands in the tracks that were given

    @classmethod
    def empty(cls, slots: int) -> "FacesOfFrame":
        """A frame without faces."""
        nobody = np.full((2, slots), -1, np.int32)
        return cls(np.zeros((slots, 4), np.float32), np.zeros(slots, bool), *nobody)

    def padded(self, slots: int) -> "FacesOfFrame":
        """The same faces in so many slots, of which the last are empty."""
        more = FacesOfFrame.empty(slots - len(self.mask))
        return FacesOfFrame(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))


class SlotDealer:
    """Deals the faces of a video out to as few slots as will do, frame by frame.

    A track is an unbroken run of faces in a column of what was given, as a face branch remembers it; they are
    numbered from 0 by their first frames, then their columns. A slot stays empty for a frame or more between two
    tracks, so that the branch forgets the first.

    Attributes:
      slots: N, so far.
    """

    def __init__(self):
        self.slots = self._frame = self._tracks = 0
        self._places: dict[int, tuple[int, int]] = {}  # by column on the frame before: slot, track
        self._last_used: list[int] = []  # frame, of each slot

    def deal(self, faces: TrackedFaces) -> FacesOfFrame:
        """The next frame in the slots there are by now."""
        places: dict[int, tuple[int, int]] = {}
        for column in faces.columns.tolist():
            place = self._places.get(column) or (self._free_slot(), self._tracks)
            self._tracks += place[1] == self._tracks
            self._last_used[place[0]] = self._frame
            places[column] = place
        self._places, self._frame = places, self._frame + 1
        dealt = FacesOfFrame.empty(self.slots)
        for box, (column, (slot, track)) in zip(faces.boxes, places.items(), strict=True):
            for array, value in zip(dealt, (box, True, track, column), strict=True):
                array[slot] = value
        return dealt

    def _free_slot(self) -> int:
        """The first one that nobody was in on the frame before."""
        slot = next((slot for slot, last in enumerate(self._last_used) if last < self._frame - 1), self.slots)
        if slot == self.slots:
            self._last_used.append(self._frame)
            self.slots += 1
        self._last_used[slot] = self._frame
        return slot


def branch_inputs(frames: Sequence[Frame], faces: Sequence[FacesOfFrame]) -> dict[str, np.ndarray]:
    """What a face branch takes of T frames, cut from them at their full size.

    Args:
      frames: T frames.
      faces: those of each, all in N slots.

    Returns:
      `face_crops` float32 (T,N,64,64,3), RGB minus its mean, and `face_boxes` float32 (T,N,4), zeros where masked;
      `face_mask` bool (T,N).
    """
    crops = [crop_faces(frame.image, its.boxes, its.mask) for frame, its in zip(frames, faces, strict=True)]
    mask = np.stack([its.mask for its in faces])
    boxes = np.stack([its.boxes for its in faces])
    return {"face_crops": model_crops(np.stack(crops), mask), "face_boxes": boxes, "face_mask": mask}


class FaceSlots:
    """The faces of a video whose tracks are known, in the slots in which a face branch takes them.

    Attributes:
      slots: N.
      frames: F frames.
    """

    lookahead = 0

    def __init__(self, boxes: np.ndarray, mask: np.ndarray):
        """Deals tracks out to slots: boxes float (F,N,4), x1, y1, x2, y2 in 0..1, and mask bool (F,N)."""
        dealer, columns = SlotDealer(), np.arange(mask.shape[1])
        frames = [dealer.deal(TrackedFaces(row[here], columns[here])) for row, here in zip(boxes, mask, strict=True)]
        self.slots = dealer.slots
        self.frames = [frame.padded(self.slots) for frame in frames]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> FacesOfFrame:
        """The faces of a frame; none on those that the tracks do not reach."""
        return self.frames[index] if index < len(self.frames) else FacesOfFrame.empty(self.slots)

    def see(self, image: np.ndarray) -> None:
        """A frame has come; nothing is to be learnt from it."""

    def finish(self) -> None:
        """The video is over."""

    def of_clip(self, frames: Sequence[Frame]) -> tuple[dict[str, np.ndarray], list[FacesOfFrame]]:
        """As `ClipFaces`: the inputs of a face branch."""
        faces = [self[frame.index] for frame in frames]
        return branch_inputs(frames, faces), faces
