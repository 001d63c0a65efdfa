"""Writes videos in which bright squares stand for faces, and their tracks."""

from pathlib import Path

import numpy as np

from tests.helpers.media import write_video
from vasal_jax.config import MVVA_GRID
from vasal_jax.size import Size

HEIGHT, WIDTH = 96, 160
SIZE = Size(HEIGHT, WIDTH)
SIDE = 24  # pixels of a face


def paths(n: int) -> np.ndarray:
    """Centres of two faces, x and y in 0..1, float64 (n,2,2). The second face moves only horizontally."""
    t = np.arange(n) / 100
    return np.stack([np.stack([0.25 + t, 0.35 + t / 2], -1), np.stack([0.75 - t, np.full(n, 0.6)], -1)], axis=1)


def boxes_of(centres: np.ndarray) -> np.ndarray:
    """float32 (..., 4), x1, y1, x2, y2 in 0..1, of faces with these centres."""
    half = SIDE / 2 / np.array((WIDTH, HEIGHT))
    return np.concatenate([centres - half, centres + half], axis=-1).astype(np.float32)


def write_talkers(path: Path, n: int, seed: int = 0) -> Path:
    """A lossless video of two flickering bright squares on `paths`, with a sweeping tone."""
    rng = np.random.default_rng(seed)
    frames = []
    for centres in paths(n):
        image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        for x, y in centres:
            left, top = round(x * WIDTH - SIDE / 2), round(y * HEIGHT - SIDE / 2)
            image[top : top + SIDE, left : left + SIDE] = rng.integers(205, 255, (SIDE, SIDE, 3))
        frames.append(image)
    time = np.arange(22050 * n // 25) / 22050
    sound = 0.4 * np.sin(2 * np.pi * (200 + 300 * time) * time) * np.sin(9 * time)
    return write_video(path, frames, codec="ffv1", pix_fmt="bgr0", sound=sound)


def write_tracks(path: Path, n: int, size: Size = MVVA_GRID) -> Path:
    """The two faces as an MVVA tracking file in pixels of a picture of this size."""
    np.save(path, boxes_of(paths(n)) * np.float32((size.width, size.height) * 2))
    return path


BOX = np.float32((0.1, 0.2, 0.3, 0.5))


def marked_tracks(*columns: str) -> tuple[np.ndarray, np.ndarray]:
    """Tracks of columns such as "xx..x"; each box tells its frame and column."""
    mask = np.array([[mark == "x" for mark in column] for column in columns]).T
    frame, column = np.indices(mask.shape)
    boxes = BOX + (frame[..., None] / 100 + column[..., None] / 1000).astype(np.float32)
    return np.where(mask[..., None], boxes, 0), mask
