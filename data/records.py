"""One video of a dataset and what is known about it, whatever layout it lies in on disk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.video import Frame
from vasal_jax.size import Size


@dataclass(frozen=True)
class VideoRecord(ABC):
    """A usable video. Annotations are read from disk when asked for, and cut to `n_frames`.

    Records hold paths and numbers only, so they can be sent to other processes.
    """

    dataset: str
    id: str  # unique in the dataset; MVVA's numbers without padding ("77")
    video: Path  # a video file, or a folder of pictures
    sound: Path | None  # a sound file, or the video itself where it carries its own sound
    n_frames: int  # frames that have everything: the shortest of the lengths
    fps: float
    width: int  # pixels of the video as displayed
    height: int
    grid: Size  # on which fixations are given

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The first `n_frames` frames in order, decoded one by one."""

    @abstractmethod
    def fixations(self) -> np.ndarray:
        """float32 (F, S, 2) x, y in pixels of `grid`, NaN where there is no fixation.

        S counts subjects, each keeping its place over the video, where `knows_subjects`; else S is only the
        largest number of fixations on a frame.
        """

    knows_subjects = True
    subset = None  # the name of a part of the split that is scored apart too

    def tracks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Faces: boxes float32 (F, N, 4) as x1, y1, x2, y2 in 0..1, mask bool (F, N); None without face tracks."""
        return None

    def talking(self) -> np.ndarray | None:
        """bool (N, F), true where face n of `tracks` talks; None if the dataset does not say who talks.

        False where `talking_known` is.
        """
        return None

    def talking_known(self) -> np.ndarray | None:
        """bool (N, F), false where the dataset says of others whether they talk, but not of face n; None as above."""
        talking = self.talking()
        return None if talking is None else np.ones_like(talking)

    def density_picture(self, frame: int) -> np.ndarray | None:
        """The dataset's own saliency map of a frame (from 0), (H, W), 0 and more; None where it brings none."""
        return None

    def gaze_density(self, frames: Sequence[int], size: tuple[int, int], sigma: float) -> np.ndarray | None:
        """What `fixation_density` of some frames tends to as ever more people look, where that is known.

        Args:
          frames: indices of frames.
          size: height, width of the maps.
          sigma: standard deviation of the Gaussian around a fixation, in pixels of `grid`.

        Returns:
          float32 (len(frames), *size), each summing to 1; None for recorded gaze, whose law nobody knows.
        """
        return None

    @property
    def seconds(self) -> float:
        return self.n_frames / self.fps


@dataclass(frozen=True)
class Problem:
    """Something wrong with one video of a dataset."""

    video: str
    kind: str  # a few words, the same for all videos with this problem
    message: str  # one line naming file and field
    left_out: bool  # whether the video is unusable for it


@dataclass(frozen=True)
class Dataset:
    """The usable videos of a dataset and everything that was wrong with it."""

    name: str
    found: int  # videos on disk or on the list
    records: tuple[VideoRecord, ...]
    problems: tuple[Problem, ...]


def common_length(
    name: str, video: Path, lengths: Mapping[str, int | None], expected: str
) -> tuple[int, list[Problem]]:
    """The frames that all parts of a video have, and the problem that parts are longer.

    Args:
      name: of the video in its dataset.
      video: its file or folder, for the message.
      lengths: of each part by name; None where a part does not say.
      expected: the beginning of the error where a part has no frame.

    Raises:
      InputError: a part has no frame.
    """
    known = [length for length in lengths.values() if length is not None]
    n_frames, found = min(known), ", ".join(f"{part} {length}" for part, length in lengths.items())
    if n_frames == 0:
        raise InputError(f"{expected}, found {found}")
    message = f"{video}: cut to {n_frames} frames, found {found}"
    return n_frames, [Problem(name, "lengths differ", message, False)] if n_frames < max(known) else []
