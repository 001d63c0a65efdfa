"""Rows of maps beside each other: one video of them all, and how far each is from the first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from vasal_jax.config import MAP_SIZE
from vasal_jax.inputs.video import VideoInfo, read_frames
from vasal_jax.metrics import cc, kl, resized
from vasal_jax.outputs.heatmap import grey_map, overlay
from vasal_jax.outputs.labels import LabelPen
from vasal_jax.outputs.video import video_writer
from vasal_jax.web.rows import Row

_COLUMNS = 2
_WIDEST = 480  # pixels of one picture of several
_AT_ONCE = 64  # frames scored together, so that one program serves videos of all lengths
_INK, _GROUND = (255, 255, 255), (22, 24, 29)


class Change(NamedTuple):
    """How far a row's maps are from the first row's, as means over the frames of both."""

    name: str
    cc: float
    kl: float  # of the first row's maps from this row's


def side_by_side(path: Path, info: VideoInfo, rows: Sequence[Row], report: Callable[[int], object]) -> list[Change]:
    """Writes the video with the maps of all rows, two beside each other, and its sound.

    Args:
      path: the video to write.
      info: the video that the maps are of.
      rows: the first is what the others are compared with.
      report: told of the number of each frame.

    Returns:
      The changes of all rows but the first, over the frames that have maps of all.
    """
    width, height = _cell(info)
    across, down = min(_COLUMNS, len(rows)), -(-len(rows) // _COLUMNS)
    readers = [row.maps.open() for row in rows]
    shared = set.intersection(*(set(row.maps.frames) for row in rows))
    maps: list[list[np.ndarray]] = [[] for _ in rows]
    pen = LabelPen(max(1.0, width / 320))
    with video_writer(path, across * width, down * height, info.fps, info.path if info.has_sound else None) as write:
        for frame in read_frames(info):
            sheet = np.zeros((down * height, across * width, 3), np.uint8)
            picture = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA)
            for place, (row, read) in enumerate(zip(rows, readers, strict=True)):
                top, left = place // across * height, place % across * width
                cell = sheet[top : top + height, left : left + width]
                cell[:] = picture
                if frame.index in row.maps.frames:
                    saliency = read(frame.index)
                    cell[:] = overlay(picture, grey_map(saliency, width, height))
                    if frame.index in shared:
                        maps[place].append(_small(saliency))
                pen.plate(cell, row.name, (0, height), _INK, _GROUND)
            write(sheet, frame.time)
            report(frame.index + 1)
    first, *others = map(np.array, maps)
    return [_change(row.name, own, first) for row, own in zip(rows[1:], others, strict=True)]


def _cell(info: VideoInfo) -> tuple[int, int]:
    """Width and height of one picture, both even."""
    scale = min(1.0, _WIDEST / info.width)
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (info.width, info.height))
    return width, height


def _small(saliency: np.ndarray) -> np.ndarray:
    """A map at the model's size: float32 (32,32)."""
    if saliency.shape == (MAP_SIZE, MAP_SIZE):
        return saliency
    return np.asarray(resized(saliency, (MAP_SIZE, MAP_SIZE)))


def _change(name: str, maps: np.ndarray, first: np.ndarray) -> Change:
    if not len(maps):
        return Change(name, float("nan"), float("nan"))
    scores: list[np.ndarray] = []
    for start in range(0, len(maps), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        count = len(maps[part])
        padded = (np.resize(rows[part], (_AT_ONCE, *rows.shape[1:])) for rows in (maps, first))
        scores.append(np.asarray(_scores(*padded))[:, :count])
    return Change(name, *np.concatenate(scores, axis=1).mean(axis=1).tolist())


@jax.jit
def _scores(maps: jax.Array, first: jax.Array) -> jax.Array:
    return jnp.stack([cc(maps, first), kl(maps, first)])
