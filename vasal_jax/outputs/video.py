"""Video files out: H.264 with sound, under a temporary name until whole."""

import contextlib
import errno
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.plane import VideoPlane
from av.video.reformatter import Colorspace, VideoReformatter

from vasal_jax.errors import InputError
from vasal_jax.inputs.media import first_line, raise_if_starved
from vasal_jax.outputs.heatmap import lay_over_planes
from vasal_jax.outputs.sound import sound_packets
from vasal_jax.system.files import replacing

SUFFIXES = (".mp4", ".mkv", ".mov")
_AHEAD = 3  # pictures that wait for the encoder
_ENCODER_THREADS = 4
_BT709 = 1  # FFmpeg's number for it as colour space, primaries and transfer alike
_AVX512 = 13  # OpenCV's number for it

# Looking 5 frames ahead in place of 10 saves 100 MB at 1280x720 for half a decibel. Searching motion in a diamond in
# place of a hexagon takes 3 to 8% less time for a tenth of a decibel at most; refining it less, 15% less for another
# tenth and 7% larger files.
_X264 = {"preset": "veryfast", "crf": "20", "rc-lookahead": "5", "motion-est": "dia", "subq": "1"}
if cv2.checkHardwareSupport(_AVX512):
    # x264's code for AVX-512 reads what it never wrote, and the same pictures make another file now and then.
    _X264["x264-params"] = "asm=avx2"

# Errors about the place that is written to; all others are about what is written.
_FILE_SYSTEM_ERRORS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM", "ENOENT", "ESTALE", "ENXIO", "EBADF")
    if hasattr(errno, name)
}


class Write(Protocol):
    """Writes the next picture of a video; see `video_writer`."""

    def __call__(self, image: np.ndarray, time: float, grey: np.ndarray | None = None) -> None: ...


def check_name(path: Path) -> None:
    """Raises `InputError` unless `path` ends in a suffix of a video format that is written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a name in {', '.join(SUFFIXES)}, found {path.suffix or 'no suffix'}")


@contextlib.contextmanager
def video_writer(
    path: Path,
    width: int,
    height: int,
    fps: float,
    sound: Path | np.ndarray | None = None,
    track: int | None = None,
) -> Iterator[Write]:
    """Opens a video for writing; it takes its final name when the block ends well.

    Odd sizes are made even by repeating the last row and column, which H.264 asks for. The same pictures, times and
    sound make the same file on the same machine.

    Args:
      path: .mp4, .mkv or .mov.
      width, height: of the pictures, in pixels.
      fps: frames a second; sets how finely times are kept.
      sound: a file whose sound is taken along, unchanged where the format allows it, or mono samples (n,) float32 in
        -1..1 at 22,050 Hz. It is cut where the pictures end.
      track: which sound track of the file, from 1; by default the one a player takes.

    Yields:
      `write(image, time, grey)`: image uint8 (H,W,3) RGB or (H,W) grey, not to be changed any more, time in seconds,
        increasing from 0. A grey map uint8 (H,W) is laid over the image as heat colours. A thread encodes it; an error
        is raised by one of the next calls, or at the end.

    Raises:
      InputError: the file system or the encoder refused.
    """
    check_name(path)
    rate = Fraction(fps).limit_denominator(1001)
    with replacing(path) as target, _naming_encoder_errors(path), av.open(str(target), "w") as output:
        video = output.add_stream("libx264", rate=rate, options=_X264)
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        # Whole frames fall on whole ticks, and uneven times are kept to a tenth of a millisecond.
        context.time_base = Fraction(1, rate.numerator * -(-10000 // rate.numerator))
        # Frames side by side take less time and space than slices, and their number is a part of the file: on a machine
        # with more cores the same pictures make the same file.
        context.thread_type, context.thread_count = "FRAME", _ENCODER_THREADS
        reformatter = VideoReformatter()  # kept: setting up a conversion costs as much as one
        with sound_packets(output, path.suffix.lower(), sound, track) as packets:
            sound_muxer = _SoundMuxer(output, packets)
            end, last_tick = 0.0, -1

            def write(image: np.ndarray, time: float, grey: np.ndarray | None = None) -> None:
                nonlocal end, last_tick
                with _naming_encoder_errors(path):  # here, lest another output gets the blame
                    sound_muxer.go_on(time)
                    frame = _video_frame(image, grey, context, reformatter)
                    last_tick = frame.pts = max(round(time / context.time_base), last_tick + 1)
                    frame.duration = round(1 / (rate * context.time_base))
                    output.mux(video.encode(frame))
                end = time + 1 / fps

            with _in_background(write) as write_soon:
                yield write_soon
            sound_muxer.go_on(end)
            output.mux(video.encode(None))


@contextlib.contextmanager
def _in_background(function: Write) -> Iterator[Write]:
    """Has a function called in order in a thread, a few calls behind; none is left when the block ends well."""
    thread, calls = ThreadPoolExecutor(1, "encode"), deque[Future]()

    def call(image: np.ndarray, time: float, grey: np.ndarray | None = None) -> None:
        calls.append(thread.submit(function, image, time, grey))
        if len(calls) > _AHEAD:
            calls.popleft().result()

    try:
        yield call
        for under_way in calls:
            under_way.result()
    finally:
        thread.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _naming_encoder_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FFmpegError as error:
        raise_if_starved(error)
        reason = first_line(error)
        if error.errno in _FILE_SYSTEM_ERRORS:
            raise InputError(f"{path}: cannot be written ({reason}); free space or choose another place") from None
        raise InputError(f"{path}: FFmpeg refused to encode this ({reason}); choose another format or output") from None


def _video_frame(
    image: np.ndarray, grey: np.ndarray | None, context: av.VideoCodecContext, reformatter: VideoReformatter
) -> av.VideoFrame:
    image = _made_even(image, context)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray" if image.ndim == 2 else "rgb24")
    frame = reformatter.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709)
    if grey is not None:
        lay_over_planes([_as_array(plane) for plane in frame.planes], _made_even(grey, context))
    frame.time_base = context.time_base
    return frame


def _made_even(image: np.ndarray, context: av.VideoCodecContext) -> np.ndarray:
    height, width = image.shape[:2]
    if (height, width) == (context.height, context.width):
        return image
    return cv2.copyMakeBorder(image, 0, context.height - height, 0, context.width - width, cv2.BORDER_REPLICATE)


def _as_array(plane: VideoPlane) -> np.ndarray:
    """The pixels (H,W) of a plane, in place."""
    # PyAV's types do not say that a plane is a buffer.
    pixels = np.frombuffer(plane, np.uint8)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return pixels.reshape(plane.height, plane.line_size)[:, : plane.width]


class _SoundMuxer:
    """Writes sound packets in step with the pictures, so that neither has to be held until the other comes."""

    def __init__(self, output: OutputContainer, packets: Iterator[av.Packet]):
        self._output, self._packets, self._next = output, packets, None

    def go_on(self, until: float) -> None:
        """Writes the packets that begin before `until` seconds."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            if packet.pts is not None and packet.pts * packet.time_base >= until:
                return
            self._output.mux(packet)
            self._next = None
