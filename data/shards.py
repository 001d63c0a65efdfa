"""The shard of one video: written whole or not at all, and kept by later runs while its source stays the same."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from data.examples import frame_examples
from data.records import VideoRecord
from data.schema import features
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import follow_faces
from vasal_jax.inputs.faces.tracking import stacked
from vasal_jax.system import stopping
from vasal_jax.system.files import fitting_name, replacing
from vasal_jax.system.reading import read_json

_SHARD = ".array_record"


def shard_path(folder: Path, video: str) -> Path:
    """Where the shard of a video lies before it is taken into a dataset."""
    return folder / fitting_name(video, _SHARD)


def remove_shards(folder: Path) -> None:
    """Removes all shards with their labels, and the folder, unless others have put something into it."""
    for shard in folder.glob(f"*{_SHARD}"):
        shard.with_suffix(".json").unlink(missing_ok=True)
        shard.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def make_shard(
    record: VideoRecord, sigma: float | None, folder: Path, find_faces: bool = False
) -> tuple[str, dict | None, str | None]:
    """Writes the shard of one video into `folder`.

    Args:
      record: the video.
      sigma: as in `frame_examples`.
      folder: where shards and their labels go.
      find_faces: find the faces of a video of which the dataset has no tracks.

    Returns:
      The video's ID, then either what is worth knowing of its shard or, where the video cannot be used, why not.

    Raises:
      InputError: the shard cannot be written.
    """
    path = shard_path(folder, record.id)
    label = path.with_suffix(".json")
    source = _source(record, sigma, find_faces)
    try:
        kept = read_json(label, "a label", 2**20)
        if kept["source"] == source and kept["shard"]["bytes"] == path.stat().st_size:
            return record.id, kept["shard"], None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not whole
    reading = _Reading(record, sigma, find_faces)
    try:
        with replacing(path) as temporary:
            _write(temporary, reading)
    except InputError as error:
        if reading.failed:
            return record.id, None, str(error)
        raise
    shard = {
        "id": record.id,
        "frames": record.n_frames,
        "fps": record.fps,
        "width": record.width,
        "height": record.height,
        "subjects": reading.subjects,
        "faces": reading.faces,
        "bytes": path.stat().st_size,
    }
    with replacing(label) as temporary:
        temporary.write_text(json.dumps({"source": source, "shard": shard}))
    return record.id, shard, None


class _Reading:
    """The examples of a video, and whether it was these that failed, rather than the writing of them."""

    def __init__(self, record: VideoRecord, sigma: float | None, find_faces: bool):
        self.record, self.sigma, self.failed, self.subjects = record, sigma, False, 0
        self._find_faces = find_faces
        self.faces = "none"  # or "annotated" by the dataset, or "found"

    def __iter__(self) -> Iterator[dict]:
        try:
            for example in frame_examples(self.record, self.sigma, self._found()):
                self.subjects = len(example["fixations"])  # of the video, and so of each of its frames
                yield example
        except InputError:
            self.failed = True
            raise
        except (OSError, RuntimeError) as error:  # of a library that reads, not of the writer
            self.failed = True
            found = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise InputError(f"{self.record.video}: cannot be read ({found})") from error

    def _found(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self.record.tracks() is not None:
            self.faces = "annotated"
        elif self._find_faces:
            self.faces = "found"
            images = (frame.image for frame in self.record.frames())
            return stacked(follow_faces(images, self.record.video))
        return None


def _write(path: Path, examples: _Reading) -> None:
    encoder = features()
    serializer = ExampleSerializer(encoder.get_serialized_info())
    # Frames are read one by one, hence the groups of one.
    with _naming_writer_errors():
        writer = ArrayRecordWriter(str(path), "group_size:1")
    try:
        for example in examples:
            stopping.check()
            record = serializer.serialize_example(encoder.encode_example(example))
            with _naming_writer_errors():
                writer.write(record)
    finally:
        with _naming_writer_errors():
            writer.close()
    reader = ArrayRecordReader(str(path))
    if not reader.ok() or reader.num_records() != examples.record.n_frames:
        raise OSError("not all that was written is there, the disk is full or failing")
    reader.close()


@contextlib.contextmanager
def _naming_writer_errors() -> Iterator[None]:
    """Turns what the writer makes of a full disk, if it notices, into an `OSError`."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error).partition(";")[0]) from None


def _source(record: VideoRecord, sigma: float | None, find_faces: bool) -> str:
    """What the shard is made from; another text means that it has to be made again."""
    facts = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    stats = [value.stat() for value in facts.values() if isinstance(value, Path)]
    return repr((sorted(facts.items()), [(s.st_size, s.st_mtime_ns) for s in stats], sigma, find_faces, _VERSION))


_VERSION = 2  # of what a shard holds
