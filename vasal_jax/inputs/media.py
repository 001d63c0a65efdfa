"""Media files opened: their streams, and what FFmpeg decodes of them."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.stream import Disposition

from vasal_jax.errors import InputError

MAX_SIDE = 16384

# Titles in any encoding are no reason to stop; from 19 on av asks no more.
_ANY_TITLES = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[av.container.InputContainer]:
    """Opens a local video or sound file; `InputError` where that is impossible."""
    # os.path, because Path raises where a folder above is closed to us or a name is too long.
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file, expected a video or sound file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: is a folder or device, expected a video or sound file")
    try:
        # A playlist may name other files, but nothing on a network.
        options = {"protocol_whitelist": "file"}
        container = av.open(os.path.abspath(path), options=options, **_ANY_TITLES)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a video or sound file that can be read ({first_line(error)})") from None
    with container:
        # FFmpeg draws any plain text as a terminal's screen.
        if container.format.name == "tty":
            raise InputError(f"{path}: expected a video or sound file, found text")
        yield container


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video stream that is no cover picture; `InputError` where there is none to decode."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise InputError(f"{path}: expected a video, found no video stream")
    if streams[0].codec_context is None:
        raise InputError(f"{path}: the video stream has a format that this FFmpeg cannot decode")
    check_size(streams[0].codec_context.width, streams[0].codec_context.height, path)
    return streams[0]


def decode(container, stream, errors: list[Exception], convert: Callable = lambda frame: frame) -> Iterator:
    """Yields `convert(frame)` of each frame; what FFmpeg cannot read or decode goes to `errors` and is left out."""

    def attempt(function, *arguments):
        try:
            return function(*arguments)
        except av.FFmpegError as error:
            errors.append(error)
            return None

    packets = container.demux(stream)
    while (packet := attempt(next, packets, None)) is not None:
        for frame in attempt(packet.decode) or ():
            converted = attempt(convert, frame)
            if converted is not None:
                yield converted


def first_line(error: Exception) -> str:
    """What went wrong, short enough for a message of one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]


def check_size(width: int, height: int, path: Path) -> None:
    """Raises `InputError` for a picture of more than `MAX_SIDE` pixels a side."""
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{path}: expected at most {MAX_SIDE} pixels a side, found {width}x{height}")
