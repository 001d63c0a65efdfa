"""Writes synthetic videos of 1280x720 with sound, for benchmarks."""

from pathlib import Path

import numpy as np

from vasal_jax.inputs.sound import SAMPLE_RATE
from vasal_jax.outputs.video import video_writer
from vasal_jax.scenes import Scene

WIDTH, HEIGHT = 1280, 720
FPS = 24  # the released code assumes this rate for every video


def draw_faces(path: Path, seconds: float, fps: float = FPS, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Writes a video of talking faces; returns its sound, float32 (samples,) at 22,050 Hz."""
    scene = Scene.make(5, seconds, fps, width, height)
    with video_writer(path, width, height, fps, scene.sound) as write:
        for index in range(scene.n_frames):
            write(scene.frame(index), index / fps)
    return scene.sound


def draw_pattern(path: Path, seconds: float) -> None:
    """Writes a video of a moving pattern and a tone of changing pitch, in a fraction of the time of `draw_faces`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    picture = np.stack([127 + 120 * np.sin(x / 40 + y / 90), (x + y) % 256, 127 + 120 * np.cos(y / 30)], axis=-1)
    picture = picture.astype(np.uint8)
    time = np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    sound = (0.4 * np.sin(2 * np.pi * 220 * time + 40 * np.sin(2 * time))).astype(np.float32)
    with video_writer(path, WIDTH, HEIGHT, FPS, sound) as write:
        for index in range(round(seconds * FPS)):
            write(np.roll(picture, 3 * index, axis=1), index / FPS)
