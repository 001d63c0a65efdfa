"""Reading `.npz` archives from strangers: numbers and texts, each member checked before it is unpacked.

NumPy's own reader takes in whatever a member's header asks for, and finds members by names that may stand twice.
"""

import math
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.npy import read_header
from vasal_jax.system.reading import open_regular

_DIRECTORY_END = struct.Struct("<4s4H2LH")  # of a ZIP archive: size of the directory is the sixth field
_DIRECTORY_ENTRY = 512  # bytes of a member's entry, with room
_SKIP = 2**20


class Member(NamedTuple):
    """An array in an archive."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


class Archive:
    """An open `.npz`; `members` has its arrays by name."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self._path, self._archive = path, archive
        self.members: dict[str, Member] = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise InputError(f"{path}: has two arrays {name!r}, expected one")
            with archive.open(info) as file:
                shape, fortran, dtype = read_header(file, path)
                needed = math.prod(shape) * dtype.itemsize
                if dtype.hasobject or needed > info.file_size - file.tell():
                    raise InputError(f"{path}: damaged, {name!r} is no array of numbers, or shorter than its shape")
            self.members[name] = Member(info, shape, fortran, dtype)

    def read(self, name: str) -> np.ndarray:
        """A whole array, of at most `limits.MAX_MEMBER_BYTES`; `KeyError` if there is none of that name."""
        member = self.members[name]
        size = math.prod(member.shape) * member.dtype.itemsize
        if size > limits.MAX_MEMBER_BYTES:
            raise InputError(f"{self._path}: {name!r} has {size} bytes, expected at most {limits.MAX_MEMBER_BYTES}")
        with self._archive.open(member.info) as file:
            read_header(file, self._path)
            content = self._exactly(file, size)
        return np.frombuffer(content, member.dtype).reshape(member.shape, order="F" if member.fortran else "C")

    def rows(self, name: str) -> "Rows":
        """A reader of an array row by row; raises `InputError` where rows do not lie one after the other."""
        member = self.members[name]
        if member.fortran and math.prod(member.shape[1:]) > 1:
            raise InputError(
                f"{self._path}: {name!r} is stored by columns, expected row after row; save np.ascontiguousarray of it"
            )
        return Rows(self, member)

    def _exactly(self, file: IO[bytes], size: int) -> bytes:
        content = file.read(size)
        if len(content) != size:
            raise InputError(f"{self._path}: damaged or cut short")
        return content


class Rows:
    """The rows of an array in an archive, of which one is held at a time. Reading them in order is fastest."""

    def __init__(self, archive: Archive, member: Member):
        self._archive, self._member = archive, member
        self._size = math.prod(member.shape[1:]) * member.dtype.itemsize
        self._file: IO[bytes] | None = None
        self._next = 0

    def __getitem__(self, row: int) -> np.ndarray:
        with _damage_named(self._archive._path):
            if self._file is None or row < self._next:
                self._file = self._archive._archive.open(self._member.info)
                read_header(self._file, self._archive._path)
                self._next = 0
            missing = (row - self._next) * self._size
            while missing:
                missing -= len(self._archive._exactly(self._file, min(missing, _SKIP)))
            content = self._archive._exactly(self._file, self._size)
        self._next = row + 1
        return np.frombuffer(content, self._member.dtype).reshape(self._member.shape[1:])


@contextmanager
def open_npz(path: str | os.PathLike, expected: str) -> Iterator[Archive]:
    """Opens an archive of arrays.

    Args:
      path: the file.
      expected: what it should be, for messages.

    Raises:
      InputError: there is no such file, it is none or beyond `limits`, or two members have one name.
    """
    path = Path(path)
    with open_regular(path, expected, limits.MAX_MAPS_BYTES) as file, _damage_named(path):
        _check_directory(file, path)
        with zipfile.ZipFile(file) as archive:
            if (size := sum(info.file_size for info in archive.infolist())) > limits.MAX_MAPS_BYTES:
                raise InputError(f"{path}: expected {expected} of at most {limits.MAX_MAPS_BYTES} bytes, found {size}")
            yield Archive(path, archive)


def _check_directory(file: BinaryIO, path: Path) -> None:
    """Raises `InputError` where the archive's directory, which ZipFile reads whole, is larger than any honest one."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _DIRECTORY_END.size - 2**16))
    end = file.read()
    at = end.rfind(b"PK\5\6")
    if at < 0 or at + _DIRECTORY_END.size > len(end):
        raise InputError(f"{path}: damaged or not an .npz of arrays")
    directory = _DIRECTORY_END.unpack_from(end, at)[5]
    # ZipFile prefers the directory of 64 bits that may stand before it; below 4 GiB no writer needs one.
    if directory > limits.MAX_MEMBERS * _DIRECTORY_ENTRY or end[:at][-20:].startswith(b"PK\6\7"):
        raise InputError(f"{path}: expected an .npz of at most {limits.MAX_MEMBERS} arrays, found more")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError, MemoryError, KeyError):
        raise
    # A damaged or crafted archive ends in nearly any exception.
    except Exception as error:
        raise InputError(f"{path}: damaged or not an .npz of arrays ({type(error).__name__})") from None
