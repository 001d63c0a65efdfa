"""The AIM 2024 and NTIRE 2026 video saliency challenges on disk: 1,500 and 2,000 videos, over 70 observers each, CC-BY.

    python -m data.challenge check FOLDER       what is there, what is usable, what is wrong

    TrainTestSplit.json                                    lists of names: train..., public_test, private_test
    Videos/<name>.mp4                                      many with sound
    SaliencyTrain/Train/<name>.mp4, SaliencyTest/Test/     ground-truth maps, a video of 10 bits, stretched a frame
    FixationsTrain/Train/<name>/fixations.json, FixationsTest/Test/   a list a frame of [row, column]

The archives are unpacked into one folder. The level Train or Test may be missing, and an archive may have been unpacked
into a folder of its own.
"""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.progress import track
from rich.table import Table

from data.challenge_files import SPLIT_FILE, SUBSETS, ChallengeVideo, read_fixations, read_split_file
from data.records import Dataset, Problem, common_length
from data.splits import Splits, canonical
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import probe
from vasal_jax.size import Size
from vasal_jax.system.terminal import console, run, show
from vasal_jax.system.text import printable

logger = logging.getLogger(__name__)

NAME = "challenge"
VALIDATION_EVERY = 10  # the challenge has no validation videos: every tenth training video, by name, becomes one
_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


def is_challenge(root: Path) -> bool:
    """Whether a folder has the challenges' layout."""
    return (root / SPLIT_FILE).is_file()


def read_challenge(root: str | os.PathLike, progress: bool = True) -> tuple[Dataset, Splits]:
    """Reads a challenge's folder; each bad video gets one logged line a problem and is left out.

    Args:
      root: the folder that the archives were unpacked in.
      progress: show a progress bar on standard error.

    Returns:
      The usable videos in the order of the split file with all problems, and the splits: `test` is both test subsets.

    Raises:
      InputError: no split file, or nothing usable.
    """
    root, names = Path(root), read_split_file(root)
    folders = _Folders(root)
    records, problems = [], []
    listed = [(subset, name) for subset, videos in names.items() for name in videos]
    for subset, name in track(listed, "Reading the challenge", console=console, transient=True, disable=not progress):
        try:
            record, notes = _read_video(folders, subset, name)
            records.append(record)
        except InputError as error:
            notes = [Problem(name, "unusable", str(error), True)]
        for note in notes:
            logger.warning("video %s %s: %s", name, "left out" if note.left_out else "kept", note.message)
        problems += notes
    if not records:
        raise InputError(f"{root}: expected usable videos, found none among {len(listed)} ({problems[0].message})")
    return Dataset(NAME, len(listed), tuple(records), tuple(problems)), _splits(names)


def _splits(names: dict[str, tuple[str, ...]]) -> Splits:
    train = sorted(map(canonical, names.get("train", ())))
    validation = train[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]
    videos = {
        "training": frozenset(train) - frozenset(validation),
        "validation": frozenset(validation),
        "test": frozenset(canonical(name) for subset in SUBSETS for name in names.get(subset, ())),
    }
    rule = f"{SPLIT_FILE}: test=public_test and private_test; validation=every {VALIDATION_EVERY}th of train, by name"
    return Splits(rule, rule, videos)


@dataclass(frozen=True)
class _Folders:
    """Where the parts of the challenge lie below its root."""

    root: Path

    def find(self, part: str, subset: str, entry: Callable[[Path], Path | None]) -> Path | None:
        """What `entry` finds in the folder of a part ("Saliency") for a subset, with or without its inner levels."""
        kind = "Train" if subset == "train" else "Test"
        outer = [self.root / f"{part}{kind}", self.root / part, self.root / f"{part}{kind}" / f"{part}{kind}"]
        for folder in outer:
            for inner in (folder / kind, folder):
                if (found := entry(inner)) is not None:
                    return found
        return None

    def archive(self, part: str, subset: str) -> str:
        """A hint where an archive of the part was not unpacked."""
        name = f"{part}{'Train' if subset == 'train' else 'Test'}.zip"
        return f"; unpack {name} first" if (self.root / name).exists() else ""


def _video_named(name: str) -> Callable[[Path], Path | None]:
    return lambda folder: next((path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def _fixations_named(name: str) -> Callable[[Path], Path | None]:
    return lambda folder: path if (path := folder / name / "fixations.json").is_file() else None


def _read_video(folders: _Folders, subset: str, name: str) -> tuple[ChallengeVideo, list[Problem]]:
    """The record and what is odd about it; `InputError` where the video is unusable."""
    video = _video_named(name)(folders.root / "Videos") or _video_named(name)(folders.root / "Videos" / "Videos")
    maps = folders.find("Saliency", subset, _video_named(name))
    fixation_file = folders.find("Fixations", subset, _fixations_named(name))
    if video is None:
        raise InputError(f"{folders.root / 'Videos' / name}.mp4: no such file, expected a video of {SPLIT_FILE}")
    if maps is None:
        raise InputError(f"{video}: has no ground truth {name}.mp4{folders.archive('Saliency', subset)}")
    if fixation_file is None:
        raise InputError(f"{video}: has no {name}/fixations.json{folders.archive('Fixations', subset)}")
    info, truth = probe(video), probe(maps)
    frames = read_fixations(fixation_file)
    lengths = {"video": info.frames, "maps": truth.frames, "fixations": len(frames)}
    n_frames, notes = common_length(name, video, lengths, f"{video}: expected frames in all of its parts")
    grid = Size(truth.height, truth.width)
    record = ChallengeVideo(
        NAME, name, video, video if info.has_sound else None, n_frames, info.fps, info.width, info.height, grid,
        maps, fixation_file, subset,
    )  # fmt: skip
    outside = sum(len(pixels) for pixels in frames) - sum(map(len, record.fixated_pixels()))
    if outside:
        message = f"{fixation_file}: {outside} points are outside {grid}, and left out"
        notes.append(Problem(name, "invalid fixations", message, False))
    if empty := sum(not len(pixels) for pixels in frames[:n_frames]):
        message = f"{fixation_file}: {empty} of {n_frames} frames have no fixation"
        notes.append(Problem(name, "frames without fixations", message, False))
    return record, notes


def problem_table(dataset: Dataset) -> Table:
    """One table: videos by subset, and problems with how many videos have them and the first few names."""
    table = Table("", "videos", "", title="the challenge on disk")
    table.add_row("listed", str(dataset.found))
    for subset in ("train", *SUBSETS):
        records = [record for record in dataset.records if record.subset == subset]
        sound = sum(record.sound is not None for record in records)
        table.add_row(f"usable, {subset}", str(len(records)), f"{sound} with sound")
    table.add_section()
    by_kind: dict[tuple[bool, str], list[str]] = {}
    for problem in dataset.problems:
        by_kind.setdefault((not problem.left_out, problem.kind), []).append(problem.video)
    for (kept, kind), names in sorted(by_kind.items()):
        what = f"{kind} ({'kept' if kept else 'left out'})"
        table.add_row(what, str(len(names)), ", ".join(map(printable, names[:5])) + (" ..." if len(names) > 5 else ""))
    return table


def check(folder: tyro.conf.Positional[Path], /) -> int:
    """Prints what is in a challenge's folder and what is wrong with it.

    Args:
        folder: where the archives were unpacked.
    """
    show(problem_table(read_challenge(folder)[0]))
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code, 2 where the folder holds nothing usable."""

    return run(
        lambda: tyro.extras.subcommand_cli_from_dict({"check": check}, prog="python -m data.challenge", args=args) or 0
    )


if __name__ == "__main__":
    sys.exit(main())
