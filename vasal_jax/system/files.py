"""Writing so that a failure, a kill or a full disk never leaves half a result under its final name."""

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vasal_jax.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary name beside `path` to write a file or a folder to; it takes the final name at the end.

    If the block raises, what it wrote is removed and whatever stood at `path` before is untouched. The temporary
    name is absolute and keeps the suffix, by which writers choose their format. Links are followed. What killed runs
    left behind for the same path is removed.

    Raises:
      InputError: the file system refused (no such folder, no permission, disk full).
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    check_writable(path)
    try:
        with naming_file_errors(path):
            _remove_abandoned(target)
            yield temporary
            _take_place(temporary, target)
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
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not os.path.isdir(folder):
        found = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise InputError(f"{path}: the folder {folder} {found}; create it or choose another place")
    if os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        raise InputError(f"{path}: is a device or pipe, expected a name to write to; choose another place")
    # Trying is the only way to know: permissions say nothing of read-only disks, and nothing to root.
    with naming_file_errors(path):
        temporary = _temporary(target)
        temporary.touch()
        temporary.unlink()


def _temporary(target: Path) -> Path:
    return target.with_name(f"{target.stem}.partial-{socket.gethostname()}-{os.getpid()}{target.suffix}")


def _remove_abandoned(target: Path) -> None:
    """Removes temporary files and folders for `target` whose process, on this machine, is no more."""
    if os.name != "posix":
        return  # elsewhere a process cannot be asked whether it lives
    start, end = map(re.escape, (f"{target.stem}.partial-{socket.gethostname()}-", target.suffix))
    for entry in os.scandir(target.parent):
        if (match := re.fullmatch(rf"{start}(\d+){end}", entry.name)) and not _lives(int(match[1])):
            _remove(Path(entry.path))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _take_place(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(temporary, target)
        return
    if not temporary.is_dir():
        raise InputError(f"{target}: is a folder, expected a file name; choose another place")
    # A folder cannot be replaced in one step: the old one steps aside and comes back if the new one cannot follow.
    aside = target.with_name(f"{target.name}.old-{os.getpid()}")
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    # What cannot be removed must not hide why it should be.
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
