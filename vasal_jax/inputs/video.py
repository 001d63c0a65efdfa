"""Video files as a stream of frames, and frames as the model takes them."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import VideoReformatter

from vasal_jax.config import FRAME_SIZE, RGB_MEAN
from vasal_jax.errors import InputError
from vasal_jax.inputs.frame_folder import find_pictures, read_pictures
from vasal_jax.inputs.media import (
    FALLBACK_FPS,
    MAX_FPS,
    MIN_FPS,
    check_size,
    declared_end,
    frame_rate,
    open_media,
    read_packets,
    sound_streams,
    video_stream,
)
from vasal_jax.inputs.timeline import Timeline
from vasal_jax.inputs.truncation import is_cut_short

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says about itself; `width` and `height` are those of the frames as displayed.

    Attributes:
      rotation: degrees counter-clockwise (0, 90, 180, 270) by which frames are turned for display. The frames
        of `read_frames` are turned already.
      fps: frames a second; the mean where the rate varies.
      frames: how many are shown, by the container's count or an estimate, None where it gives none.
      duration: seconds from the first frame on, None where the container gives none.
      variable_rate: the container declares stamps that do not fit the mean rate. Some containers cannot tell;
        `Frame.time` is right either way.
      pictures: of a folder of frames, its files in order; none of a video file.
    """

    path: Path
    width: int
    height: int
    fps: float
    rotation: int
    frames: int | None
    duration: float | None
    has_sound: bool
    variable_rate: bool
    pictures: tuple[Path, ...] = field(default=(), repr=False)


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame: `index` from 0, `time` in seconds since the first frame, `image` uint8 (H,W,3) RGB."""

    index: int
    time: float
    image: np.ndarray


def probe(path: str | os.PathLike, fps: float | None = None) -> VideoInfo:
    """Reads a video's header and decodes one frame of it.

    Args:
      path: a video file, or with `fps` a folder of frames, as `find_pictures` finds them.
      fps: frames a second of a folder of frames, which says nothing of it.

    Raises:
      InputError: no such file, not a video, no frame that can be decoded, more than `MAX_SIDE` a side, or `fps` is
        missing or not to be given.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _probe_folder(path, fps)
    if fps is not None:
        raise InputError(f"{path}: --fps is about a folder of frames; a video file says its own, leave it out")
    with open_media(path) as container:
        stream = video_stream(container, path)
        frame = next(Timeline(container).frames(stream, errors=[]), None)
        if frame is None:
            raise InputError(f"{path}: expected a video, found no frame that can be decoded")
        matrix = _display_matrix(frame)
        height, width = _orient(np.empty((frame.height, frame.width, 1), np.uint8), matrix).shape[:2]
        fps, variable = frame_rate(stream)
        end = declared_end(container, stream)
        duration = None if end is None else max(0.0, end - (frame.time or 0.0))
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=fps or FALLBACK_FPS,
            rotation=round(frame.rotation / 90) % 4 * 90,
            frames=_declared_frames(stream, duration),
            duration=duration,
            has_sound=bool(sound_streams(container)),
            variable_rate=variable,
        )


def _probe_folder(folder: Path, fps: float | None) -> VideoInfo:
    if fps is None:
        raise InputError(
            f"{folder}: is a folder, expected a video; for a folder of frames say how many a second, as in --fps 25"
        )
    if not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"--fps: expected {float(MIN_FPS):g} to {MAX_FPS} frames a second, found {fps:g}")
    pictures = find_pictures(folder)
    height, width, _ = next(read_pictures(pictures)).shape
    count = len(pictures)
    return VideoInfo(folder, width, height, fps, 0, count, count / fps, False, False, pictures)


def read_frames(video: str | os.PathLike | VideoInfo, warn: Callable[..., object] = logger.warning) -> Iterator[Frame]:
    """Decodes a video frame by frame, holding one frame at a time (and the decoder's own few).

    Frames come as displayed: rotation and mirroring of the file's display matrix are applied, non-square pixels
    are not stretched. Times come from the file's time stamps, as `timeline` reads them, and increase strictly. Where
    a time is `k / fps` but for the rounding to the container's time base, it is exactly `k / fps`. Damaged or cut
    files give the frames that can be decoded, and one warning. The frames of a folder of pictures come at `k / fps`.

    Args:
      video: a video file, or what `probe` found of one or of a folder of frames.
      warn: called as a logger's `warning` is, where decoding fails or the file ends early.

    Raises:
      InputError: no such file, not a video, no frame that can be decoded, or more than `MAX_SIDE` a side; a picture
        of a folder cannot be read.
    """
    if isinstance(video, VideoInfo) and video.pictures:
        for index, image in enumerate(read_pictures(video.pictures)):
            yield Frame(index, index / video.fps, image)
        return
    path = video.path if isinstance(video, VideoInfo) else Path(video)
    with open_media(path) as container:
        stream = video_stream(container, path)
        fps, _ = frame_rate(stream)
        if fps is None:
            fps = FALLBACK_FPS
            logger.warning("%s: no usable frame rate, %g is assumed", path, fps)
        index, first, time = -1, 0.0, -1.0
        errors: list[str] = []
        convert = _RgbConverter(path)
        for stamp, tick, image in Timeline(container).frames(stream, errors, convert):
            index += 1
            if index == 0:
                first = stamp or 0.0
            seconds = max(time + 1 / fps, 0.0) if stamp is None else stamp - first
            time = _frame_time(seconds, time, fps, tick)
            yield Frame(index, time, image)
        if index < 0:
            raise InputError(f"{path}: expected a video, found no frame that can be decoded")
    if convert.is_incomplete or is_cut_short(path):
        errors.append("the file ends early")
    if errors:
        warn("%s: damaged or cut short, %d frames decoded (%s)", path, index + 1, errors[0])


def count_frames(path: str | os.PathLike) -> int:
    """How many frames a video shows, counted without decoding them; what an edit list hides is none.

    Raises:
      InputError: no such file, not a video, or packets of it cannot be read.
    """
    errors: list[str] = []
    with open_media(path) as container:
        stream = video_stream(container, Path(path))
        count = sum(not packet.is_discard for packet in read_packets(container, [stream], errors))
    if errors:
        raise InputError(f"{path}: expected a video, found a damaged one ({errors[0]}); fetch or make it again")
    return count


def model_frame(image: np.ndarray) -> np.ndarray:
    """Prepares one frame as the released system does: bilinear resize of the bytes, minus `RGB_MEAN`.

    Args:
      image: uint8 (H,W,3) RGB.

    Returns:
      float32 (256,256,3), RGB minus mean, on the 0..255 scale.
    """
    return cv2.resize(image, (FRAME_SIZE, FRAME_SIZE)).astype(np.float32) - RGB_MEAN


class _RgbConverter:
    """Turns decoded frames into (stamp, time base, RGB image); all images get the size of the first one.

    Attributes:
      is_incomplete: whether the decoder made up a part of the latest frame.
    """

    def __init__(self, path: Path):
        self._path = path
        self._reformatter = VideoReformatter()  # kept, because setting up a conversion costs more than one frame
        self._size: tuple[int, int] | None = None
        self.is_incomplete = False

    def __call__(self, frame: av.VideoFrame) -> tuple[float | None, float, np.ndarray]:
        if self._size is None:
            check_size(frame.width, frame.height, self._path)
            self._size = frame.width, frame.height
        self.is_incomplete = frame.is_corrupt
        rgb = self._reformatter.reformat(frame, *self._size, format="rgb24")
        image = np.ascontiguousarray(_orient(rgb.to_ndarray(), _display_matrix(frame)))
        tick = frame.time_base
        stamp = float(frame.pts * tick) if frame.pts is not None and tick else None
        return stamp, float(tick or 0), image


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d) of x' = a x + c y, y' = b x + d y, with y downwards."""
    # `frame.side_data` is kept by the frame, which it keeps in turn, until garbage is collected.
    container = SideDataContainer(frame)  # pyright: ignore[reportCallIssue] (its stub lacks the constructor)
    side_data = container.get("DISPLAYMATRIX")
    if side_data is None or len(bytes(side_data)) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    return a, b, c, d


def _orient(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Applies the nearest of the eight turns and mirrorings to an image (H,W,C)."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, x_sign, y_sign = image.transpose(1, 0, 2), c, b
    else:
        x_sign, y_sign = a, d
    return image[:: -1 if y_sign < 0 else 1, :: -1 if x_sign < 0 else 1]


def _frame_time(seconds: float, previous: float, fps: float, tick: float) -> float:
    # First and later stamp are each rounded to the time base, half a tick either way: up to 1 ms in Matroska.
    nominal = round(seconds * fps) / fps
    if abs(nominal - seconds) <= min(tick, 1e-3) + 1e-6 and nominal > previous:
        return nominal
    return seconds if seconds > previous else previous + 1 / fps


def _declared_frames(stream: av.VideoStream, duration: float | None) -> int | None:
    """How many frames the container says are shown."""
    # AVI and MP4 list every packet, and the list says which are hidden by an edit.
    if stream.frames and stream.frames == len(stream.index_entries):
        return sum(not entry.is_discard for entry in stream.index_entries)
    if duration is None:
        return stream.frames or None
    return round(duration * (frame_rate(stream)[0] or FALLBACK_FPS))
