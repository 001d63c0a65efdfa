"""The faces of a video that is on its way: found in a thread while its frames go by, for each clip in time."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vasal_jax.inputs.faces.detection import FaceFollower
from vasal_jax.inputs.faces.maps import gaussian_mixture, normalise_face_map
from vasal_jax.inputs.faces.slots import BRANCH_FACES, FacesOfFrame, SlotDealer, branch_inputs
from vasal_jax.inputs.faces.tracking import TrackedFaces
from vasal_jax.inputs.faces.tracks import LargestFaces
from vasal_jax.inputs.video import Frame

logger = logging.getLogger(__name__)

SLOTS = (4, 8, BRANCH_FACES, 2 * BRANCH_FACES)
"""Numbers of slots that a clip may have. How many faces come is not known beforehand, and each number is a program to
compile; so there are few. At a cut the faces of both shots have slots of their own."""


class FoundFaces:
    """The faces of one video, one time through.

    Attributes:
      lookahead: frames that must be seen, or the end, after those of a clip before `of_clip` can be asked.
    """

    def __init__(self, follower: FaceFollower, record: Callable[[TrackedFaces], object] | None = None):
        """Begins a video; a thread starts with the first frame.

        Args:
          follower: finds and tracks the faces.
          record: called with the faces of each frame, in order, as soon as they are known.
        """
        self.lookahead = follower.lookahead
        self._follower, self._source, self._record = follower, follower.source, record
        self._thread = ThreadPoolExecutor(1, "faces")
        self._jobs: deque[Future[list[TrackedFaces]]] = deque()
        self._frames: dict[int, Any] = {}  # that are known and not yet in a clip
        self._known = 0  # frames
        self._any = False

    def see(self, image: np.ndarray) -> None:
        """Takes the next frame, uint8 (H,W,3) RGB, and goes on at once."""
        self._jobs.append(self._thread.submit(self._follower.see, image))

    def finish(self) -> None:
        """The video is over."""
        self._jobs.append(self._thread.submit(self._follower.finish))

    def close(self) -> None:
        """Ends the thread, whether the video is over or not."""
        self._thread.shutdown(cancel_futures=True)

    def finish_record(self) -> None:
        """Waits for the faces of all frames, whether or not a clip has them, and says what is odd about them."""
        while self._jobs:
            self._wait()
        if not self._any:
            logger.warning("%s: no faces were found", self._source)

    def _of(self, frames: Sequence[Frame]) -> list[Any]:
        while frames[-1].index >= self._known:
            self._wait()
        found = [self._frames[frame.index] for frame in frames]
        for index in [index for index in self._frames if index <= frames[-1].index]:
            del self._frames[index]
        return found

    def _wait(self) -> None:
        for faces in self._jobs.popleft().result():
            if self._record:
                self._record(faces)
            self._any |= len(faces.columns) > 0
            self._frames[self._known] = self._prepared(faces)
            self._known += 1

    def _prepared(self, faces: TrackedFaces) -> Any:
        raise NotImplementedError


class FoundMaps(FoundFaces):
    """For a model without a face branch: all faces drawn with equal weights."""

    def of_clip(self, frames: Sequence[Frame]) -> tuple[dict[str, np.ndarray], None]:
        """As `ClipFaces`: `face_map` float32 (T,32,32,1)."""
        return {"face_map": np.stack(self._of(frames))[..., None]}, None

    def _prepared(self, faces: TrackedFaces) -> np.ndarray:
        return normalise_face_map(gaussian_mixture(faces.boxes, np.ones(len(faces.boxes), bool)))


class FoundSlots(FoundFaces):
    """For a model with a face branch: the largest faces, in as many slots as `SLOTS` has for those that came so far."""

    def __init__(self, follower: FaceFollower, record: Callable[[TrackedFaces], object] | None = None):
        super().__init__(follower, record)
        self._largest, self._dealer = LargestFaces(BRANCH_FACES, self._source), SlotDealer()

    def of_clip(self, frames: Sequence[Frame]) -> tuple[dict[str, np.ndarray], list[FacesOfFrame]]:
        """As `ClipFaces`: the inputs of a face branch."""
        found = self._of(frames)
        slots = next(slots for slots in SLOTS if slots >= self._dealer.slots)
        faces = [frame.padded(slots) for frame in found]
        return branch_inputs(frames, faces), faces

    def finish_record(self) -> None:
        super().finish_record()
        self._largest.warn()

    def _prepared(self, faces: TrackedFaces) -> FacesOfFrame:
        return self._dealer.deal(self._largest(faces))
