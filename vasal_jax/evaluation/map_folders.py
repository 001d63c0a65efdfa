"""Saliency maps made elsewhere: a folder with a folder of pictures, an `.npz`, or a grey video, for each video."""

import hashlib
import logging
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.map_videos import MapVideo, count_frames

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm")
MAX_ARRAY_BYTES = 4 * 2**30  # of the maps of a video; 450 of 1280x720 in float32 are 1.7e9


@dataclass(frozen=True)
class VideoMaps:
    """The maps of one video: which frames have one (counted from 0), and in which file, or which row of the array."""

    path: Path
    frames: Mapping[int, Path] | Mapping[int, int]

    def open(self) -> Callable[[int], np.ndarray]:
        """A reader of a frame's map: float32 (h, w), any range. Raises `InputError` for damaged files."""
        if self.path.is_dir():
            return lambda frame: read_grey(self.frames[frame]).astype(np.float32)
        if self.path.suffix.lower() in VIDEO_SUFFIXES:
            video = MapVideo(self.path)
            return lambda frame: video[frame].astype(np.float32)
        maps, _ = _read_arrays(self.path)
        return lambda frame: maps[self.frames[frame]].astype(np.float32)

    def stamp(self) -> str:
        """Changes when a file does."""
        files = sorted(self.frames.values()) if self.path.is_dir() else [self.path]
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()


def find_maps(root: str | os.PathLike, lengths: Mapping[str, int]) -> tuple[dict[str, VideoMaps], list[str]]:
    """Finds the maps of videos.

    `root/<ID>/` holds pictures whose names end in the number of the frame, PNG or JPEG, or one `.npz`; or there is
    `root/<ID>.npz`, or a grey video `root/<ID>.mp4`. An `.npz` has `maps` (n, h, w) and may have `frame_index` (n,).
    IDs may be padded with zeros and follow "video_". Frames count from 0; pictures numbered from 1 to the number of
    frames are taken to count from 1.

    Args:
      root: the folder.
      lengths: number of frames by ID of the videos that maps are needed for.

    Returns:
      The maps by ID, and one line for each video that lacks some or all.

    Raises:
      InputError: no such folder, no map of any of the videos in it, two files for one frame, or no arrays.
    """
    root = Path(root)
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"{root}: expected a folder of maps, one folder a video ({error.strerror})") from None
    places = {
        _id(entry.stem if entry.suffix.lower() in (".npz", *VIDEO_SUFFIXES) else entry.name): entry for entry in entries
    }
    found, missing, from_one = {}, [], []
    for video, length in lengths.items():
        maps = _open(places[_id(video)], length) if _id(video) in places else None
        if maps is None or not maps.frames:
            missing.append(f"video {video}: no maps")
            continue
        found[video] = maps
        if 0 not in maps.frames and length in maps.frames:
            found[video] = VideoMaps(maps.path, {frame - 1: where for frame, where in maps.frames.items()})
            from_one.append(video)
        if lost := [frame for frame in range(length) if frame not in found[video].frames]:
            some = ", ".join(map(str, lost[:5])) + (" ..." if len(lost) > 5 else "")
            missing.append(f"video {video}: no map of {len(lost)} of {length} frames ({some})")
    if not found:
        there, wanted = (", ".join(list(ids)[:5]) or "nothing" for ids in (places, lengths))
        raise InputError(f"{root}: has no maps of any of the {len(lengths)} videos; expected {wanted}, found {there}")
    if from_one:
        logger.warning("%s: maps of %d videos are numbered from 1, taken so", root, len(from_one))
    return found, missing


def _id(name: str) -> str:
    """The one spelling of a video's ID."""
    number = re.fullmatch(r"(?:video_)?0*([0-9]{1,9})", name)
    return number[1] if number else name


def _open(path: Path, length: int) -> VideoMaps | None:
    if path.is_dir():
        arrays = [file for file in sorted(path.iterdir()) if file.suffix == ".npz"]
        if not arrays:
            return VideoMaps(path, _pictures(path))
        path = arrays[0]
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoMaps(path, {frame: frame for frame in range(count_frames(path))})
    if path.suffix != ".npz":
        return None
    index = _read_arrays(path, index_only=True)[1]
    return VideoMaps(path, {int(frame): row for row, frame in enumerate(index)})


def _pictures(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        number = re.search("([0-9]{1,9})$", file.stem)
        if number is None or file.suffix.lower() not in SUFFIXES:
            continue
        frame = int(number[1])
        if frame in files:
            raise InputError(f"{folder}: frame {frame} has two maps, {files[frame].name} and {file.name}; remove one")
        files[frame] = file
    return files


def _read_arrays(path: Path, index_only: bool = False) -> tuple[np.ndarray | None, np.ndarray]:
    """`maps` (None if only the index is asked for) and the frame of each."""
    expected = f"{path}: expected maps (n,h,w) of numbers under the name 'maps'"
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(info.filename).stem: info for info in archive.infolist()}
            if "maps" not in members:
                raise InputError(f"{expected}, found {', '.join(sorted(members)[:5]) or 'nothing'}")
            if (size := sum(info.file_size for info in members.values())) > MAX_ARRAY_BYTES:
                raise InputError(f"{expected}, at most {MAX_ARRAY_BYTES} bytes, found {size}")
            with archive.open(members["maps"]) as file:
                shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
            if math.prod(shape) * dtype.itemsize > members["maps"].file_size:
                raise InputError(f"{path}: damaged, the array is shorter than its shape {shape}")
        with np.load(path, allow_pickle=False) as arrays:
            index = arrays["frame_index"] if "frame_index" in members else np.arange(shape[0] if shape else 0)
            maps = None if index_only else arrays["maps"]
    except InputError:
        raise
    # A damaged or crafted archive ends in nearly any exception.
    except Exception as error:
        raise InputError(f"{path}: damaged or not an .npz of arrays ({type(error).__name__})") from None
    if len(shape) != 3 or dtype.kind not in "biuf" or min(shape) < 1:
        raise InputError(f"{expected}, found {dtype} of shape {shape}")
    if index.shape != shape[:1] or index.dtype.kind not in "iu" or len(set(index.tolist())) < len(index):
        raise InputError(f"{path}: expected frame_index to name the frame of each of the {shape[0]} maps once")
    return maps, index


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
