"""One matrix out of a MATLAB file of level 5 (versions 5 to 7), as far as its own sizes allow.

SciPy's reader is not used: it takes in whatever an element's length asks for, and some compressed kilobytes may ask for
gigabytes. Here each element is unpacked step by step, and no further than the matrix that is looked for
needs. The format: "MAT-File Format", The MathWorks, R2023b, chapter 1.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

_MATRIX, _COMPRESSED, _INT8, _INT32, _UINT32 = 14, 15, 1, 5, 6
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {
    6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32",
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 14: "int64", 15: "uint64",
}  # fmt: skip
_NUMERIC = range(6, 14)
_COMPLEX = 0x08
_MAX_NAME, _MAX_VARIABLES = 64, 1024
_CHUNK = 2**16


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Header(NamedTuple):
    """What a matrix says of itself: its name, class, shape, and whether it is complex."""

    name: str
    kind: str
    shape: tuple[int, ...]
    is_complex: bool


def read_matrix(file: BinaryIO, name: str, max_cells: int) -> np.ndarray:
    """Reads a matrix of real numbers.

    Args:
      file: the whole file, at its beginning.
      name: of the variable.
      max_cells: the greatest number of elements.

    Returns:
      The matrix (H, W), in the type in which its numbers are stored.

    Raises:
      ValueError: no such file, no such variable or two of it, other than a real matrix of numbers, or larger.
    """
    found = None
    for header, source, order in _matrices(file):
        if header.name != name:
            continue
        if found is not None:
            raise ValueError(f"{name} twice")
        numeric = header.kind in [_CLASSES[kind] for kind in _NUMERIC] and not header.is_complex
        if len(header.shape) != 2 or not numeric or math.prod(header.shape) > max_cells:
            raise ValueError(f"{header.kind} {'x'.join(map(str, header.shape))}")
        found = _numbers(source, order, header.shape)
    if found is None:
        raise ValueError(f"no {name}")
    return found


def _matrices(file: BinaryIO) -> Iterator[tuple[Header, _Source, str]]:
    """Header, what follows it, and byte order of each matrix in the file; later ones need not have been read."""
    head = file.read(128)
    orders = {b"IM": "<", b"MI": ">"}
    if len(head) < 128 or head[126:] not in orders or not head.startswith(b"MATLAB"):
        raise ValueError("no MATLAB file of level 5")
    order = orders[head[126:]]
    for _ in range(_MAX_VARIABLES):
        start = file.tell()
        tag = file.read(8)
        if len(tag) < 8:
            return
        kind, size = struct.unpack(f"{order}2I", tag)
        if start + 8 + size > os.fstat(file.fileno()).st_size:
            raise ValueError("an element longer than the file")
        if kind == _COMPRESSED:
            inner = _Unpacked(file, size)
            kind, _ = struct.unpack(f"{order}2I", _exactly(inner, 8))
            source: _Source = inner
        else:
            source = file
        if kind == _MATRIX:
            yield _header(source, order), source, order
        file.seek(start + 8 + size)
    raise ValueError(f"more than {_MAX_VARIABLES} variables")


def _header(source: _Source, order: str) -> Header:
    flags = _small(source, order, _UINT32, 8)
    (word,) = struct.unpack(f"{order}I", flags[:4])
    sizes = _small(source, order, _INT32, 4 * 32)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if any(side < 0 for side in shape):
        raise ValueError(f"a shape of {shape}")
    name = _small(source, order, _INT8, _MAX_NAME).decode("latin1")
    return Header(name, _CLASSES.get(word & 0xFF, "something else"), shape, bool(word >> 8 & _COMPLEX))


def _small(source: _Source, order: str, expected: int, limit: int) -> bytes:
    kind, content, _ = _element(source, order, limit)
    if kind != expected:
        raise ValueError("a damaged matrix")
    return content


def _numbers(source: _Source, order: str, shape: tuple[int, ...]) -> np.ndarray:
    cells = math.prod(shape)
    kind, content, size = _element(source, order, 8 * cells)
    if kind not in _STORED or size != cells * np.dtype(_STORED[kind]).itemsize:
        raise ValueError("as many numbers as its shape has not")
    return np.frombuffer(content, order + _STORED[kind]).reshape(shape, order="F")


def _element(source: _Source, order: str, limit: int) -> tuple[int, bytes, int]:
    """Type, content and length of the element that begins here; its padding is read too."""
    tag = _exactly(source, 8)
    (word,) = struct.unpack(f"{order}I", tag[:4])
    if word >> 16:  # up to four bytes lie in the tag itself
        size = word >> 16
        if size > 4:
            raise ValueError("a damaged element")
        return word & 0xFFFF, tag[4 : 4 + size], size
    (size,) = struct.unpack(f"{order}I", tag[4:])
    if size > limit:
        raise ValueError("an element longer than its matrix")
    content = _exactly(source, size)
    source.read(-size % 8)
    return word, content, size


def _exactly(source: _Source, size: int) -> bytes:
    content = source.read(size)
    if len(content) != size:
        raise ValueError("a file that is cut short")
    return content


class _Unpacked:
    """A compressed element, unpacked no further than it is read."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._left, self._unpacker = file, size, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing > 0:
            packed = self._unpacker.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(packed)
            part = self._unpacker.decompress(packed, missing)
            if not part and (self._unpacker.eof or not packed):
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
