"""Writing so that a failure, a kill or a full disk never leaves half a result under its final name.

Temporary files lie in a folder of their own beside the result: its name is random, nobody but the user may enter it,
and a lock in it says that its program lives. A folder that is written whole holds a list of its files, so that the
next run can tell them from what others have put there.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vasal_jax.errors import InputError
from vasal_jax.system import stopping

logger = logging.getLogger(__name__)

LISTING = ".vasal_jax_files.json"
"""In a folder that was written whole: path, size and time of change of each of its files."""

_MAX_LISTING_BYTES = 64 * 2**20
_PARTIAL, _UNLOCKED = ".vasal_jax.partial-", ".vasal_jax.new-"
_LOCK = "lock"
_MAX_NAME = 255  # bytes, in most file systems
_MAX_SUFFIX = 16  # letters by which a writer may choose its format
_live: set[Path] = set()  # the folders of temporary files of this process


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary name to write a file or a folder to, which takes the final name `path` at the end.

    If the block raises, what it wrote is removed and whatever stood at `path` before is untouched. The temporary name
    is absolute and ends as `path` does, since writers choose their format by the suffix. What killed programs left
    behind in the same folder is removed. An existing result keeps its permissions. A link to a file at `path` is
    replaced itself, so what it points to stays as it is; a link to a folder is refused. In an existing folder only
    files of an earlier run are replaced: what others have put there meanwhile stays.

    Raises:
      InputError: the file system refused (no such folder, no permission, disk full), or `path` is a folder with files
        that no earlier run wrote.
    """
    path = Path(path)
    target = _place(path)
    check_writable(path)
    check_own(path)
    with naming_file_errors(path):
        sweep(target.parent)
        with private_folder(target.parent) as folder:
            temporary = folder / f"partial{target.suffix if len(target.suffix) <= _MAX_SUFFIX else ''}"
            yield temporary
            with stopping.held():
                stopping.check()
                _take_place(temporary, target)


def fitting_name(name: str, ending: str) -> str:
    """`name` and `ending` as one file name of at most 255 bytes; a name that is too long is cut and ends in a hash."""
    whole = name + ending
    if len(os.fsencode(whole)) <= _MAX_NAME:
        return whole
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    room = _MAX_NAME - len(os.fsencode(ending)) - len(digest) - 1
    return f"{os.fsencode(name)[:room].decode(errors='ignore')}-{digest}{ending}"


@contextmanager
def naming_file_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` in the block into an `InputError` that says `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written ({reason}); free space or choose another place") from error


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that the disk or the user's share of it is full."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_writable(path: Path) -> None:
    """Raises `InputError` unless a file or folder can be made at `path`; to be called before long work."""
    target = _place(path)
    folder = target.parent
    if not os.path.isdir(folder):
        found = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise InputError(f"{path}: the folder {folder} {found}; create it or choose another place")
    with naming_file_errors(path), contextlib.suppress(FileNotFoundError):
        target.lstat()  # a name that is too long
    if os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        raise InputError(f"{path}: is a device or pipe, expected a name to write to; choose another place")
    if target.is_symlink() and target.is_dir():
        raise InputError(f"{path}: is a link to the folder {os.path.realpath(target)}; name that folder itself")
    # Trying is the only way to know: permissions say nothing of read-only disks, and nothing to root.
    with naming_file_errors(path):
        os.rmdir(tempfile.mkdtemp(prefix=_UNLOCKED, dir=folder))


def check_own(folder: Path) -> None:
    """Raises `InputError` where an existing folder that is to be replaced holds what no earlier run wrote there."""
    if folder.is_dir() and (others := _foreign(folder)):
        name = others[0].relative_to(folder)
        raise InputError(f"{folder}: holds other files ({name}), which stay; choose an empty or new folder")


def sweep(folder: Path) -> None:
    """Removes the temporary files in a folder whose programs are no more: those whose lock can be taken."""
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if entry.name.startswith(_PARTIAL) and _own_private(entry)]
    for place in left:
        # A lock that cannot be made or asked for says nothing, so the files stay.
        with contextlib.suppress(Timeout, OSError, NotImplementedError):
            if (place / _LOCK).is_file():
                with FileLock(place / _LOCK, timeout=0):
                    shutil.rmtree(place, ignore_errors=True)


def remove_temporaries() -> None:
    """Removes the temporary files of this process, which ends without leaving its blocks."""
    for folder in tuple(_live):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A new folder that only this user may enter, locked until the block's end, when it is removed.

    Where the program is killed before, the next `sweep` of `parent` removes it.
    """
    made: tuple[Path, FileLock] | None = None
    try:
        with stopping.held():  # at whose end a request to stop is raised
            made = _locked_folder(parent)
        yield made[0]
    finally:
        if made is not None:
            folder, lock = made
            with stopping.held():
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
                _live.discard(folder)


def _place(path: Path) -> Path:
    """The absolute path, links in it followed but for its last part."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _locked_folder(parent: Path) -> tuple[Path, FileLock]:
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=parent))
    lock = FileLock(made / _LOCK, timeout=0)
    with contextlib.suppress(Timeout, OSError, NotImplementedError):  # a file system without locks
        lock.acquire()
    # Only under the new name it may be swept, so that no other program finds it before it is locked.
    folder = made.with_name(_PARTIAL + made.name.removeprefix(_UNLOCKED))
    os.rename(made, folder)
    _live.add(folder)
    return folder, lock


def _own_private(entry: os.DirEntry) -> bool:
    """Whether it is a folder, no link, that belongs to this user and that nobody else may enter."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    own = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) == 0o700)
    return stat.S_ISDIR(status.st_mode) and own


def _take_place(new: Path, target: Path) -> None:
    is_folder = target.is_dir() and not target.is_symlink()
    if is_folder and not new.is_dir():
        raise InputError(f"{target}: is a folder, expected a file name; choose another place")
    if target.exists() and not target.is_symlink():
        os.chmod(new, stat.S_IMODE(target.lstat().st_mode) & 0o777)
    if new.is_dir():
        _write_listing(new)
    if is_folder:
        _replace_folder(new, target)
    else:
        os.replace(new, target)


def _replace_folder(new: Path, target: Path) -> None:
    """Puts a folder in place of another, and into it what others have put into the old one."""
    # A folder cannot be replaced in one step: the old one steps aside and comes back if the new one cannot follow.
    aside = target.with_name(fitting_name(target.name, f".old-{secrets.token_hex(4)}"))
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except OSError:
        os.rename(aside, target)
        raise
    foreign = _foreign(aside)
    if not foreign:
        shutil.rmtree(aside)
        return
    keep = set(foreign)
    for file in [file for file in _files(aside) if file not in keep]:
        file.unlink()
    for entry in list(aside.iterdir()):
        if not os.path.lexists(target / entry.name):
            os.rename(entry, target / entry.name)
    try:
        aside.rmdir()
    except OSError:
        logger.warning("%s: others have put files there under names of results; they are kept in %s", target, aside)


def _write_listing(folder: Path) -> None:
    facts = {file.relative_to(folder).as_posix(): _facts(file) for file in _files(folder)}
    (folder / LISTING).write_text(json.dumps(facts))


def _foreign(folder: Path) -> list[Path]:
    """The files in a folder that its listing lacks or knows otherwise, and empty folders."""
    try:
        with (folder / LISTING).open("rb") as file:
            known = dict(json.loads(file.read(_MAX_LISTING_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        known = {}
    known[LISTING] = None
    foreign = []
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        if name not in known or (name != LISTING and known[name] != _facts(file)):
            foreign.append(file)
    return foreign


def _files(folder: Path) -> list[Path]:
    """Everything below a folder but folders with something in them."""
    found = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        found += [here / name for name in names]
        found += [here / name for name in folders if (here / name).is_symlink() or not any((here / name).iterdir())]
    return sorted(found)


def _facts(file: Path) -> list[int]:
    status = file.lstat()
    return [status.st_size, status.st_mtime_ns]
