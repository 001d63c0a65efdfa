"""The files of the video saliency challenges and what is in them: one video's record, fixations, the split file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from data.records import VideoRecord
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.map_videos import MapVideo
from vasal_jax.inputs.video import Frame, read_frames
from vasal_jax.system.reading import open_regular, parse_json

SPLIT_FILE = "TrainTestSplit.json"
SUBSETS = ("public_test", "private_test")  # scored apart by the challenge
MAX_FIXATIONS = 4096  # a frame


@dataclass(frozen=True)
class ChallengeVideo(VideoRecord):
    """One video of a challenge. Its maps are the density; observers are not told apart."""

    maps: Path
    fixation_file: Path
    subset: str  # "train", or one of `SUBSETS`
    knows_subjects = False

    def frames(self) -> Iterator[Frame]:
        return islice(read_frames(self.video), self.n_frames)

    def fixations(self) -> np.ndarray:
        frames = self.fixated_pixels()[: self.n_frames]
        points = np.full((len(frames), max(map(len, frames), default=0), 2), np.nan, np.float32)
        for index, pixels in enumerate(frames):
            points[index, : len(pixels)] = pixels[:, ::-1]
        return points

    def fixated_pixels(self) -> list[np.ndarray]:
        """A list a frame of int (K, 2) row, column of the fixations inside the grid."""
        frames = read_fixations(self.fixation_file)
        return [pixels[((pixels >= 0) & (pixels < self.grid)).all(1)] for pixels in frames]

    def density_picture(self, frame: int) -> np.ndarray:
        """The ground-truth map of a frame, float32 (H, W), 0..255 or 0..65535; quickest with the frames in order."""
        return self._map_video[frame].astype(np.float32)

    @cached_property
    def _map_video(self) -> MapVideo:
        return MapVideo(self.maps)

    def __getstate__(self) -> dict:
        # A decoder at work is not sent to other processes.
        return {name: value for name, value in self.__dict__.items() if name != "_map_video"}


def read_fixations(path: str | os.PathLike) -> list[np.ndarray]:
    """Reads fixations.json: a list a frame of [row, column] pairs in pixels of the ground truth.

    Returns:
      A list a frame of int64 (K, 2).

    Raises:
      InputError: the file is missing, too large, or holds something else.
    """
    expected = f"{path}: expected a list a frame of [row, column] pairs of whole numbers"
    content = _read_json(Path(path), expected)
    if not isinstance(content, list):
        raise InputError(f"{expected}, found {type(content).__name__}")
    if len(content) > limits.MAX_AXIS:
        raise InputError(f"{expected}, at most {limits.MAX_AXIS} frames, found {len(content)}")
    return [_pairs(frame, f"{expected}, found something else in frame {index}") for index, frame in enumerate(content)]


def _pairs(frame: object, problem: str) -> np.ndarray:
    if not isinstance(frame, list) or len(frame) > MAX_FIXATIONS:
        raise InputError(problem)
    for pair in frame:
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_pixel(number) for number in pair)):
            raise InputError(problem)
    return np.array(frame, np.int64).reshape(-1, 2)


def _is_pixel(number: object) -> bool:
    # Out-of-range points are left out later; beyond this they are no coordinates at all.
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return abs(number) < 2**31 and number == int(number)


def _read_json(path: Path, expected: str) -> object:
    with open_regular(path, "a JSON file", limits.MAX_JSON_BYTES) as file:
        try:
            return parse_json(file.read(), limits.MAX_DIGITS)
        except ValueError:
            raise InputError(f"{expected}, found no JSON that can be read") from None


def read_split_file(root: str | os.PathLike) -> dict[str, tuple[str, ...]]:
    """The names of the videos by subset: "train" (of any key that begins so), "public_test", "private_test".

    Raises:
      InputError: the file is missing or holds something else, no name, one name twice, or a path for a name.
    """
    path = Path(root) / SPLIT_FILE
    expected = f"{path}: expected lists of names under train, public_test and private_test"
    content = _read_json(path, expected)
    if not isinstance(content, dict):
        raise InputError(f"{expected}, found {type(content).__name__}")
    names: dict[str, tuple[str, ...]] = {}
    for key, listed in content.items():
        subset = "train" if key.lower().startswith("train") else key.lower()
        if subset not in ("train", *SUBSETS):
            continue
        if not isinstance(listed, list) or not all(isinstance(name, str) and _is_name(name) for name in listed):
            raise InputError(f"{expected}, found something else under {key!r}")
        names[subset] = names.get(subset, ()) + tuple(Path(name).stem for name in listed)
    everything = [name for listed in names.values() for name in listed]
    if not everything:
        raise InputError(f"{expected}, found none of them")
    if len(set(everything)) < len(everything):
        twice = next(name for name in everything if everything.count(name) > 1)
        raise InputError(f"{expected}, found {twice!r} twice")
    return names


def _is_name(name: str) -> bool:
    return bool(name) and Path(name).name == name and name not in (".", "..")
