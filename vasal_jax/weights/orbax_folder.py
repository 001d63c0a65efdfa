"""Reading an Orbax folder of weights, which may come from a stranger."""

import logging
import math
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.weights.orbax_chunks import check_chunks
from vasal_jax.weights.parameters import check_arrays
from vasal_jax.weights.stored import Stored, bounded_shapes, described

_MAX_FILES = 10_000


def read(path: Path) -> Stored:
    """Config, parameters and memory of a folder that `formats.save` wrote.

    Raises `InputError` for any other folder, before an array is unpacked that is not of the config.
    """
    import orbax.checkpoint.experimental.v1 as ocp

    path = path.absolute()
    size = _check_folder(path)
    try:
        metadata = ocp.metadata(str(path))
    except MemoryError:
        raise
    except Exception as error:  # Orbax raises many kinds for a folder that is not a whole checkpoint
        if (path / "config.json").is_file():
            raise InputError(
                f"{path}: is the folder of a training run, expected weights; train.py with --export NAME.safetensors "
                "writes them, and goes on from the run where it is done"
            ) from None
        raise InputError(f"{path}: not an Orbax weights folder ({str(error)[:200]})") from None
    config, memory = described(metadata.custom_metadata, path)
    if not isinstance(metadata.metadata, Mapping) or not all(
        hasattr(entry, "shape") and hasattr(entry, "dtype") for entry in metadata.metadata.values()
    ):
        raise InputError(f"{path}: not an Orbax weights folder (expected arrays by name)")
    # The shapes are checked before anything is read: a few bytes on disk can claim an array of any size.
    shapes = bounded_shapes(config, path)
    check_arrays(metadata.metadata, shapes, path)
    expected = 4 * sum(map(math.prod, shapes.values()))
    if size > 2 * expected + 2**24:
        raise InputError(f"{path}: a damaged Orbax weights folder (about {expected} bytes expected, found {size})")
    check_chunks(path, shapes)
    with _orphaned_readers_silenced():
        try:
            values = ocp.load(str(path))
        except Exception as error:
            raise InputError(f"{path}: a damaged Orbax weights folder ({str(error)[:200]})") from None
    return Stored(config, {key: np.asarray(value) for key, value in values.items()}, memory)


def _check_folder(path: Path) -> int:
    """The bytes in a folder; `InputError` where it holds more files than weights have, other than files, or large
    metadata."""
    files = [Path(place) / name for place, _, names in islice(os.walk(path), _MAX_FILES) for name in names]
    if len(files) > _MAX_FILES:
        raise InputError(f"{path}: not an Orbax weights folder ({len(files)} files)")
    total = 0
    for file in files:
        status = file.lstat()
        is_metadata = "METADATA" in file.name or file.suffix == ".json" or file.name.startswith(".")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not an Orbax weights folder ({file.name} is a link, pipe or device)")
        if is_metadata and status.st_size > limits.MAX_WEIGHTS_HEADER_BYTES:
            raise InputError(f"{path}: not an Orbax weights folder ({file.name} has {status.st_size} bytes)")
        total += status.st_size
    return total


@contextmanager
def _orphaned_readers_silenced() -> Iterator[None]:
    """Keeps the readers that a failed load leaves behind from printing tracebacks of their own.

    Orbax reads arrays by coroutines of an event loop that it closes when the first of them fails. The others report
    "Event loop is closed" through `sys.unraisablehook`, or through asyncio's log, when they are collected: after the
    error has left here, so both filters stay where the load failed.
    """
    usual = sys.unraisablehook
    sys.unraisablehook = lambda report: None if "Event loop is closed" in str(report.exc_value) else usual(report)
    try:
        yield
        sys.unraisablehook = usual
    except InputError:
        logging.getLogger("asyncio").addFilter(_not_an_orphan)
        raise


def _not_an_orphan(record: logging.LogRecord) -> bool:
    """Whether an asyncio log record is about something else than a reader whose load has failed already."""
    return "_wrap_awaitable" not in record.getMessage()
