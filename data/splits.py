"""Which video is trained on, chosen by, and tested on.

The authors of MVVA published no split. A split here is a line of text that can stand beside every number:
`test=281-343 validation=220-280` puts those IDs there and all others into training. Instead of ranges a list file
can be named (`test=lists/test.txt`), one video a line; the fold lists of STAViS are such files.
"""

import hashlib
import math
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.records import VideoRecord
from vasal_jax.errors import InputError
from vasal_jax.system.reading import read_bytes

NAMES = ("training", "validation", "test")
DEFAULT = "test=281-343 validation=220-280"
MAX_ID = 1_000_000
MAX_LIST_BYTES = 2**20
MAX_FRAMES, MAX_FPS = 10**8, 1000.0  # of a video in a list
MAX_LINE = 500  # characters
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"


@dataclass(frozen=True)
class Splits:
    """Disjoint sets of videos. Make it with `parse_splits`."""

    name: str  # the text it was made of
    description: str  # the same with the content of list files pinned down; record this beside numbers
    videos: dict[str, frozenset[str]]  # by split; without "training", all other videos are training

    def split_of(self, video: str) -> str:
        """The split that a video is in: one of `NAMES`, or "unused" where training is listed and lacks it."""
        for split, videos in self.videos.items():
            if canonical(video) in videos:
                return split
        return "unused" if "training" in self.videos else "training"

    def select(self, records: Iterable[VideoRecord], split: str) -> list[VideoRecord]:
        """The records of one split in their order.

        Raises:
          InputError: there is no such split or no record in it.
        """
        if split not in NAMES:
            raise InputError(f"expected a split out of {', '.join(NAMES)}, found {split!r}")
        chosen = [record for record in records if self.split_of(record.id) == split]
        if not chosen:
            raise InputError(f"split {split!r} of {self.name!r}: no usable video is in it, choose another rule")
        return chosen


def parse_splits(text: str = DEFAULT) -> Splits:
    """Reads a rule such as `test=281-343 validation=1,5,220-280` or `test=lists/test.txt`.

    Args:
      text: words `split=IDs` separated by spaces (quoted as in a shell). IDs are numbers and ranges separated by
        commas, or the path of a list file, as `read_list` takes it.

    Raises:
      InputError: the text is no such rule, a list file is missing or empty, or a video is in two splits.
    """
    videos, described = {}, []
    for word in _words(text):
        split, _, value = word.partition("=")
        if split not in NAMES or not value or split in videos:
            raise InputError(
                f"split rule {text!r}: expected {', '.join(NAMES)} at most once each, as in {DEFAULT!r}, found {word!r}"
            )
        if re.fullmatch(r"[0-9,-]+", value):
            videos[split] = _numbers(value, word)
            described.append(word)
        else:
            videos[split] = frozenset(canonical(video) for video, *_ in read_list(value))
            digest = hashlib.sha256("\n".join(sorted(videos[split])).encode()).hexdigest()[:12]
            described.append(f"{split}={Path(value).name} ({len(videos[split])} videos, sha256 {digest})")
    _check_disjoint(videos, text)
    rest = [] if "training" in videos else ["training=all others"]
    return Splits(text, "; ".join(described + rest), videos)


def canonical(video: str) -> str:
    """The one spelling of a video's ID: "077" and "77" are the same video."""
    return str(int(video)) if re.fullmatch(r"[0-9]{1,9}", video) else video


def read_list(path: str | Path) -> list[tuple[str, int | None, float | None]]:
    """Reads a list file: (video, frames, fps) a line, None for what a line does not say.

    A line is `<video>`, `<video> <frames>` or `<video> <frames> <fps>`, separated by spaces, tabs or commas. Blank
    lines and what follows a `#` are skipped.

    Raises:
      InputError: the file is missing, too large, not text, without a video, names a video twice, or has a line of
        another form, which the error names.
    """
    content = read_bytes(path, "a list of videos, one a line", MAX_LIST_BYTES)
    try:
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a list of videos, one a line; cannot be read (not text)") from None
    entries, seen = [], set()
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = _entry(line)
        except ValueError as error:
            raise InputError(
                f"{path}: line {number}: expected <video>, <video> <frames> or <video> <frames> <fps>, found {error}"
            ) from None
        video = canonical(entry[0])
        if video in seen:
            raise InputError(f"{path}: line {number}: expected each video once, found {entry[0]!r} twice")
        seen.add(video)
        entries.append(entry)
    if not entries:
        raise InputError(f"{path}: expected a list of videos, one a line; found none")
    return entries


def _entry(line: str) -> tuple[str, int | None, float | None]:
    """What one line of a list says. Raises `ValueError` with what was found where it has another form."""
    if len(line) > MAX_LINE:
        raise ValueError(f"a line of {len(line)} characters")
    if "," in line:
        video, *numbers = (column.strip() for column in line.split(","))
        if all(re.fullmatch(_NUMBER, column) for column in (video, *numbers)):
            raise ValueError(f"{line!r}, which may be several videos or one with numbers; separate numbers by spaces")
    else:
        # Names may have spaces: numbers are what stands behind the last word that is none.
        columns = re.fullmatch(rf"(\S+(?:\s+\S+)*?)((?:\s+{_NUMBER})*)", line)
        assert columns is not None  # every line that is not blank has this form
        video, numbers = columns[1], columns[2].split()
    if not video or len(numbers) > 2:
        raise ValueError(repr(line[:200]))
    frames, fps = (*numbers, None, None)[:2]
    count, rate = (None if value is None else _number(value, line) for value in (frames, fps))
    if count is not None and not (count == int(count) and 1 <= count <= MAX_FRAMES):
        raise ValueError(f"{frames!r} frames")
    if rate is not None and not 0 < rate <= MAX_FPS:
        raise ValueError(f"{fps!r} frames a second")
    return video, None if count is None else int(count), rate


def _number(word: str, line: str) -> float:
    if not re.fullmatch(_NUMBER, word) or not math.isfinite(float(word)):
        raise ValueError(f"{word[:200]!r} in {line[:200]!r}")
    return float(word)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(f"split rule {text!r}: {error}, as in {DEFAULT!r}") from None


def _numbers(value: str, word: str) -> frozenset[str]:
    numbers: set[int] = set()
    for part in value.split(","):
        match = re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last > MAX_ID:
            raise InputError(f"split rule {word!r}: expected IDs as in 1,5,220-280, found {part!r}")
        numbers.update(range(first, last + 1))
    return frozenset(map(str, numbers))


def _check_disjoint(videos: dict[str, frozenset[str]], text: str) -> None:
    splits = list(videos)
    for index, first in enumerate(splits):
        for second in splits[index + 1 :]:
            if both := sorted(videos[first] & videos[second]):
                raise InputError(
                    f"split rule {text!r}: expected no video in two splits, found {len(both)} in {first} and "
                    f"{second} ({', '.join(both[:5])}{' ...' if len(both) > 5 else ''})"
                )
