"""Whether a media file is shorter than its own container says: a download or a recording that was broken off."""

import os
from typing import BinaryIO

_MAX_PARTS = 100_000  # top-level parts looked at; a fragmented MP4 has two for every second or so
_PACK, _PROGRAM_END, _FIRST_PACKET = b"\0\0\1\xba", 0xB9, 0xBB  # start codes of an MPEG program stream
_TAIL = 2**20  # bytes of its end in which a whole pack is looked for; a packet has at most 65,541


def is_cut_short(path: str | os.PathLike) -> bool:
    """Whether the last part of a Matroska, AVI, WAV, MP4, MOV or MPEG file claims bytes beyond the file's end.

    False for containers that do not say how long they are (transport streams), and for recordings whose writer never
    filled in the length.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _matroska_end(file) > size
        if head[:4] == b"RIFF":
            return _riff_end(file, size) > size
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes_end(file, size) > size
        if head[:4] == _PACK:
            return _program_stream_end(file, size) > size
    return False


def _matroska_end(file: BinaryIO) -> int:
    """Where the first segment ends; 0 where its length is unknown, as in a live recording."""
    file.seek(4)
    header = _variable_length(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _variable_length(file)
    return file.tell() + length if length else 0


def _variable_length(file: BinaryIO) -> int:
    """An EBML length; 0 where all of its bits are set, which means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - more)) - 1)]) + file.read(more), "big")
    return 0 if value == (1 << (7 * (more + 1))) - 1 else value


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk ends; an AVI of more than a GB has several."""
    position = 0
    for _ in range(_MAX_PARTS):
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            break
        position += 8 + length
        if position >= size:
            break
        position += length % 2
    return position


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box of the file ends."""
    position = 0
    for _ in range(_MAX_PARTS):
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        # 0 reaches to the end of the file; what is no letters is padding, not a box.
        if len(head) < 8 or length < 8 or not head[4:8].isalnum():
            break
        position += length
        if position >= size:
            break
    return position


def _program_stream_end(file: BinaryIO, size: int) -> int:
    """Where the last packet of an MPEG program stream ends; 0 where none is found."""
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read(_TAIL)
    position = len(tail)
    while (position := tail.rfind(_PACK, 0, position)) >= 0:
        # What looks like a pack may be part of a sound, but packets follow a true one.
        end = _packets_end(tail, position)
        if end:
            return start + end
    return 0


def _packets_end(data: bytes, pack: int) -> int:
    """Where the packets after a pack header end, perhaps beyond the data; 0 where something else comes after it."""
    is_mpeg1 = data[pack + 4 : pack + 5] < b"\x40"
    position = pack + (12 if is_mpeg1 else 14)
    if position <= len(data) and not is_mpeg1:
        position += data[position - 1] & 7
    while position < len(data):
        head = data[position : position + 6]
        if not any(head):
            break  # padding of a disk's sector
        if head[:3] != b"\0\0\1"[: len(head)] or (len(head) > 3 and head[3] < _PROGRAM_END):
            return 0
        if len(head) > 3 and head[3] == _PROGRAM_END:
            position += 4
        elif len(head) < 6:
            position += 6
        elif head[3] < _FIRST_PACKET:
            return 0
        else:
            position += 6 + int.from_bytes(head[4:], "big")
    return position
