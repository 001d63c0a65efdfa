"""Which videos the words of a command line name, and under which name the outputs of each go into a folder."""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vasal_jax.errors import InputError
from vasal_jax.system.reading import read_bytes

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".flv", ".gif")
"""Of files that are taken from a folder; a file that is named itself may have any name."""

MAX_LIST_BYTES = 16 * 2**20
MAX_VIDEOS = 1_000_000  # that a command line names


class NamedVideo(NamedTuple):
    """A video and the start of the names of its outputs, relative to their folder."""

    path: Path
    name: str


def find_videos(words: Sequence[Path], recursive: bool, out: Path) -> list[NamedVideo]:
    """The videos of files, folders, patterns and lists, each once, in the order of the words.

    A folder stands for the videos in it, by name, those of its subfolders too if `recursive`. `@FILE` is a list, one of
    these a line; empty lines and lines that begin with # say nothing. A pattern such as `"films/*.mp4"` stands for what
    it matches. What lies in the folder of the outputs is not searched. Names are the stems; where two videos have one
    stem, their folders stand before it, from the folder on that has all of the videos, and where these are the same
    too, the suffix stands behind it. So names depend on the videos alone, not on the working directory.

    Args:
      words: what the command line names.
      recursive: the videos of subfolders too.
      out: the folder of the outputs.

    Raises:
      InputError: a word names nothing, a folder has no video in it, a list cannot be read, or the outputs would lie
        among the videos.
    """
    finder = _Finder(recursive, os.path.realpath(out))
    found = (path for word in words for path in finder.expanded(str(word)))
    paths = list({os.path.abspath(path): path for path in islice(found, MAX_VIDEOS + 1)}.values())
    if len(paths) > MAX_VIDEOS:
        raise InputError(f"expected at most {MAX_VIDEOS} videos, found more; take them in several runs")
    for path in paths:
        if finder.has_outputs(path.parent):
            raise InputError(f"{path}: is in {out}, the folder of the outputs; give the outputs a folder of their own")
    return [NamedVideo(path, name) for path, name in zip(paths, _names(paths), strict=True)]


class _Finder:
    """Finds the videos that words name, outside of the folder of the outputs."""

    def __init__(self, recursive: bool, out: str):
        self._recursive, self._out = recursive, out
        self._real: dict[Path, str] = {}  # of each folder, asked once, since a network's disk answers slowly

    def has_outputs(self, folder: Path) -> bool:
        """Whether a folder is that of the outputs or lies in it."""
        real = self._real[folder] = self._real.get(folder) or os.path.realpath(folder)
        return real == self._out or real.startswith(self._out.rstrip(os.sep) + os.sep)

    def expanded(self, word: str) -> Iterator[Path]:
        """The videos of one word."""
        path = Path(word)
        if word.startswith("@") and not path.exists():
            for line in _list(Path(word[1:])):
                yield from self.expanded(line)
        elif path.is_dir():
            if self.has_outputs(path):
                raise InputError(f"{path}: is the folder of the outputs; give the outputs a folder of their own")
            found = self._videos_in(path)
            if not found:
                more = "" if self._recursive else ", or --recursive for those of its subfolders"
                raise InputError(f"{path}: has no video in it, expected files such as film.mp4{more}")
            yield from found
        elif any(mark in word for mark in "*?[") and not path.exists():
            matches = map(Path, sorted(glob.glob(word, recursive=self._recursive)))
            found = [video for match in matches for video in self._of_match(match)]
            if not found:
                raise InputError(f"{word}: matches nothing, expected videos; check the pattern")
            yield from found
        else:
            yield path  # that it is missing is told of this video alone

    def _of_match(self, match: Path) -> list[Path]:
        if self.has_outputs(match) or self.has_outputs(match.parent):
            return []
        return self._videos_in(match) if match.is_dir() else [match]

    def _videos_in(self, folder: Path) -> list[Path]:
        found: list[Path] = []
        for parent, folders, names in os.walk(folder):
            inner = sorted(name for name in folders if name[0] != ".") if self._recursive else []
            folders[:] = [name for name in inner if not self.has_outputs(Path(parent, name))]
            found += [Path(parent, name) for name in sorted(names) if _is_video(name)]
        return found


def _is_video(name: str) -> bool:
    return name[0] != "." and Path(name).suffix.lower() in SUFFIXES


def _list(path: Path) -> list[str]:
    content = read_bytes(path, "a list of videos, one a line", MAX_LIST_BYTES)
    lines = [line.strip() for line in os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).splitlines()]
    videos = [line for line in lines if line and not line.startswith("#")]
    if nested := next((line for line in videos if line.startswith("@")), None):
        raise InputError(f"{path}: expected videos, found the list {nested}; name it on the command line")
    if not videos:
        raise InputError(f"{path}: expected a list of videos, one a line; found none")
    return videos


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each path, all different on any file system, as short as that allows; none leaves the folder of the
    outputs."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    common = os.path.commonpath([path.parent for path in absolute]) if absolute else ""
    stems = Counter(path.stem.casefold() for path in absolute)
    names = [
        path.stem if stems[path.stem.casefold()] == 1 else str(path.relative_to(common).with_suffix(""))
        for path in absolute
    ]
    twice = Counter(name.casefold() for name in names)
    names = [
        name if twice[name.casefold()] == 1 else name + path.suffix for name, path in zip(names, absolute, strict=True)
    ]
    still = Counter(name.casefold() for name in names)  # such as A.mp4 and a.mp4
    return [
        name if still[name.casefold()] == 1 else f"{name}-{_digest(path.relative_to(common))}"
        for name, path in zip(names, absolute, strict=True)
    ]


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
