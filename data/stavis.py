"""The STAViS layout: AVAD, Coutrot_db1, Coutrot_db2, DIEM, ETMD_av, SumMe, and MVVA as ViNet lays it out.

video_frames/<dataset>/<video>/img_%05d.jpg            from 1
video_audio/<dataset>/<video>/<video>.wav
annotations/<dataset>/<video>/maps/eyeMap_%05d.jpg     fixation densities
annotations/<dataset>/<video>/fixMap_%05d.mat          binary fixation maps, variable eyeMap
fold_lists/<dataset>_list_train_1_fps.txt              lines <video> <frames> <fps>
"""

import logging
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.progress import track

from data.matlab import read_matrix
from data.records import Dataset, Problem, VideoRecord
from data.splits import read_list
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.images import read_grey, read_rgb
from vasal_jax.inputs.media import open_media
from vasal_jax.inputs.video import Frame
from vasal_jax.size import Size
from vasal_jax.system.reading import open_regular
from vasal_jax.system.terminal import console

logger = logging.getLogger(__name__)

MAX_MAP_CELLS = 2**25  # an 8K frame
MAX_POINTS = 2**14  # fixations of a frame
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class StavisVideo(VideoRecord):
    """One video in the STAViS layout; `video` is the folder of its frames. Subjects are not told apart."""

    annotations: Path
    knows_subjects = False

    def frames(self) -> Iterator[Frame]:
        for index in range(self.n_frames):
            yield Frame(index, index / self.fps, read_rgb(_frame_path(self.video, index)))

    def fixations(self) -> np.ndarray:
        points = [_points(_fixation_path(self.annotations, index)) for index in range(self.n_frames)]
        padded = np.full((self.n_frames, max(map(len, points), default=0), 2), np.nan, np.float32)
        for index, xy in enumerate(points):
            padded[index, : len(xy)] = xy
        return padded

    def density_picture(self, frame: int) -> np.ndarray:
        return read_grey(_density_path(self.annotations, frame))


def _frame_path(folder: Path, index: int) -> Path:
    return folder / f"img_{index + 1:05d}.jpg"


def _density_path(annotations: Path, index: int) -> Path:
    return annotations / "maps" / f"eyeMap_{index + 1:05d}.jpg"


def _fixation_path(annotations: Path, index: int) -> Path:
    return annotations / f"fixMap_{index + 1:05d}.mat"


def _points(path: Path) -> np.ndarray:
    """int (K, 2) x, y of the fixations in a map."""
    fixated = read_fixation_map(path)
    if (count := np.count_nonzero(fixated)) > MAX_POINTS:
        raise InputError(f"{path}: expected at most {MAX_POINTS} fixations, found {count}; this is no fixation map")
    return np.argwhere(fixated)[:, ::-1]


def read_fixation_map(path: str | os.PathLike) -> np.ndarray:
    """Reads the variable `eyeMap` of a MATLAB file: bool (H, W), true at fixations.

    Files saved with -v7.3 are read with h5py.

    Raises:
      InputError: the file is missing, too large, damaged, has no such map of numbers, or needs h5py.
    """
    expected = f"{path}: expected a fixation map (variable eyeMap, two-dimensional, numbers)"
    with open_regular(path, "a fixation map", limits.MAX_MAT_BYTES) as file:
        try:
            if _is_hdf5(path):
                return _read_hdf5_map(path, expected)
            return read_matrix(file, "eyeMap", MAX_MAP_CELLS) > 0
        except (InputError, MemoryError):
            raise
        # A damaged or crafted MATLAB file ends in nearly any exception.
        except Exception as error:
            raise InputError(f"{expected}, found {error or type(error).__name__}") from None


def _is_hdf5(path: str | os.PathLike) -> bool:
    """Whether MATLAB saved a file with -v7.3: HDF5 behind a block of 512 bytes of its own."""
    with open(path, "rb") as file:
        start = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:])


def _read_hdf5_map(path: str | os.PathLike, expected: str) -> np.ndarray:
    """`eyeMap` of a file that MATLAB saved with -v7.3; links and data in other files are not followed."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: was saved by MATLAB with -v7.3, which needs pip install 'vasal-jax[train]'; "
            "or save it with save(..., '-v7')"
        ) from None
    with h5py.File(path, "r") as file:
        stored = file["eyeMap"] if isinstance(file.get("eyeMap", getlink=True), h5py.HardLink) else None
        if not isinstance(stored, h5py.Dataset):
            raise InputError(f"{expected}, found no eyeMap")
        cells = max(math.prod(stored.shape), math.prod(stored.chunks or ()))
        if stored.ndim != 2 or stored.dtype.kind not in "biuf" or cells > MAX_MAP_CELLS:
            raise InputError(f"{expected}, found {stored.dtype} {'x'.join(map(str, stored.shape))}".rstrip())
        if stored.external or stored.is_virtual:
            raise InputError(f"{expected}, found one whose values are in another file")
        return stored[...].T > 0  # MATLAB stores columns first


def fold_lists(root: str | os.PathLike, dataset: str) -> dict[str, Path]:
    """The fold lists of a dataset by name: "train_1", "test_1" ..., or "train", "test" where there is one fold.

    Raises:
      InputError: there is none.
    """
    folder = Path(root) / "fold_lists"
    pattern = rf"{re.escape(dataset)}_list_((?:train|test|val)(?:_[0-9]+)?)(?:_fps)?\.txt"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    lists = {match[1]: path for path in paths if (match := re.fullmatch(pattern, path.name, re.IGNORECASE))}
    if not lists:
        raise InputError(f"{folder}: expected fold lists such as {dataset}_list_train_1_fps.txt, found none")
    return lists


def read_fold(root: str | os.PathLike, dataset: str, fold: str | os.PathLike, progress: bool = True) -> Dataset:
    """Reads the videos of one fold list; each bad video gets one logged line and is left out.

    Args:
      root: the folder with video_frames, video_audio, annotations and fold_lists.
      dataset: the folder name below those, such as "DIEM".
      fold: the path of the fold list (`fold_lists`).
      progress: show a progress bar on standard error.

    Raises:
      InputError: the list cannot be read, or no video on it is usable.
    """
    root, records, problems = Path(root), [], []
    entries = read_list(Path(fold))
    for video, listed, fps in track(
        entries, escape(f"Reading {dataset}"), console=console, transient=True, disable=not progress
    ):
        try:
            record, notes = read_video(root, dataset, video, listed, fps)
            records.append(record)
            problems += notes
        except InputError as error:
            logger.warning("video %s left out: %s", video, error)
            problems.append(Problem(video, "unusable", str(error), True))
    if not records:
        raise InputError(f"{fold}: expected usable videos of {dataset}, found none ({problems[0].message})")
    if len(records) < len(entries):
        logger.warning("%s: %d of %d videos left out", fold, len(entries) - len(records), len(entries))
    return Dataset(dataset, len(entries), tuple(records), tuple(problems))


def read_video(
    root: Path, dataset: str, video: str, listed: int | None, fps: float | None
) -> tuple[StavisVideo, list[Problem]]:
    """The record and what is odd about it; `InputError` where the video is unusable."""
    if Path(video).name != video or len(os.fsencode(video)) > 200 or "\0" in video:
        raise InputError(f"{video[:80]!r}: expected the name of a video, found a path or none")
    frames = root / "video_frames" / dataset / video
    annotations = root / "annotations" / dataset / video
    sound = root / "video_audio" / dataset / video / f"{video}.wav"
    lengths = {
        "frames": _count(frames, r"img_([0-9]{5,})\.jpg"),
        "maps": _count(annotations / "maps", r"eyeMap_([0-9]{5,})\.jpg"),
        "fixMaps": _count(annotations, r"fixMap_([0-9]{5,})\.mat"),
    }
    lengths |= {"list": listed} if listed is not None else {}
    n_frames, found = min(lengths.values()), ", ".join(f"{name} {length}" for name, length in lengths.items())
    if n_frames == 0:
        raise InputError(f"{frames}: expected frames, maps and fixMaps numbered from 1, found {found}")
    with open_media(sound) as container:
        if not container.streams.audio:
            raise InputError(f"{sound}: expected a sound file, found no sound in it")
    height, width = read_rgb(_frame_path(frames, 0)).shape[:2]
    grid = Size(*read_fixation_map(_fixation_path(annotations, 0)).shape)
    notes = []
    if n_frames < max(lengths.values()):
        notes.append(Problem(video, "lengths differ", f"{frames}: cut to {n_frames} frames, found {found}", False))
    if not fps:
        message = f"{frames}: no frame rate on the list, {DEFAULT_FPS:g} is assumed"
        notes.append(Problem(video, "no frame rate", message, False))
    for note in notes:
        logger.warning("video %s kept: %s", video, note.message)
    record = StavisVideo(dataset, video, frames, sound, n_frames, fps or DEFAULT_FPS, width, height, grid, annotations)
    return record, notes


def _count(folder: Path, pattern: str) -> int:
    """How many files are numbered from 1 on without a gap."""
    names = os.listdir(folder) if folder.is_dir() else []
    numbers = {int(match[1]) for name in names if (match := re.fullmatch(pattern, name))}
    return next(count for count in range(len(numbers) + 1) if count + 1 not in numbers)
