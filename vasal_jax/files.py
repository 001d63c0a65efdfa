"""Writing so that a failure, a kill or a full disk never leaves half a result under its final name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vasal_jax.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary name beside `path` to write a file or a folder to; it takes the final name at the end.

    If the block raises, what it wrote is removed and whatever stood at `path` before is untouched. The temporary
    name keeps the suffix, by which writers choose their format.

    Raises:
      InputError: the file system refused (no such folder, no permission, disk full).
    """
    path = Path(path)
    temporary = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        with naming_file_errors(path):
            check_writable(path)
            yield temporary
            _take_place(temporary, path)
    finally:
        _remove(temporary)


@contextmanager
def naming_file_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` in the block into an `InputError` that says `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written ({reason}); free space or choose another place") from error


def check_writable(path: Path) -> None:
    """Raises `InputError` unless a file or folder can be made at `path`; to be called before long work."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{path}: the folder {folder} does not exist; create it or choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {folder} is not writable; choose another place")


def _take_place(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(temporary, path)
        return
    if not temporary.is_dir():
        raise InputError(f"{path}: is a folder, expected a file name; choose another place")
    # A folder cannot be replaced in one step: the old one steps aside and comes back if the new one cannot follow.
    aside = path.with_name(f"{path.name}.old-{os.getpid()}")
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(aside, path)
        raise
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
