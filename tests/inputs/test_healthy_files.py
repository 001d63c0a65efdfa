"""Files of the kinds that people have: every frame comes, and pictures and sound at the same moment."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.helpers.flashes import FPS, beep_times, flash_times, write_flash
from vasal_jax.inputs.video import probe

ROOT = Path(__file__).parents[2]
N, FLASH = 30, 12


def _flash(name: str, video: str, sound: str | None, **options) -> Callable[[Path], Path]:
    return lambda folder: write_flash(folder / name, video, sound, n=N, flash=FLASH, **options)


def _drawn(
    name: str,
    codec: str,
    pix_fmt: str,
    sound: str | None = "pcm_s16le",
    rate: int = 48000,
    layout: str = "mono",
    size: tuple[int, int] = (48, 64),
    sound_start: float = 0.0,
    rotation: int | None = None,
    cover: bool = False,
    **options: str,
) -> Callable[[Path], Path]:
    """As `write_flash`, with what that does not have."""

    def draw(folder: Path) -> Path:
        with av.open(str(folder / name), "w") as container:
            pictures = container.add_stream(codec, rate=FPS, options=options)
            pictures.height, pictures.width, pictures.pix_fmt = *size, pix_fmt
            if rotation is not None:
                pictures.set_display_rotation(rotation)
            front = container.add_stream("mjpeg", rate=FPS) if cover else None
            if front is not None:
                front.height, front.width, front.pix_fmt = 32, 32, "yuvj420p"
                front.disposition = Disposition.attached_pic
            heard = container.add_stream(sound, rate=rate, layout=layout) if sound else None
            if front is not None:
                container.mux(front.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
                container.mux(front.encode(None))
            for index in range(N):
                grey = np.full((*size, 3), 255 if FLASH <= index < FLASH + 3 else 20, np.uint8)
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(pictures.encode(None))
            if heard is not None:
                _beep(container, heard, rate, layout, sound_start)
        return folder / name

    return draw


def _beep(container, heard, rate: int, layout: str, start: float) -> None:
    first, last = (round((FLASH / FPS + more - start) * rate) for more in (0, 0.1))
    samples = np.zeros(round((N / FPS - start) * rate), np.float32)
    samples[first:last] = np.sin(np.arange(last - first) * 2 * np.pi * 1000 / rate) / 2
    channels = av.AudioLayout(layout).nb_channels
    for begin in range(0, len(samples), 1024):
        block = np.repeat(samples[None, begin : begin + 1024], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = begin + round(start * rate)
        container.mux(heard.encode(frame))
    container.mux(heard.encode(None))


HDR = {"x265-params": "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", "preset": "ultrafast"}
FILES: dict[str, Callable[[Path], Path]] = {
    "VP8 in WebM": _drawn("a.webm", "libvpx", "yuv420p", "libopus"),
    "VP9 in WebM": _drawn("a.webm", "libvpx-vp9", "yuv420p", "libopus", **{"cpu-used": "8"}),
    "AV1": _drawn("a.mp4", "libsvtav1", "yuv420p", "libopus", preset="12"),
    "ProRes with alpha": _drawn("a.mov", "prores_ks", "yuva444p10le"),
    "GIF": _drawn("a.gif", "gif", "rgb8", None),
    "fragmented MP4": _flash("a.mp4", "libx264", "aac", options={"movflags": "frag_keyframe+empty_moov"}),
    "HDR of 10 bits": _drawn("a.mkv", "libx265", "yuv420p10le", "eac3", **HDR),
    "odd sizes": _drawn("a.mkv", "ffv1", "yuv444p", size=(47, 63)),
    "rotation": _drawn("a.mp4", "libx264", "yuv420p", "aac", rotation=90),
    "cover picture": _drawn("a.mp4", "libx264", "yuv420p", "aac", cover=True),
    "5.1 channels": _drawn("a.mp4", "libx264", "yuv420p", "aac", layout="5.1"),
    "sound early": _drawn("a.mkv", "libx264", "yuv420p", sound_start=-0.3),
    "sound late": _drawn("a.mkv", "libx264", "yuv420p", sound_start=0.3),
    "old AVI": _flash("a.avi", "mpeg4", "libmp3lame"),
    "MPEG program stream": _flash("a.mpg", "mpeg2video", "mp2"),
    "Flash video": _flash("a.flv", "libx264", "aac"),
    "Windows Media": _flash("a.wmv", "wmv2", "libmp3lame", b_frames=0),
    "no sound": _flash("a.mp4", "libx264", None),
    "odd name": _flash("é\n[y] -x%d.mp4", "libx264", "aac"),
} | {f"{rate} Hz": _drawn("a.mkv", "mpeg4", "yuv420p", "flac", rate) for rate in (8000, 11025, 44100, 96000, 192000)}


def draw_apart(kind: str, folder: Path) -> Path:
    """Draws a file in a process of its own: SVT-AV1 gives root's the highest real-time priority, for good."""
    program = "import pathlib, sys, tests.inputs.test_healthy_files as t; t.FILES[sys.argv[1]](pathlib.Path('.'))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, kind], cwd=folder, env=environment, check=True, timeout=120)
    return next(folder.iterdir())


@pytest.mark.parametrize("kind", FILES)
def test_frames_and_sound_are_right(tmp_path, kind, caplog):
    path = draw_apart(kind, tmp_path) if kind == "AV1" else FILES[kind](tmp_path)
    tmp_path.chmod(0o555)
    try:
        info = probe(path)
        frames, flashes = flash_times(path)
        beeps = beep_times(path)
    finally:
        tmp_path.chmod(0o755)
    assert frames == N
    assert info.frames == pytest.approx(N, abs=5 if kind == "MPEG program stream" else 1)  # it gives no count
    assert info.fps == pytest.approx(FPS)
    assert (info.height, info.width) == {"odd sizes": (47, 63), "rotation": (64, 48)}.get(kind, (48, 64))
    np.testing.assert_allclose(flashes, [FLASH / FPS], atol=0.001 if kind != "GIF" else 0.02)
    if info.has_sound:
        np.testing.assert_allclose(beeps, flashes, atol=1 / FPS)
    silent = [f"{path}: no sound, silence is used"] if kind in ("GIF", "no sound") else []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == silent
