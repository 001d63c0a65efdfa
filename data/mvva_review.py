"""One video of the MVVA release, read and judged: its record, what is wrong with it, what it adds up to."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data.mvva_arrays import Fixations, TalkingFlags, load_fixations, load_talking
from data.mvva_files import (
    MvvaVideo,
    VideoFiles,
    compare_saliency,
    saliency_path,
)
from data.records import Problem
from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.media import open_media
from vasal_jax.inputs.video import VideoInfo, count_frames, probe, read_frames

logger = logging.getLogger(__name__)

ALIKE = 2  # frames by which the lengths of a video and its arrays differ where nothing is wrong


@dataclass
class Totals:
    """Sums over the usable videos."""

    frames: int = 0
    seconds: float = 0.0
    fixations: int = 0
    dropped: int = 0  # stored points that are no fixations: not finite, outside the grid or (0, 0)
    faces: int = 0  # boxes
    judged: int = 0  # boxes of faces that have talking flags
    talking: int = 0  # of those
    maps: int = 0  # videos whose middle frame could be compared with the authors' map
    map_difference: float = 0.0  # sum of their mean absolute differences, in grey levels

    def add(self, other: "Totals") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class _Review:
    """Reads the parts of one video and takes down what is wrong with them."""

    id: str
    problems: list[Problem] = field(default_factory=list)

    def note(self, kind: str, message: str, left_out: bool, level: int = logging.WARNING) -> None:
        self.problems.append(Problem(self.id, kind, message, left_out))
        logger.log(level, "video %s %s: %s", self.id, "left out" if left_out else "kept", message)

    def read(self, kind: str, load: Callable, *args):
        """`load(*args)`, or None and a note where the input is bad."""
        try:
            return load(*args)
        except InputError as error:
            self.note(kind, str(error), True)
            return None

    def warning(self, kind: str, left_out: bool) -> Callable[..., None]:
        """What a reader calls for its warnings: they are logged as they come, and taken down as problems of a kind."""

        def warn(message: str, *args: object) -> None:
            logger.warning(message, *args)
            self.problems.append(Problem(self.id, kind, message % args, left_out))

        return warn

    @property
    def failed(self) -> bool:
        return any(problem.left_out for problem in self.problems)


def read_video(files: VideoFiles, deep: bool = False) -> tuple[MvvaVideo | None, list[Problem], Totals]:
    """Reads and judges one video.

    Args:
      files: where its files are.
      deep: decode every frame; else the frames are counted without decoding them.

    Returns:
      The record, or None if it is unusable; all problems, each logged as one line; its part of the totals.
    """
    review = _Review(files.id)
    record, totals = _read_parts(files, review, deep)
    return (None if review.failed else record), review.problems, (Totals() if review.failed else totals)


def _read_parts(files: VideoFiles, review: _Review, deep: bool) -> tuple[MvvaVideo | None, Totals]:
    if files.video is None:
        known = next(filter(None, (files.fixations, files.tracks, files.talking, files.sound, files.maps)))
        review.note("no video", f"{known}: has no video of this ID, expected {files.id}.avi", True)
        return None, Totals()
    info = review.read("corrupt video", probe, files.video)
    counted = None if info is None else review.read("corrupt video", _count_frames, files.video, deep, review)
    sound = None if info is None else _sound(files, info, review)
    fixations = None
    if files.fixations is None:
        review.note("no fixations", f"{files.video}: has no fixations, expected fixation/{files.id}.npy", True)
    else:
        fixations = review.read("unreadable fixations", load_fixations, files.fixations)
    invalid_boxes = review.warning("invalid face boxes", left_out=False)
    tracks = files.tracks and review.read("unreadable tracks", load_tracks, files.tracks, MVVA_GRID, invalid_boxes)
    talking = None if files.talking is None else review.read("unreadable talking", load_talking, files.talking)
    if tracks and not len(tracks[1]):
        review.note("no faces", f"{files.tracks}: holds no frames, taken as a video without faces", False)
        files, tracks = replace(files, tracks=None), None
    if info is None or counted is None or fixations is None or files.video is None or files.fixations is None:
        return None, Totals()
    if not review.failed:
        _check_axes(files, counted, fixations, tracks, talking, review)
    if review.failed:
        return None, Totals()
    lengths = {files.video.name: counted, "fixations": len(fixations.points)}
    lengths |= {"tracks": len(tracks[1])} if tracks else {}
    lengths |= {"talking": talking.flags.shape[1]} if talking is not None else {}
    n_frames = _shortest(lengths, files, review)
    record = MvvaVideo(
        "mvva", files.id, files.video, sound, n_frames, info.fps, info.width, info.height, MVVA_GRID,
        files.fixations, files.tracks, files.talking,
    )  # fmt: skip
    totals = _totals(record, fixations, tracks, talking, review)
    if files.maps and not review.failed:
        totals.maps, totals.map_difference = _compare_map(files.maps, fixations.points[:n_frames], review)
    return record, totals


def _check_axes(files: VideoFiles, frames: int, fixations: Fixations, tracks, talking, review: _Review) -> None:
    """Notes arrays whose axes have changed places, by the number of frames, and boxes that are no pixels."""
    shapes = {
        "fixations": (files.fixations, "[frames, 2, subjects]", fixations.points.shape[:2]),
        "tracks": (files.tracks, "[frames, faces, 4]", tracks[1].shape if tracks else ()),
        "talking": (files.talking, "[faces, frames]", talking.flags.shape[::-1] if talking else ()),
    }
    for name, (path, axes, shape) in shapes.items():
        if shape and abs(shape[1] - frames) <= ALIKE < abs(shape[0] - frames):
            found = f"{shape[0]} frames of {shape[1]}, where the video has {frames} frames"
            review.note(f"{name} transposed", f"{path}: expected {axes}, found {found}; transpose it", True)
    if tracks and tracks[1].any() and (tracks[0] * ((MVVA_GRID.width, MVVA_GRID.height) * 2)).max() <= 1:
        message = f"{files.tracks}: expected boxes in pixels of {MVVA_GRID}, found all of them within 0..1"
        review.note("boxes not in pixels", message, True)


def _count_frames(path: Path, deep: bool, review: _Review) -> int:
    if deep:
        # Frames lost in the middle put all later ones out of step with the fixations.
        return sum(1 for _ in read_frames(path, review.warning("damaged video", left_out=True)))
    return count_frames(path)


def _sound(files: VideoFiles, info: VideoInfo, review: _Review) -> Path | None:
    if files.sound is None and info.has_sound:
        return files.video
    if files.sound is None:
        review.note("no sound", f"{files.video}: has no sound and no {files.id}.wav, expected either", True)
    elif review.read("unreadable sound", _has_sound, files.sound) is False:
        review.note("unreadable sound", f"{files.sound}: expected a sound file, found no sound in it", True)
    return files.sound


def _has_sound(path: Path) -> bool:
    with open_media(path) as container:
        return bool(container.streams.audio)


def _shortest(lengths: dict[str, int], files: VideoFiles, review: _Review) -> int:
    shortest = min(lengths.values())
    found = ", ".join(f"{name} {length}" for name, length in lengths.items())
    if shortest == 0:
        review.note("no frames", f"{files.video}: expected frames in all of its parts, found {found}", True)
    elif shortest < max(lengths.values()):
        review.note("lengths differ", f"{files.video}: cut to {shortest} frames, found {found}", False)
    return shortest


def _totals(record: MvvaVideo, fixations: Fixations, tracks, talking: TalkingFlags | None, review: _Review) -> Totals:
    """What the video adds up to; notes what is missing in it."""
    n, dropped = record.n_frames, fixations.outside + fixations.at_origin
    totals = Totals(n, record.seconds, int(np.isfinite(fixations.points[:n, :, 0]).sum()), dropped)
    if fixations.outside:
        message = f"{fixations.outside} points are not finite or outside {MVVA_GRID}, and left out"
        review.note("invalid fixations", f"{record.fixation_file}: {message}", False, logging.INFO)
    if fixations.at_origin:
        message = f"{fixations.at_origin} points are (0, 0), and taken as no fixation"
        review.note("gaze at (0, 0)", f"{record.fixation_file}: {message}", False)
    if n and not totals.fixations:
        review.note("no valid fixation", f"{record.fixation_file}: no point is inside {MVVA_GRID}", True)
    if tracks is None:
        review.note("no tracks", f"{record.video}: has no face tracks ({record.id}.npy)", False, logging.INFO)
        return totals
    mask = tracks[1][:n]
    totals.faces = int(mask.sum())
    if n and not totals.faces:
        review.note("no faces", f"{record.tracking_file}: has no usable box, taken as a video without faces", False)
    if talking is None:
        review.note("no talking", f"{record.video}: has no talking flags ({record.id}.npy)", False, logging.INFO)
        return totals
    _note_flags(record, talking, mask.shape[1], review)
    both = min(len(talking.flags), mask.shape[1])
    known, flags = (array[:both, :n].T & mask[:, :both] for array in (talking.known, talking.flags))
    totals.judged, totals.talking = int(known.sum()), int(flags.sum())
    return totals


def _note_flags(record: MvvaVideo, talking: TalkingFlags, faces: int, review: _Review) -> None:
    """Notes what is odd about the talking flags of a video with tracks of so many faces."""
    rows = len(talking.flags)
    if rows != faces:
        rest = "the flags of the others are unknown" if rows < faces else "the others are left out"
        message = f"{record.talking_file}: {rows} faces, but {faces} in {record.tracking_file}; {rest}"
        review.note("face counts differ", message, False)
    if talking.bytes_255:
        review.note("flags of 255", f"{record.talking_file}: has 255 where 1 is expected, taken as talking", False)
    if unknown := np.count_nonzero(~talking.known):
        message = f"{unknown} of {talking.known.size} flags are neither 0 nor 1, and unknown"
        review.note("flags unknown", f"{record.talking_file}: {message}", False)


def _compare_map(folder: Path, points: np.ndarray, review: _Review) -> tuple[int, float]:
    """1 and the mean difference of our middle frame's map from the authors'; zeros if they cannot be compared."""
    frame = len(points) // 2
    if np.isnan(points[frame]).all():
        return 0, 0.0
    try:
        released = read_grey(saliency_path(folder.parent, review.id, frame))
    except InputError as error:
        review.note("unreadable map", str(error), False)
        return 0, 0.0
    return 1, compare_saliency(points[frame], released).mean
