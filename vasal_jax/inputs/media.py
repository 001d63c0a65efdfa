"""Media files opened: which of their streams are taken, and packets as FFmpeg reads them."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system import address_space

MediaStream = av.VideoStream | av.AudioStream

MAX_SIDE = limits.MAX_SIDE
FALLBACK_FPS = 25.0
MIN_FPS, MAX_FPS = Fraction(1, 100), 10000  # outside, a rate is taken for nonsense
MAX_DECODER_THREADS = 4

_PLAYLISTS = {"hls", "applehttp", "concat", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "image2", "image2pipe", "ism"}
_DEVICES = {"tty", "lavfi", "alsa", "fbdev", "jack", "kmsgrab", "oss", "pulse", "v4l2", "video4linux2", "xcbgrab"}

_MAX_READ_ERRORS = 100  # in one file; a demuxer that fails more often has lost its way

# Titles in any encoding are no reason to stop; from 19 on av asks no more.
_ANY_TITLES: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


_playlists_allowed = False


def allow_playlists() -> None:
    """From now on, in this process, playlists are opened, and the files on this disk that they name."""
    global _playlists_allowed
    _playlists_allowed = True


@cache
def _formats() -> str:
    """The formats that FFmpeg may take a file for: all but playlists, descriptions of sessions, and devices."""
    return ",".join(sorted(av.formats_available - _PLAYLISTS - _DEVICES))


def _is_playlist(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith((b"#EXTM3U", b"ffconcat", b"v=0")) or b"<MPD" in start or b"<AssetMap" in start


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[InputContainer]:
    """Opens a local video or sound file; `InputError` where that is impossible."""
    # os.path, because Path raises where a folder above is closed to us or a name is too long.
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file, expected a video or sound file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: is a folder or device, expected a video or sound file")
    try:
        # A playlist may name any other file on this disk, so it takes a word of the user's; never one on a network.
        options = {"protocol_whitelist": "file"}
        if not _playlists_allowed:
            options["format_whitelist"] = _formats()
        container = av.open(os.path.abspath(path), options=options, **_ANY_TITLES)
    except (FFmpegError, OSError, ValueError) as error:
        raise_if_starved(error)
        if not _playlists_allowed and _is_playlist(path):
            raise InputError(
                f"{path}: is a playlist, which may name any file on this disk; if you trust it, say --allow-playlists"
            ) from None
        raise InputError(f"{path}: not a video or sound file that can be read ({first_line(error)})") from None
    with container:
        # FFmpeg draws any plain text as a terminal's screen.
        if container.format.name == "tty":
            raise InputError(f"{path}: expected a video or sound file, found text")
        yield container


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The video stream that is shown; `InputError` where there is none to decode."""
    streams = _moving_pictures(container)
    if not streams:
        raise InputError(f"{path}: expected a video, found no video stream")
    if streams[0].codec_context is None:
        raise InputError(f"{path}: the video stream has a format that this FFmpeg cannot decode")
    check_size(streams[0].codec_context.width, streams[0].codec_context.height, path)
    return streams[0]


def shown_stream(container: InputContainer) -> av.VideoStream | None:
    """As `video_stream`, but None where there is none to decode."""
    streams = _moving_pictures(container)
    return streams[0] if streams and streams[0].codec_context is not None else None


def sound_streams(container: InputContainer) -> list[av.AudioStream]:
    """The sound tracks that can be decoded, in the file's order."""
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def frame_rate(stream: av.VideoStream) -> tuple[float | None, bool]:
    """Frames a second, None where the container gives no usable rate; and whether it declares that they vary."""
    mean, base = stream.average_rate, stream.base_rate
    # A pause of hours makes nothing of the mean.
    rate = base if mean and base and mean < 1 <= base <= 240 else mean or stream.guessed_rate or base
    if not rate or not MIN_FPS <= rate <= MAX_FPS:
        return None, False
    # A last frame of odd length moves the mean a little off the true rate.
    if base and abs(base / rate - 1) < 0.0005:
        rate = base
    return float(rate), bool(base) and abs(base / rate - 1) > 0.01


def declared_end(container: InputContainer, stream: MediaStream) -> float | None:
    """The stamp, in seconds, at which the container says that a stream ends; None where it says nothing.

    Where the container knows only how long its longest stream is, this is the end of that.
    """
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # Matroska has the end of each stream in a tag and counts from 0, wherever the first stamp is.
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if not container.duration:
        return None
    begin = 0 if "matroska" in container.format.name else container.start_time or 0
    return (begin + container.duration) / av.time_base


def read_packets(container: InputContainer, streams: Iterable[MediaStream], errors: list[str]) -> Iterator[av.Packet]:
    """The packets of some streams in the order of the file; what FFmpeg cannot read goes to `errors`.

    Empty packets, which would end the decoding, are left out.
    """
    streams = list(streams)
    for _ in range(_MAX_READ_ERRORS):
        try:
            yield from (packet for packet in container.demux(streams) if packet.size)
            return
        except FFmpegError as error:
            raise_if_starved(error)
            errors.append(first_line(error))
        except IndexError:
            return  # all is read: PyAV stumbles at the end over streams that appeared on the way


def raise_if_starved(error: Exception) -> None:
    """Raises an error of FFmpeg again where it is about memory, and not about the file.

    FFmpeg says the same of absurd sizes in a damaged file, hence the look at what can be had.
    """
    if isinstance(error, MemoryError) and address_space.is_scarce():
        raise error


def first_line(error: Exception) -> str:
    """What went wrong, short enough for a message of one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]


def check_size(width: int, height: int, path: Path) -> None:
    """Raises `InputError` for a picture beyond `limits.MAX_SIDE` or `limits.MAX_AREA`."""
    if max(width, height) > limits.MAX_SIDE:
        raise InputError(f"{path}: expected at most {limits.MAX_SIDE} pixels a side, found {width}x{height}")
    if width * height > limits.MAX_AREA:
        raise InputError(f"{path}: expected at most {limits.MAX_AREA} pixels a frame, found {width}x{height}")


def _moving_pictures(container: InputContainer) -> list[av.VideoStream]:
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
