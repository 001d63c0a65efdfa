"""The sound of video and sound files as samples that stand where they are heard, from time 0 on."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

import av
import numpy as np
import soxr
from av.container import InputContainer
from av.stream import Disposition

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.media import open_media, sound_streams
from vasal_jax.inputs.timeline import Timeline, time_zero

logger = logging.getLogger(__name__)

SAMPLE_RATE = 22050  # Hz, of the sound that the model hears

_LONG_SILENCE = 60.0  # seconds, all in all, from which on it is worth looking where the pictures end
_JITTER = 0.025  # seconds by which time stamps may wander without meaning a gap
_DRIFT = 0.01  # share of the sound by which its clock and that of the stamps may differ
_MIN_RATE, _MAX_RATE = 1000, 1_000_000  # Hz
_LOUDEST = 1e6  # full scale is 1; nothing real comes near
_SPECIAL = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment


def read_sound(path: str | os.PathLike, track: int | None = None) -> Iterator[np.ndarray]:
    """Decodes the sound of a video or sound file for the model.

    Time 0 is as `timeline` has it. Silence is put before a sound that begins later, and one that begins earlier loses
    its start. Gaps in the time stamps become silence, up to the end of the file's pictures. A file without sound gives
    no block and one logged note; damaged parts are left out with one logged warning.

    Args:
      path: a video or sound file.
      track: which of its sound tracks, from 1; by default the one a player takes, which is logged if there are more.

    Yields:
      float32 (n,) blocks at `SAMPLE_RATE`, the mean of all channels, nominally -1..1; at most some seconds long.

    Raises:
      InputError: no such file, not one of video or sound, or no such track.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = sound_stream(container, path, track)
        if stream is None:
            logger.warning("%s: no sound, silence is used", path)
            return
        tracks = sound_streams(container)
        if len(tracks) > 1 and track is None:
            number = tracks.index(stream) + 1
            logger.warning(
                "%s: %d sound tracks, track %d is heard; --sound-track chooses",
                path,
                len(tracks),
                number,
            )
        errors: list[str] = []
        zero, end = time_zero(path, stream), cache(lambda: _pictures_end(path))
        for block in placed_sound(container, stream, zero, SAMPLE_RATE, _mono, errors, end):
            yield block[:, 0]
        if errors:
            logger.warning("%s: damaged sound, %d parts could not be decoded (%s)", path, len(errors), errors[0])


def sound_stream(container: InputContainer, path: Path, track: int | None) -> av.AudioStream | None:
    """The sound track with a number from 1, or by default the one a player takes: the first that is marked as the
    default and is not meant for the hearing or visually impaired, nor a commentary; without one, the first.

    Returns:
      None where the file has no sound and no track is asked for.

    Raises:
      InputError: no such track.
    """
    streams = sound_streams(container)
    if track is not None:
        if not 1 <= track <= len(streams):
            found = f"1 to {len(streams)}" if streams else "a file with sound"
            raise InputError(f"{path}: expected a sound track from {found}, found {track}; choose another track")
        return streams[track - 1]
    usual = [stream for stream in streams if not stream.disposition & _SPECIAL]
    marked = [stream for stream in usual if stream.disposition & Disposition.default]
    return next(iter([*marked, *usual, *streams]), None)


def check_track(path: str | os.PathLike, track: int) -> None:
    """Raises `InputError` where a file has no sound track of that number."""
    with open_media(path) as container:
        sound_stream(container, Path(path), track)


def placed_sound(
    container: InputContainer,
    stream: av.AudioStream,
    zero: float | None,
    rate: int,
    convert: Callable[[av.AudioFrame], np.ndarray],
    errors: list[str],
    pictures_end: Callable[[], float] = lambda: math.inf,
) -> Iterator[np.ndarray]:
    """The samples of a sound track from time 0 on, without gaps or overlaps, at one rate.

    Args:
      container, stream: an opened file and one of its sound tracks.
      zero: the stamp of time 0, from `time_zero`.
      rate: of the result, in Hz.
      convert: makes float32 (n, channels) of a decoded frame, with the same channels for all.
      errors: takes what could not be decoded.
      pictures_end: gives the stamp at which the pictures end; no silence is filled in after it. It is asked for where
        a silence is long.

    Yields:
      float32 (n, channels).
    """
    pieces = _placed(Timeline(container).frames(stream, errors), zero, convert, pictures_end)
    yield from _resampled(pieces, rate)


def samples_of(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a decoded frame: float32 (n, channels), -1..1; what is not finite or absurdly loud is silence."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if samples.dtype.kind in "iu":
        half_range = 2.0 ** (8 * samples.dtype.itemsize - 1)
        middle = half_range if samples.dtype.kind == "u" else 0.0
        samples = (samples - middle) / half_range
    samples = samples.astype(np.float32)
    # Float files can hold anything; one NaN would make the whole spectrogram NaN.
    return np.where(np.abs(samples) < _LOUDEST, samples, np.float32(0))


def _pictures_end(path: Path) -> float:
    """The stamp, in seconds on the `Timeline`, at which a file's pictures end; infinity where it has none."""
    with open_media(path) as container:
        timeline = Timeline(container)
        if timeline.pictures is None:
            return math.inf
        ends = (
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in timeline.packets(timeline.pictures, errors=[])
            if packet.pts is not None
        )
        return max(ends, default=math.inf)


def _mono(frame: av.AudioFrame) -> np.ndarray:
    return samples_of(frame).mean(axis=1, keepdims=True, dtype=np.float32)


def _placed(
    frames: Iterable[av.AudioFrame],
    zero: float | None,
    convert: Callable[[av.AudioFrame], np.ndarray],
    pictures_end: Callable[[], float],
) -> Iterator[tuple[int, np.ndarray]]:
    """(sample rate, samples (n, channels)) pieces that follow each other without gaps from time 0 on."""
    end = 0.0  # seconds up to which there are samples
    cut = silence = 0.0  # seconds that were cut out of them, or filled in
    for frame in frames:
        rate = frame.sample_rate
        if not _MIN_RATE <= rate <= _MAX_RATE:
            continue
        samples = convert(frame)
        if frame.time is not None:
            zero = frame.time if zero is None else zero
            gap = frame.time - zero - end
            if gap > (_JITTER if end else 0):
                # Stamps of a damaged or hostile file may ask for any length; what is too much is closed up.
                room = limits.MAX_SILENCE - silence
                if silence + gap > _LONG_SILENCE:
                    room = min(room, pictures_end() - zero - end)
                seconds = min(gap, max(0.0, room))
                zero, silence = zero + gap - seconds, silence + seconds
                missing = round(seconds * rate)
                for done in range(0, missing, rate):
                    yield rate, np.zeros((min(rate, missing - done), samples.shape[1]), np.float32)
                end += missing / rate
            elif not end:
                samples = samples[round(-gap * rate) :]
            elif gap < -_JITTER and cut - gap <= 0.1 + _DRIFT * end:
                samples, cut = samples[round(-gap * rate) :], cut - gap
            elif gap < -_JITTER:
                zero += gap  # stamps that hardly go on say nothing of the sound
        if len(samples):
            end += len(samples) / rate
            yield rate, samples


def _resampled(pieces: Iterable[tuple[int, np.ndarray]], rate: int) -> Iterator[np.ndarray]:
    """The samples of the pieces at one rate. Joined files can change theirs, and each run is resampled by itself."""
    for found, run in groupby(pieces, key=itemgetter(0)):
        if found == rate:
            yield from (samples for _, samples in run)
            continue
        blocks = (samples for _, samples in run)
        first = next(blocks)
        resampler = soxr.ResampleStream(found, rate, first.shape[1], quality="HQ")
        for samples in chain([first], blocks):
            yield resampler.resample_chunk(samples)
        yield resampler.resample_chunk(first[:0], last=True)
