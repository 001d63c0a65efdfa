"""Writes videos with white pictures and a beep at the same time, and finds the times of both in a file."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.video import read_frames
from vasal_jax.outputs.video import video_writer

FPS = 25
FLASH = 55  # the first of three white pictures, of 75, at 2.2 s


def write_flash(
    path: Path,
    video: str = "libx264",
    sound: str | None = "aac",
    n: int = 75,
    flash: int = FLASH,
    gop: int = 25,
    b_frames: int = 2,
    sound_seconds: float | None = None,
    rate: int = 48000,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes `n` pictures of dark noise, three of them white from `flash` on, and a silent track with a beep there.

    Pictures and sound are interleaved. `sound_seconds` is the length of the track, by default that of the pictures.
    """
    samples = np.zeros(round((n / FPS if sound_seconds is None else sound_seconds) * rate), np.float32)
    first = round(flash / FPS * rate)
    beep = np.sin(2 * np.pi * 1000 * np.arange(rate // 10) / rate) / 2
    samples[first : first + len(beep)] = beep[: max(0, len(samples) - first)]
    noise = np.random.default_rng(0).integers(0, 60, (n, 48, 64, 3), np.uint8)
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = container.add_stream(video, rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.gop_size = gop
        pictures.options = {"bf": str(b_frames)}
        if video == "libx264":
            pictures.options |= {"preset": "ultrafast", "sc_threshold": "0"}
        if video == "libx265":
            pictures.options |= {"preset": "ultrafast", "x265-params": f"log-level=none:keyint={gop}:min-keyint={gop}"}
        heard = container.add_stream(sound, rate=rate, layout="mono") if sound else None
        done = 0
        for index in range(n):
            image = np.full((48, 64, 3), 255, np.uint8) if flash <= index < flash + 3 else noise[index]
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            until = len(samples) if index == n - 1 else round((index + 1) / FPS * rate)
            while heard is not None and done < min(until, len(samples)):
                container.mux(heard.encode(_sound_frame(samples[done : done + 1024], done, rate)))
                done += 1024
        container.mux(pictures.encode())
        if heard is not None:
            container.mux(heard.encode())
    return path


def cut_from(source: Path, path: Path, share: float) -> Path:
    """Writes `source`, a transport stream, without its first `share`, so that it begins within a group of pictures."""
    data = source.read_bytes()
    path.write_bytes(data[int(len(data) * share) // 188 * 188 :])
    return path


def joined(path: Path, *parts: Path) -> Path:
    """Writes the bytes of the parts one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def restamped(source: Path, path: Path, moved: Callable[[str, float], float]) -> Path:
    """Writes the packets of `source` with other time stamps.

    `moved` maps "video" or "audio" and the time of a packet in seconds to its new time.
    """
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.size:
                time = float(packet.pts * packet.time_base)
                ticks = round((moved(packet.stream.type, time) - time) / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return path


def with_edit_list(source: Path, path: Path, begin: float) -> Path:
    """Writes the MP4 `source` with an edit list that starts at `begin` seconds, as editors trim without encoding."""
    data = bytearray(source.read_bytes())
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    position = -1
    for _ in range(data.count(b"elst")):
        position = data.index(b"elst", position + 1)
        track = struct.unpack_from(">I", data, data.index(b"mdhd", position) + 16)[0]
        duration, start = struct.unpack_from(">II", data, position + 12)
        struct.pack_into(">II", data, position + 12, duration - round(begin * movie), start + round(begin * track))
    path.write_bytes(data)
    return path


def flash_times(path: Path) -> tuple[int, list[float]]:
    """The number of pictures, and the times in seconds at which runs of white pictures begin."""
    shown = [(frame.time, frame.image.mean() > 128) for frame in read_frames(path)]
    pairs = zip([(0, False), *shown], shown, strict=False)
    return len(shown), [time for (_, before), (time, white) in pairs if white and not before]


def beep_times(path: Path, track: int | None = None) -> list[float]:
    """The times in seconds at which beeps begin in the samples that the model gets."""
    samples = np.concatenate([np.zeros(1, np.float32), *read_sound(path, track)])
    loud = np.flatnonzero(np.abs(samples) > 0.1) / 22050
    return [float(time) for before, time in zip([-1, *loud], loud, strict=False) if time - before > 0.2]


def write_overlay(source: Path, path: Path) -> Path:
    """Writes the pictures and the sound of `source` through `video_writer`, as an overlay is written."""
    with video_writer(path, 64, 48, FPS, source) as write:
        for frame in read_frames(source):
            write(frame.image, frame.time)
    return path


def _sound_frame(samples: np.ndarray, first: int, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
    return frame
