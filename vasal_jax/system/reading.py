"""Opening files that come from outside: regular ones alone, of bounded size."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from vasal_jax.errors import InputError


@contextmanager
def open_regular(path: str | os.PathLike, expected: str, limit: int) -> Iterator[BinaryIO]:
    """Opens a file for reading bytes. A pipe or a device, which might never answer, is refused.

    Args:
      path: the file.
      expected: what it should be, for messages, such as "a picture".
      limit: its greatest size in bytes.

    Raises:
      InputError: there is no such file, it is no regular file or larger, or it cannot be read, here or in the block.
    """
    try:
        with open(_opened(path), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: is a {_kind(status.st_mode)}, expected {expected}")
            if status.st_size > limit:
                raise InputError(f"{path}: expected {expected} of at most {limit} bytes, found {status.st_size}")
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected {expected}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read, expected {expected} ({error.strerror or error})") from None


def _opened(path: str | os.PathLike) -> int:
    try:
        # Without waiting, as a pipe's other end may never come.
        return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in the name
        raise OSError(str(error)) from None


def check_regular(path: str | os.PathLike, expected: str, limit: int) -> int:
    """The size of a file that a library will open by its name; raises as `open_regular` does."""
    with open_regular(path, expected, limit) as file:
        return os.fstat(file.fileno()).st_size


def read_bytes(path: str | os.PathLike, expected: str, limit: int) -> bytes:
    """The content of a file; raises as `open_regular` does."""
    with open_regular(path, expected, limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:  # it grows
        raise InputError(f"{path}: expected {expected} of at most {limit} bytes, found more")
    return content


def read_json(path: str | os.PathLike, expected: str, limit: int, digits: int = 20) -> Any:
    """The content of a JSON file.

    Raises:
      InputError: as `open_regular`, or it is no JSON, nested too deeply, or has a whole number of more digits.
    """
    try:
        return parse_json(read_bytes(path, expected, limit), digits)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected {expected}, found something else or a damaged file") from None


def parse_json(content: str | bytes, digits: int = 20) -> Any:
    """JSON as Python's values. Raises `ValueError` for what is none, is nested too deeply or has a number beyond
    `digits`."""

    def whole(text: str) -> int:
        if len(text) > digits:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text)

    try:
        return json.loads(content, parse_int=whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket"}
    return next((name for test, name in kinds.items() if test(mode)), "device")
