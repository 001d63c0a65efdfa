"""A prepared dataset, as `data.builder` wrote it, read frame by frame in any order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from array_record.python.array_record_data_source import ArrayRecordDataSource

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system.reading import read_json


@dataclass(frozen=True)
class PreparedVideo:
    """One video; its frames are the examples `first` to `first + frames - 1` of its split."""

    id: str
    first: int
    frames: int
    fps: float
    subjects: int
    shard: Path


@dataclass
class _Whole:
    """A shard to be read, in the words of array_record."""

    filename: str
    skip: int
    take: int
    examples_in_shard: int


class PreparedSplit:
    """One split of a prepared dataset.

    Args:
      folder: what `data.builder` named at its end, or the folder given to it where only one dataset is in it.
      split: "training", "validation" or "test".

    Attributes:
      folder: of the dataset itself.
      settings: dataset, split_rule and sigma: to be named beside numbers.
      videos: the videos of the split.

    Raises:
      InputError: there is no prepared dataset or not just one, it has no such split, or a shard is missing.
    """

    def __init__(self, folder: str | os.PathLike, split: str):
        self.folder = _find(Path(folder))
        metadata = _read_metadata(self.folder / "metadata.json")
        if split not in metadata["videos"]:
            raise InputError(f"{self.folder}: has no split {split!r}, expected one of {', '.join(metadata['videos'])}")
        self.settings = {name: metadata[name] for name in ("dataset", "split_rule", "sigma")}
        videos, first = [], 0
        entries = metadata["videos"][split]
        if not entries:
            raise InputError(
                f"{self.folder}: split {split!r} has no video; prepare the dataset again with another rule"
            )
        for index, entry in enumerate(entries):
            shard = self.folder / f"face_saliency-{split}.array_record-{index:05d}-of-{len(entries):05d}"
            if not shard.is_file() or shard.stat().st_size != entry["bytes"]:
                raise InputError(f"{shard}: missing or cut short, delete {self.folder} and prepare the dataset again")
            videos.append(PreparedVideo(entry["id"], first, entry["frames"], entry["fps"], entry["subjects"], shard))
            first += entry["frames"]
        self.videos = tuple(videos)
        self._source = ArrayRecordDataSource([_Whole(str(v.shard), 0, v.frames, v.frames) for v in videos])

    def read(self, indices: Sequence[int]) -> list[bytes]:
        """Serialized examples, as `data.schema` describes them. Raises `InputError` where that fails."""
        try:
            examples = self._source.__getitems__(list(map(int, indices)))
            if not all(examples):  # what the reader gives, without an error, of a file that ends early
                raise ValueError("a record is empty")
            return list(examples)
        except Exception as error:  # the reader's errors have no common class
            at = next(v for v in reversed(self.videos) if v.first <= min(indices))
            raise InputError(f"{at.shard}: cannot be read ({str(error).splitlines()[0][:200]})") from None


def _find(folder: Path) -> Path:
    found = [path.parent for depth in ("", "*/", "*/*/", "*/*/*/") for path in folder.glob(f"{depth}metadata.json")]
    found = [path for path in found if (path / "dataset_info.json").is_file()]
    if not found:
        raise InputError(f"{folder}: expected a prepared dataset, found none; make it with python -m data.builder")
    if len(found) > 1:
        names = ", ".join(map(str, sorted(found)))
        raise InputError(f"{folder}: has {len(found)} prepared datasets, name one: {names}")
    return found[0]


def _read_metadata(path: Path) -> dict:
    try:
        metadata = read_json(path, "the metadata of a prepared dataset", limits.MAX_JSON_BYTES)
        metadata["dataset"], metadata["split_rule"], metadata["sigma"]
        for entry in (entry for entries in metadata["videos"].values() for entry in entries):
            if not (isinstance(entry["id"], str) and entry["fps"] > 0 and all(map(_is_count, _counts(entry)))):
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: damaged; delete {path.parent} and prepare the dataset again") from None
    return metadata


def _counts(entry: dict) -> tuple:
    return entry["frames"], entry["bytes"], entry["subjects"] + 1  # a video may have no subject


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**48
