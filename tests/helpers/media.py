"""Writes the small video and sound files that tests read."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 RGB with a quarter each of red (top left), green (top right), blue (bottom left) and black."""
    image = np.zeros((height, width, 3), np.uint8)
    y, x = (height + 1) // 2, (width + 1) // 2
    image[:y, :x, 0] = image[:y, x:, 1] = image[y:, :x, 2] = 255
    return image


def write_video(
    path: Path,
    frames=6,
    rate=25,
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    rotation: float | None = None,
    mirrored: bool = False,
    stamps_ms: list[int] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = 22050,
    sound_codec: str = "pcm_s16le",
    sound_start: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes RGB `frames` (a list, or how many of `picture()`) and, where given, mono float `sound`."""
    frames = [picture()] * frames if isinstance(frames, int) else frames
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=mirrored)
        if stamps_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound_codec, rate=sound_rate, layout="mono") if sound is not None else None
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps_ms:
                frame.pts, frame.time_base = stamps_ms[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            _encode_sound(container, audio, sound, sound_rate, sound_start)
    return path


def write_tracks(path: Path, marks: list[Disposition]) -> Path:
    """Ten black pictures with a sound track a mark: silence, then a constant, then a louder one."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream("pcm_s16le", rate=22050, layout="mono") for _ in marks]
        for track, mark in zip(tracks, marks, strict=True):
            track.disposition = mark
        for _ in range(10):
            image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(image))
        container.mux(pictures.encode())
        for loudness, track in enumerate(tracks):
            samples = np.full((1, 8820), 8000 * loudness, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = 22050
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int = 22050, codec: str = "pcm_s16le") -> Path:
    """Writes float samples in -1..1, (n,) or (n, 2)."""
    samples = np.asarray(samples, np.float32).reshape(len(samples), -1)
    with av.open(str(path), "w", format="wav") as container:
        layout = "stereo" if samples.shape[1] == 2 else "mono"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        _encode_sound(container, stream, samples, rate, 0.0)
    return path


def _encode_sound(container, stream, samples: np.ndarray, rate: int, start: float) -> None:
    samples = np.asarray(samples, np.float32).reshape(len(samples), -1)
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    for first in range(0, len(samples), 1024):
        block = np.ascontiguousarray(samples[first : first + 1024].reshape(1, -1))
        if stream.format.name.startswith("s16"):
            block = np.clip(np.round(block * 32768), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(block, format=stream.format.name, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start * rate) + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
