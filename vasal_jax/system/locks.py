"""One program at a time where two would spoil each other's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vasal_jax.errors import InputError
from vasal_jax.system.files import naming_file_errors

LOCK_NAME = ".lock"


@contextmanager
def only_one(folder: Path, doing: str) -> Iterator[None]:
    """Keeps a folder for this program until the end of the block; the folder is made where there is none.

    The lock is the system's, on a file `.lock` that stays in the folder: it ends with the process, however that ends.
    On a file system without locks nothing is kept.

    Args:
      folder: what is written to.
      doing: what both programs do, for the error: "preparing".

    Raises:
      InputError: another program has it, or the folder cannot be written.
    """
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK_NAME).touch()  # so that only locking itself may fail silently
    lock = FileLock(folder / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: another program is {doing} here; wait until it has ended, or choose another folder"
        ) from None
    except (OSError, NotImplementedError):
        pass  # a file system without locks
    try:
        yield
    finally:
        lock.release()
