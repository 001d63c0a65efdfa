"""A prepared dataset, as `data.builder` wrote it, read frame by frame in any order."""

import bisect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system.reading import read_json

_RANDOM_ACCESS = "readahead_buffer_size:0,max_parallelism:0"  # clips are read side by side, not ahead


@dataclass(frozen=True)
class PreparedVideo:
    """One video; its frames are the examples `first` to `first + frames - 1` of its split."""

    id: str
    first: int
    frames: int
    fps: float
    subjects: int
    shard: Path


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
        self._firsts = [video.first for video in videos]
        self._readers: dict[Path, ArrayRecordReader] = {}

    def read(self, indices: Sequence[int]) -> list[bytes]:
        """Serialized examples of one video, as `data.schema` describes them, for any number of threads.

        Raises:
          InputError: they cannot be read.
        """
        video = self.video_of(min(indices))
        try:
            if video.shard not in self._readers:
                self._readers[video.shard] = ArrayRecordReader(str(video.shard), _RANDOM_ACCESS)
            examples = self._readers[video.shard].read([int(index) - video.first for index in indices])
            if not all(examples):  # what the reader gives, without an error, of a file that ends early
                raise ValueError("a record is empty")
            return list(examples)
        except Exception as error:  # the reader's errors have no common class
            raise InputError(f"{video.shard}: cannot be read ({str(error).splitlines()[0][:200]})") from None

    def video_of(self, index: int) -> PreparedVideo:
        """The video whose frame an example is."""
        return self.videos[bisect.bisect_right(self._firsts, index) - 1]


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
