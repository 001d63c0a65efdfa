"""The layouts of DHF1K, and of Hollywood-2 and UCF-Sports as DHF1K's authors lay them out.

DHF1K                       video/<number>.AVI                     annotation/<number>/{maps,fixation}/<frame>.png
Hollywood-2, UCF-Sports     {training,testing}/<clip>/images/      {training,testing}/<clip>/{maps,fixation}/*.png

DHF1K's videos 1 to 600 are for training, 601 to 700 for validation; 701 to 1000 come without ground truth. Hollywood-2
and UCF-Sports have no validation clips: every tenth training clip, by name, becomes one; their pictures lie without
sound and without their times.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.markup import escape
from rich.progress import track

from data.records import Dataset, Problem, VideoRecord, common_length
from data.splits import Splits, canonical, parse_splits
from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_grey, read_rgb
from vasal_jax.inputs.video import Frame, probe, read_frames
from vasal_jax.size import Size
from vasal_jax.system.terminal import console

logger = logging.getLogger(__name__)

NAME = "dhf1k"
SPLIT = "training=1-600 validation=601-700"
VALIDATION_EVERY = 10
DEFAULT_FPS = 25.0  # assumed for Hollywood-2 and UCF-Sports
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class AnnotatedVideo(VideoRecord):
    """A video with a fixation map and a density a frame; `video` is a file, or a folder of pictures."""

    annotations: Path  # the folder with maps/ and fixation/
    knows_subjects = False

    def frames(self) -> Iterator[Frame]:
        if self.video.is_file():
            return islice(read_frames(self.video), self.n_frames)
        pictures = pictures_in(self.video)[: self.n_frames]
        return (Frame(index, index / self.fps, read_rgb(path)) for index, path in enumerate(pictures))

    def fixations(self) -> np.ndarray:
        points = [fixated_pixels(path) for path in pictures_in(self.annotations / "fixation")[: self.n_frames]]
        padded = np.full((self.n_frames, max(map(len, points), default=0), 2), np.nan, np.float32)
        for index, xy in enumerate(points):
            padded[index, : len(xy)] = xy
        return padded

    def density_picture(self, frame: int) -> np.ndarray:
        return read_grey(self._maps[frame])

    @cached_property
    def _maps(self) -> list[Path]:
        return pictures_in(self.annotations / "maps")


def fixated_pixels(path: Path) -> np.ndarray:
    """int (K, 2) x, y of the pixels of a binary fixation map that are not black. Raises `InputError`."""
    return np.argwhere(read_grey(path) > 0)[:, ::-1]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the last number in their names; others are left out."""
    numbered = []
    for name in os.listdir(folder) if folder.is_dir() else ():
        stem, suffix = os.path.splitext(name)
        numbers = re.findall(r"[0-9]{1,18}", stem)
        if name[0] != "." and suffix.lower() in PICTURES and numbers:
            numbered.append((int(numbers[-1]), name))
    return [folder / name for _, name in sorted(numbered)]


def is_dhf1k(root: Path) -> bool:
    """Whether a folder has DHF1K's layout."""
    return all((root / name).is_dir() for name in ("video", "annotation"))


def is_clip_folders(root: Path) -> bool:
    """Whether a folder has the layout of Hollywood-2 and UCF-Sports."""
    clips = (root / name for name in ("training", "testing"))
    return any(folder.is_dir() and any((clip / "images").is_dir() for clip in folder.iterdir()) for folder in clips)


def clip_folders_name(root: Path) -> str:
    """The dataset's name: the folder's own, of letters, digits and underscores."""
    return re.sub("[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_") or "clips"


def read_dhf1k(root: str | os.PathLike, progress: bool = True) -> tuple[Dataset, Splits]:
    """Reads DHF1K; videos without ground truth are left out, each bad one with a logged line.

    Args:
      root: the folder with video/ and annotation/.
      progress: show a progress bar on standard error.

    Raises:
      InputError: nothing usable.
    """
    root = Path(root)
    videos = sorted(path for path in (root / "video").iterdir() if re.fullmatch(r"[0-9]{1,6}", path.stem))
    with_truth = [path for path in videos if (root / "annotation" / f"{int(path.stem):04d}").is_dir()]
    if len(with_truth) < len(videos):
        logger.warning("%s: %d of %d videos have no ground truth", root, len(videos) - len(with_truth), len(videos))
    annotations = root / "annotation"
    sources = [_Source(str(int(v.stem)), v, annotations / f"{int(v.stem):04d}", None) for v in with_truth]
    return _read(NAME, root, sources, progress), parse_splits(SPLIT)


def read_clip_folders(root: str | os.PathLike, progress: bool = True) -> tuple[Dataset, Splits]:
    """Reads Hollywood-2 or UCF-Sports; each bad clip gets a logged line and is left out.

    Args:
      root: the folder with training/ and testing/; its own name becomes the dataset's.
      progress: show a progress bar on standard error.

    Raises:
      InputError: nothing usable, or a clip of one name in both folders.
    """
    root = Path(root)
    names = {split: _clips(root / split) for split in ("training", "testing")}
    if both := sorted(set(names["training"]) & set(names["testing"])):
        raise InputError(f"{root}: expected each clip in training or testing, found {both[0]} in both")
    sources = [
        _Source(name, root / split / name / "images", root / split / name, DEFAULT_FPS)
        for split, clips in names.items()
        for name in clips
    ]
    validation = names["training"][VALIDATION_EVERY - 1 :: VALIDATION_EVERY]
    by_split = {
        "training": frozenset(map(canonical, names["training"])) - frozenset(map(canonical, validation)),
        "validation": frozenset(map(canonical, validation)),
        "test": frozenset(map(canonical, names["testing"])),
    }
    rule = f"training and testing folders; validation=every {VALIDATION_EVERY}th of training, by name"
    return _read(clip_folders_name(root), root, sources, progress), Splits(rule, rule, by_split)


def _clips(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if (path / "images").is_dir()) if folder.is_dir() else []


class _Source(NamedTuple):
    """Where a video of a dataset lies."""

    id: str
    video: Path  # a file, or the folder of its pictures
    annotations: Path
    fps: float | None  # None for the video's own


def _read(name: str, root: Path, sources: list[_Source], progress: bool) -> Dataset:
    records, problems = [], []
    title = escape(f"Reading {name}")
    for source in track(sources, title, console=console, transient=True, disable=not progress):
        try:
            record, notes = _read_video(name, source)
            records.append(record)
        except InputError as error:
            notes = [Problem(source.id, "unusable", str(error), True)]
        for note in notes:
            logger.warning("video %s %s: %s", source.id, "left out" if note.left_out else "kept", note.message)
        problems += notes
    if not records:
        found = problems[0].message if problems else "no video"
        raise InputError(f"{root}: expected usable videos, found none among {len(sources)} ({found})")
    return Dataset(name, len(sources), tuple(records), tuple(problems))


def _read_video(dataset: str, source: _Source) -> tuple[AnnotatedVideo, list[Problem]]:
    """The record and what is odd about it; `InputError` where the video is unusable."""
    name, video, annotations, fps = source
    maps, fixations = (pictures_in(annotations / part) for part in ("maps", "fixation"))
    lengths: dict[str, int | None] = {"maps": len(maps), "fixation maps": len(fixations)}
    if fps is None:
        info = probe(video)
        sound, fps, size = video if info.has_sound else None, info.fps, (info.height, info.width)
        lengths["video"] = info.frames
    else:
        frames = pictures_in(video)
        lengths["frames"] = len(frames)
        sound, size = None, read_rgb(frames[0]).shape[:2] if frames else (0, 0)
    expected = f"{annotations}: expected frames, maps/ and fixation/ of one length"
    n_frames, notes = common_length(name, video, lengths, expected)
    height, width = read_grey(fixations[0]).shape
    record = AnnotatedVideo(
        dataset, name, video, sound, n_frames, fps, size[1], size[0], Size(height, width), annotations
    )
    return record, notes
