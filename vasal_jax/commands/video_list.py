"""Which videos the words of a command line name, and under which name the outputs of each go into a folder."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vasal_jax.errors import InputError

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".flv", ".gif")
"""Of files that are taken from a folder; a file that is named itself may have any name."""

MAX_LIST_BYTES = 16 * 2**20
MAX_VIDEOS = 1_000_000


class NamedVideo(NamedTuple):
    """A video and the start of the names of its outputs, relative to their folder."""

    path: Path
    name: str


def find_videos(words: Sequence[Path], recursive: bool) -> list[NamedVideo]:
    """The videos of files, folders, patterns and lists, each once, in the order of the words.

    A folder stands for the videos in it, by name, those of its subfolders too if `recursive`. `@FILE` is a list, one of
    these a line; empty lines and lines that begin with # say nothing. A pattern such as `"films/*.mp4"` stands for what
    it matches. Names are the stems; where two videos have one stem, their folders stand before it, and where these are
    the same too, the suffix stands behind it.

    Raises:
      InputError: a word names nothing, a folder has no video in it, or a list cannot be read.
    """
    paths = list(dict.fromkeys(path for word in words for path in _expanded(str(word), recursive)))
    if len(paths) > MAX_VIDEOS:
        raise InputError(f"expected at most {MAX_VIDEOS} videos, found {len(paths)}; take them in several runs")
    return [NamedVideo(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _expanded(word: str, recursive: bool) -> Iterator[Path]:
    path = Path(word)
    if word.startswith("@") and not path.exists():
        for line in _list(Path(word[1:])):
            yield from _expanded(line, recursive)
    elif path.is_dir():
        yield from _videos_in(path, recursive)
    elif any(mark in word for mark in "*?[") and not path.exists():
        matches = sorted(map(Path, glob.glob(word, recursive=recursive)))
        if not matches:
            raise InputError(f"{word}: matches nothing, expected videos; check the pattern")
        for match in matches:
            yield from _videos_in(match, recursive) if match.is_dir() else [match]
    else:
        yield path  # that it is missing is told of this video alone


def _videos_in(folder: Path, recursive: bool) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".") if recursive else []
        found += [Path(parent, name) for name in sorted(names) if _is_video(name)]
    if not found:
        more = "" if recursive else ", or --recursive for those of its subfolders"
        raise InputError(f"{folder}: has no video in it, expected files such as film.mp4{more}")
    return found


def _is_video(name: str) -> bool:
    return name[0] != "." and Path(name).suffix.lower() in SUFFIXES


def _list(path: Path) -> Iterable[str]:
    try:
        if not path.is_file():
            raise InputError(f"@{path}: expected a list of videos, one a line; found no such file")
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
        lines = [line.strip() for line in os.fsdecode(content).splitlines()]
    except OSError as error:
        raise InputError(f"@{path}: expected a list of videos; cannot be read ({error.strerror})") from None
    if len(content) > MAX_LIST_BYTES:
        raise InputError(f"@{path}: expected a list of videos of at most {MAX_LIST_BYTES} bytes")
    videos = [line for line in lines if line and not line.startswith("#")]
    if nested := next((line for line in videos if line.startswith("@")), None):
        raise InputError(f"@{path}: expected videos, found the list {nested}; name it on the command line")
    if not videos:
        raise InputError(f"@{path}: expected a list of videos, one a line; found none")
    return videos


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each path, all different, as short as that allows; none leaves the folder of the outputs."""
    stems = Counter(path.stem for path in paths)
    unique = [path.stem if stems[path.stem] == 1 else _within(path) for path in paths]
    twice = Counter(unique)
    return [name if twice[name] == 1 else name + path.suffix for name, path in zip(unique, paths, strict=True)]


def _within(path: Path) -> str:
    """The path without its suffix, relative to where it and the working directory part."""
    absolute = Path(os.path.abspath(path))
    try:
        relative = absolute.relative_to(Path.cwd())
    except ValueError:
        relative = Path(*absolute.parts[1:])
    return str(relative.with_suffix(""))
