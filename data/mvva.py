"""The MVVA release on disk, read and judged video by video.

    python -m data.mvva check FOLDER            what is there, what is usable, what is wrong
    python -m data.mvva check FOLDER --deep     the same after decoding every frame

FOLDER is where the archives were unpacked; `data.mvva_files` says what is looked for in it.
"""

import logging
import os
import sys
from collections import Counter
from pathlib import Path

import tyro
from rich.progress import track
from rich.table import Table

from data.mvva_files import find_videos
from data.mvva_review import Totals, read_video
from data.records import Dataset
from data.synthetic_files import recognised
from vasal_jax.errors import InputError
from vasal_jax.inputs.fixations import SIGMA
from vasal_jax.system.terminal import console, run, show
from vasal_jax.system.text import printable

logger = logging.getLogger(__name__)


def read_release(root: str | os.PathLike, deep: bool = False, progress: bool = True) -> tuple[Dataset, Totals]:
    """Reads MVVA from a folder; each bad video gets one logged line a problem and is left out.

    Args:
      root: the folder that the archives were unpacked in.
      deep: decode every frame of every video; else frames are counted without decoding them.
      progress: show a progress bar on standard error.

    Returns:
      The usable videos in the order of their IDs with all problems, and the totals over them.

    Raises:
      InputError: no such folder, or nothing usable in it.
    """
    videos = find_videos(root)
    records, problems, totals = [], [], Totals()
    for files in track(videos, "Reading MVVA", console=console, transient=True, disable=not progress):
        record, notes, part = read_video(files, deep)
        records += [recognised(record)] if record else []
        problems += notes
        totals.add(part)
    if not records:
        kinds = Counter(problem.kind for problem in problems if problem.left_out)
        causes = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        raise InputError(f"{root}: expected usable videos, found none among {len(videos)} ({causes})")
    if len(records) < len(videos):
        logger.warning("%s: %d of %d videos left out", root, len(videos) - len(records), len(videos))
    found = sum(files.video is not None for files in videos)
    name = " and ".join(dict.fromkeys(record.dataset for record in records))
    return Dataset(name, found, tuple(records), tuple(problems)), totals


def problem_table(dataset: Dataset, totals: Totals) -> Table:
    """One table: videos, problems with how many videos have them and the first few IDs, totals."""
    table = Table("", "videos", "", title=f"{dataset.name} on disk")
    table.add_row("found", str(dataset.found))
    table.add_row("usable", str(len(dataset.records)), end_section=True)
    by_kind: dict[tuple[bool, str], list[str]] = {}
    for problem in dataset.problems:
        ids = by_kind.setdefault((not problem.left_out, problem.kind), [])
        if problem.video not in ids:
            ids.append(problem.video)
    for (kept, kind), ids in sorted(by_kind.items()):
        what = f"{kind} ({'kept' if kept else 'left out'})"
        table.add_row(what, str(len(ids)), ", ".join(map(printable, ids[:5])) + (" ..." if len(ids) > 5 else ""))
    table.add_section()
    share = f"{totals.talking / totals.judged:.1%} of {totals.judged:,} boxes" if totals.judged else "unknown"
    for what, value in {
        "frames": f"{totals.frames:,}",
        "seconds": f"{totals.seconds:,.1f}",
        "fixations": f"{totals.fixations:,} ({totals.dropped:,} invalid ones dropped)",
        "face boxes": f"{totals.faces:,}",
        "talking": share,
    }.items():
        table.add_row(what, "", value)
    if totals.maps:
        difference = f"{totals.map_difference / totals.maps:.2f} of 255 from ours at sigma {SIGMA:g}"
        table.add_row("authors' maps", str(totals.maps), difference)
    return table


def check(folder: tyro.conf.Positional[Path], /, deep: bool = False) -> None:
    """Prints what is in an MVVA folder and what is wrong with it.

    Args:
        folder: where the archives were unpacked.
        deep: decode every frame, which finds damage inside videos and takes minutes to hours.
    """
    show(problem_table(*read_release(folder, deep)))


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code, 2 where the folder holds nothing usable."""

    def command() -> int:
        tyro.extras.subcommand_cli_from_dict({"check": check}, prog="python -m data.mvva", args=args)
        return 0

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
