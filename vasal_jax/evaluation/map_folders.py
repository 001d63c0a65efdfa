"""Saliency maps made elsewhere: a folder with a folder of pictures, an `.npz`, or a grey video, for each video."""

import contextlib
import hashlib
import logging
import os
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.map_videos import MapVideo
from vasal_jax.inputs.npz import open_npz
from vasal_jax.inputs.video import count_frames

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm")


@dataclass(frozen=True)
class VideoMaps:
    """The maps of one video.

    Attributes:
      path: a folder of pictures, a grey video or an `.npz`.
      frames: which frames have a map, counted from 0, and the place of it among the `files`, the video's frames or the
        rows of the array.
      files: the pictures of a folder.
    """

    path: Path
    frames: Mapping[int, int]
    files: Sequence[Path] = ()

    def open(self) -> Callable[[int], np.ndarray]:
        """A reader of a frame's map: float32 (h, w), any range. Raises `InputError` for damaged files."""
        if self.files:
            return lambda frame: read_grey(self.files[self.frames[frame]]).astype(np.float32)
        if self.path.suffix.lower() in VIDEO_SUFFIXES:
            video = MapVideo(self.path)
            return lambda frame: video[frame].astype(np.float32)
        rows = _open_rows(self.path)
        return lambda frame: rows(self.frames[frame]).astype(np.float32)

    def stamp(self) -> str:
        """Changes when a file does."""
        files = sorted(self.files) or [self.path]
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()


def find_maps(root: str | os.PathLike, lengths: Mapping[str, int]) -> tuple[dict[str, VideoMaps], list[str]]:
    """Finds the maps of videos.

    `root/<ID>/` holds pictures whose names end in the number of the frame, PNG or JPEG, or one `.npz`; or there is
    `root/<ID>.npz`, or a grey video `root/<ID>.mp4`. An `.npz` has `maps` (n, h, w) and may have `frame_index` (n,).
    IDs may be padded with zeros and follow "video_". Names that begin with a dot are passed over. Frames count from 0.
    Pictures count from 1 where the whole folder has a frame 1 and no frame 0, and one of the videos a frame of the
    number that it has frames.

    Args:
      root: the folder.
      lengths: number of frames by ID of the videos that maps are needed for.

    Returns:
      The maps by ID, and one line for each video that lacks some or all.

    Raises:
      InputError: no such folder, no map of any of the videos in it, two files for one frame or video, no arrays, or
        pictures that may count from 0 or from 1.
    """
    root = Path(root)
    places = _places(root)
    opened = {video: _open(places[_id(video)]) for video in lengths if _id(video) in places}
    found = {video: maps for video, maps in opened.items() if maps.frames}
    if not found:
        raise InputError(_why_nothing(root, places, lengths))
    if _count_from_one(root, places, found, lengths):
        pictures = [video for video, maps in found.items() if maps.path.is_dir()]
        for video in pictures:
            frames = {frame - 1: place for frame, place in found[video].frames.items()}
            found[video] = replace(found[video], frames=frames)
        logger.warning("%s: pictures of %d videos are numbered from 1, taken so", root, len(pictures))
    return found, [line for video, length in lengths.items() if (line := _lack(video, length, found.get(video)))]


def _lack(video: str, length: int, maps: VideoMaps | None) -> str | None:
    """What a video lacks, in a line."""
    if maps is None:
        return f"video {video}: no maps"
    lost = [frame for frame in range(length) if frame not in maps.frames]
    some = ", ".join(map(str, lost[:5])) + (" ..." if len(lost) > 5 else "")
    return f"video {video}: no map of {len(lost)} of {length} frames ({some})" if lost else None


def _places(root: Path) -> dict[str, Path]:
    """Where the maps of each video are, by the one spelling of its ID."""
    try:
        entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{root}: expected a folder of maps, one folder a video ({error.strerror})") from None
    places: dict[str, Path] = {}
    for entry in entries:
        is_file = entry.suffix.lower() in (".npz", *VIDEO_SUFFIXES)
        is_place = is_file or entry.is_dir()
        video = _id(entry.stem if is_file else entry.name)
        if is_place and video in places:
            raise InputError(f"{root}: video {video} has two places, {places[video].name} and {entry.name}; remove one")
        if is_place:
            places[video] = entry
    return places


def _count_from_one(
    root: Path, places: Mapping[str, Path], found: Mapping[str, VideoMaps], lengths: Mapping[str, int]
) -> bool:
    """Whether pictures are numbered from 1: decided once, by all of them, those of videos not asked for too.

    An `.npz` says which frames its maps are of, a video begins with frame 0: neither is ever counted from 1.
    """
    folders = {video: maps for video, maps in found.items() if maps.path.is_dir()}
    numbers = set().union(*(_numbers(path) for path in places.values() if path.is_dir()))
    if not folders or 0 in numbers or 1 not in numbers:
        return False
    if any(lengths[video] in maps.frames for video, maps in folders.items()):
        return True
    raise InputError(
        f"{root}: has a frame 1, but no frame 0 and none of the number that a video has frames, so pictures may be "
        "numbered from 0 or from 1; number the first frame of a video 0, or make an .npz with frame_index of each video"
    )


def _why_nothing(root: Path, places: Mapping[str, Path], lengths: Mapping[str, int]) -> str:
    empty = [places[_id(video)] for video in lengths if _id(video) in places and places[_id(video)].is_dir()]
    if empty:
        names = [entry.name for entry in sorted(empty[0].iterdir()) if not entry.name.startswith(".")][:5]
        return (
            f"{empty[0]}: has no maps; expected {', '.join(SUFFIXES)} whose names end in the number of the frame, or "
            f"one .npz, found {', '.join(names) or 'nothing'}"
        )
    there, wanted = (", ".join(list(ids)[:5]) or "nothing" for ids in (places, lengths))
    return f"{root}: has no maps of any of the {len(lengths)} videos; expected {wanted}, found {there}"


def _id(name: str) -> str:
    """The one spelling of a video's ID."""
    number = re.fullmatch(r"(?:video_)?0*([0-9]{1,9})", name)
    return number[1] if number else name


def _open(path: Path) -> VideoMaps:
    if path.is_dir():
        arrays = sorted(file for file in path.glob("*.npz") if not file.name.startswith("."))
        pictures = _pictures(path)
        if len(arrays) + bool(pictures) > 1:
            names = [file.name for file in (*arrays, *pictures.values())]
            raise InputError(f"{path}: expected pictures or one .npz, found {', '.join(names[:3])}; remove some")
        if not arrays:
            return VideoMaps(path, {frame: place for place, frame in enumerate(pictures)}, list(pictures.values()))
        (path,) = arrays
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoMaps(path, {frame: frame for frame in range(count_frames(path))})
    return VideoMaps(path, {int(frame): row for row, frame in enumerate(read_index(path))})


def _pictures(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        frame = _frame_number(file)
        if frame is None:
            continue
        if frame in files:
            raise InputError(f"{folder}: frame {frame} has two maps, {files[frame].name} and {file.name}; remove one")
        files[frame] = file
    return files


def _numbers(folder: Path) -> set[int]:
    return {frame for file in folder.iterdir() if (frame := _frame_number(file)) is not None}


def _frame_number(file: Path) -> int | None:
    """The number that a picture's name ends in; None for other files and for hidden ones, such as "._00001.png"."""
    number = re.search("([0-9]{1,9})$", file.stem)
    is_picture = file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    return int(number[1]) if number and is_picture else None


def read_index(path: str | os.PathLike) -> np.ndarray:
    """The frame of each of the maps in an `.npz`: int (n,). Raises `InputError` where it holds no maps."""
    expected = f"{path}: expected maps (n,h,w) of numbers under the name 'maps'"
    with open_npz(path, "maps (n,h,w) under the name 'maps'") as archive:
        if "maps" not in archive.members:
            raise InputError(f"{expected}, found {', '.join(sorted(archive.members)[:5]) or 'nothing'}")
        _, shape, _, dtype = archive.members["maps"]
        if len(shape) != 3 or dtype.kind not in "biuf" or min(shape) < 1 or shape[1] * shape[2] > limits.MAX_AREA:
            raise InputError(f"{expected}, found {dtype} of shape {shape}")
        archive.rows("maps")
        index = archive.read("frame_index") if "frame_index" in archive.members else np.arange(shape[0])
    if index.shape != shape[:1] or index.dtype.kind not in "iu" or len(set(index.tolist())) < len(index):
        raise InputError(f"{path}: expected frame_index to name the frame of each of the {shape[0]} maps once")
    return index


def _open_rows(path: Path) -> Callable[[int], np.ndarray]:
    """A reader of the maps in an `.npz` by row; the file stays open as long as the reader lives."""
    stack = contextlib.ExitStack()
    rows = stack.enter_context(open_npz(path, "maps (n,h,w) under the name 'maps'")).rows("maps")
    weakref.finalize(rows, stack.close)
    return rows.__getitem__
