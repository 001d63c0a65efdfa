"""Sound for the videos that are written: copied where the container can hold it as it is, encoded as AAC where not."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from vasal_jax.inputs.media import open_media
from vasal_jax.inputs.sound import SAMPLE_RATE, placed_sound, samples_of, sound_stream
from vasal_jax.inputs.timeline import Timeline, time_zero

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_MP3_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AC3_RATES = (48000, 44100, 32000)

# What is copied, by container, codec and rate; what is not listed is encoded. MP4 holds MP3 from 16 kHz on.
_MP4 = {"aac": _AAC_RATES, "mp3": _MP3_RATES[:6], "ac3": _AC3_RATES, "eac3": _AC3_RATES, "alac": _AAC_RATES}
_COPIED = {".mp4": _MP4, ".mov": _MP4, ".mkv": _MP4 | {"mp3": _MP3_RATES}}
# Containers whose header says once what the sound is. In streams like MPEG-TS it can change with any packet.
_SOURCES = ("mov", "matroska")

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 5: "5.0", 6: "5.1", 8: "7.1"}  # that FFmpeg's AAC encoder takes
_BITS = 80_000  # a second and channel


@contextlib.contextmanager
def sound_packets(
    output: OutputContainer, suffix: str, sound: Path | np.ndarray | None, track: int | None
) -> Iterator[Iterator[av.Packet]]:
    """Adds a sound stream to `output` and yields its packets, whose times count from the first picture.

    Args:
      output: a video that is written.
      suffix: of its name, in lower case.
      sound: a video or sound file, or mono samples (n,) float32 in -1..1 at 22,050 Hz.
      track: which sound track of the file, as in `sound_stream`.
    """
    if sound is None:
        yield iter(())
    elif isinstance(sound, np.ndarray):
        yield _encoded(output, iter([sound[:, None]]), SAMPLE_RATE, 1)
    else:
        with open_media(sound) as container:
            stream = sound_stream(container, sound, track)
            if stream is None:
                yield iter(())
                return
            zero = time_zero(sound, stream)
            if _can_be_copied(container, stream, suffix):
                yield _copied(output, container, stream, zero or 0.0)
                return
            rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
            rate = rate if rate in _AAC_RATES else 48000
            channels = channels if channels in _LAYOUTS else 1
            blocks = placed_sound(container, stream, zero, rate, lambda frame: _channels(frame, channels), errors=[])
            yield _encoded(output, blocks, rate, channels)


def _can_be_copied(container: InputContainer, stream: av.AudioStream, suffix: str) -> bool:
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec in ("aac", "alac") and not context.extradata:
        return False
    from_header = any(name in _SOURCES for name in container.format.name.split(","))
    return from_header and context.sample_rate in _COPIED[suffix].get(codec, ())


def _copied(
    output: OutputContainer, container: InputContainer, stream: av.AudioStream, zero: float
) -> Iterator[av.Packet]:
    target = output.add_stream_from_template(stream)
    shift = round(zero / stream.time_base) if stream.time_base else 0

    def packets() -> Iterator[av.Packet]:
        last = None
        # A damaged end stops the sound; the reader of the sound has said so.
        for packet in Timeline(container).packets(stream, errors=[]):
            if packet.pts is None or packet.dts is None or packet.is_corrupt or packet.is_discard:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            # Muxers refuse time stamps that go back.
            if packet.pts < 0 or (last is not None and packet.dts <= last):
                continue
            last, packet.stream = packet.dts, target
            yield packet

    return packets()


def _encoded(output: OutputContainer, blocks: Iterator[np.ndarray], rate: int, channels: int) -> Iterator[av.Packet]:
    """Packets of AAC; blocks are float32 (n, channels)."""
    layout = _LAYOUTS[channels]
    target = output.add_stream("aac", rate=rate, layout=layout)
    target.bit_rate = channels * min(_BITS, 4 * rate)  # AAC holds no more than 6 bits a sample

    def packets() -> Iterator[av.Packet]:
        written = 0
        for block in blocks:
            for begin in range(0, len(block), rate):
                part = np.ascontiguousarray(block[begin : begin + rate].T, np.float32)
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
                written += part.shape[1]
                yield from target.encode(frame)
        yield from target.encode(None)

    return packets()


def _channels(frame: av.AudioFrame, channels: int) -> np.ndarray:
    """Samples (n, channels); where a frame has other channels, all are its mean."""
    samples = samples_of(frame)
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True, dtype=np.float32), channels, axis=1)
