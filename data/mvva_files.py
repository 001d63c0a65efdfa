"""The files of the MVVA release and what is in them: where they lie, fixations, talking flags, one video's record.

Files are found anywhere below one folder, whatever archive they came from: `<id>.avi` (or .mp4 ...), `<id>.wav`,
`<id>.npy` in folders whose names say what they hold ("fixation", "track", "talk"), and folders of the authors'
saliency maps `video_<id>`. IDs may be padded.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data.mvva_arrays import TalkingFlags, load_fixations, load_talking
from data.records import VideoRecord
from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.fixations import SIGMA, fixation_density
from vasal_jax.inputs.video import Frame, read_frames

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".wmv")  # the first found is taken
MAX_FOLDERS_DEEP = 6


@dataclass(frozen=True)
class MvvaVideo(VideoRecord):
    """One video of MVVA. Fixations and tracks are on the 1280x720 grid whatever size the video has."""

    fixation_file: Path
    tracking_file: Path | None
    talking_file: Path | None

    def frames(self) -> Iterator[Frame]:
        return islice(read_frames(self.video), self.n_frames)

    def fixations(self) -> np.ndarray:
        return load_fixations(self.fixation_file).points[: self.n_frames]

    def tracks(self) -> tuple[np.ndarray, np.ndarray] | None:
        return self._tracks

    @cached_property
    def _tracks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Kept, read-only: an evaluation asks up to nine times, and a file takes longer to parse than to keep."""
        if self.tracking_file is None:
            return None
        boxes, mask = (array[: self.n_frames] for array in load_tracks(self.tracking_file, MVVA_GRID))
        boxes.flags.writeable = mask.flags.writeable = False
        return boxes, mask

    def __getstate__(self) -> dict[str, Any]:
        """Paths and numbers only: what was parsed is not sent to other processes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def talking(self) -> np.ndarray | None:
        return None if self._talking is None else self._talking.flags

    def talking_known(self) -> np.ndarray | None:
        return None if self._talking is None else self._talking.known

    @cached_property
    def _talking(self) -> TalkingFlags | None:
        """The flags of the tracks' faces; those of faces without a row are unknown."""
        tracks = self.tracks()
        if self.talking_file is None or tracks is None:
            return None
        faces = tracks[1].shape[1]
        read = load_talking(self.talking_file)
        flags, known = (
            np.pad(array[:faces, : self.n_frames], ((0, max(faces - len(array), 0)), (0, 0)))
            for array in (read.flags, read.known)
        )
        flags.flags.writeable = known.flags.writeable = False
        return TalkingFlags(flags, known)


@dataclass
class VideoFiles:
    """The files of one ID; where there are several of a kind, the first in a fixed order."""

    id: str
    video: Path | None = None
    sound: Path | None = None
    fixations: Path | None = None
    tracks: Path | None = None
    talking: Path | None = None
    maps: Path | None = None  # the authors' saliency maps, a folder video_%03d


def find_videos(root: str | os.PathLike) -> list[VideoFiles]:
    """Finds the files of every ID below a folder, in the order of the IDs.

    Raises:
      InputError: no such folder, or no file of MVVA in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected the folder that the MVVA archives were unpacked in")
    found: dict[int, VideoFiles] = {}
    nameless = []
    for path in sorted(_numbered_files(root), key=_preference):
        kind = _kind(path, root)
        if kind is None:
            nameless.append(path)
            continue
        number = int(path.stem.removeprefix("video_"))
        if kind == "maps" and number not in found:
            continue
        files = found.setdefault(number, VideoFiles(str(number)))
        if getattr(files, kind) is None:
            setattr(files, kind, path)
        else:
            logger.warning("%s: a second file for %s of video %s, left out", path, kind, files.id)
    if nameless:
        logger.warning(
            '%s: %d arrays left out (no folder above is named "fixation", "track" or "talk"), first: %s',
            root, len(nameless), nameless[0],
        )  # fmt: skip
    if not found:
        raise InputError(f"{root}: expected MVVA files such as 077.avi and fixation/077.npy below it, found none")
    return [found[number] for number in sorted(found)]


def _numbered_files(root: Path) -> Iterator[Path]:
    """Videos, sounds and arrays named by a number, and the folders of the authors' maps, which are not walked."""
    for folder, subfolders, names in os.walk(root):
        maps = [name for name in subfolders if re.fullmatch(r"video_[0-9]{3}", name)]
        yield from (Path(folder, name) for name in maps)
        deep = len(Path(folder).relative_to(root).parts) >= MAX_FOLDERS_DEEP
        subfolders[:] = [] if deep else [name for name in subfolders if name not in maps and name[0] != "."]
        for name in names:
            path = Path(folder, name)
            if re.fullmatch(r"[0-9]{1,6}", path.stem) and path.suffix.lower() in (*VIDEO_SUFFIXES, ".wav", ".npy"):
                yield path


def _preference(path: Path) -> tuple:
    """Sorts by path, but videos by format and maps last, when all other files are known."""
    suffix = path.suffix.lower()
    return VIDEO_SUFFIXES.index(suffix) if suffix in VIDEO_SUFFIXES else 0 if suffix else 99, path


def _kind(path: Path, root: Path) -> str | None:
    suffix = path.suffix.lower()
    if not suffix:
        return "maps"
    if suffix != ".npy":
        return "sound" if suffix == ".wav" else "video"
    words = {"fix": "fixations", "track": "tracks", "talk": "talking", "speak": "talking"}
    for folder in reversed(path.relative_to(root).parts[:-1]):
        for word, kind in words.items():
            if word in folder.lower():
                return kind
    return None


def saliency_picture(density: np.ndarray) -> np.ndarray:
    """A density as the authors store theirs: uint8 of its shape, 255 at the maximum, zeros if empty."""
    maximum = density.max()
    return np.rint(density * (255.0 / maximum if maximum > 0 else 0.0)).astype(np.uint8)


def saliency_path(root: str | os.PathLike, video: int | str, frame: int) -> Path:
    """Where the authors' saliency map of a frame (counted from 0) lies: `root/video_%03d/%03d.jpg`."""
    return Path(root) / f"video_{int(video):03d}" / f"{frame:03d}.jpg"


@dataclass(frozen=True)
class Difference:
    """How far two saliency pictures are apart, in grey levels of 0..255."""

    mean: float  # of the absolute differences
    maximum: float
    correlation: float  # Pearson; 1 for two equal maps, 0 where either is constant


def compare_saliency(
    points: np.ndarray, released: np.ndarray, grid: tuple[int, int] = MVVA_GRID, sigma: float = SIGMA
) -> Difference:
    """Compares our density of a frame, scaled like the authors', with their map of the same frame.

    Args:
      points: (K, 2) fixations of the frame in pixels of `grid`.
      released: uint8 or uint16 (H, W), the authors' map of any size (`pictures.read_grey`).
      grid: height, width of the grid in pixels.
      sigma: standard deviation in pixels of `grid`. The width that fits best is found by trying several.
    """
    ours = saliency_picture(fixation_density(points, released.shape, grid, sigma)).astype(np.float64)
    theirs = released * (255 / np.iinfo(released.dtype).max)
    apart = np.abs(ours - theirs)
    constant = ours.std() == 0 or theirs.std() == 0
    correlation = 0.0 if constant else float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
    return Difference(float(apart.mean()), float(apart.max()), correlation)
