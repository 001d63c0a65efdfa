"""What the arrays of MVVA hold: fixations and talking flags, and what is odd about them.

An array that is not what it should be is never taken for something else: it is refused, or what is unknown in it is
counted, so that `data.mvva_review` can name it.
"""

import os
from typing import NamedTuple

import numpy as np

from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.fixations import valid_points
from vasal_jax.inputs.npy import load_array


class Fixations(NamedTuple):
    """The fixations of a video, F frames, S subjects."""

    points: np.ndarray
    """float32 (F, S, 2) x, y in pixels of the 1280x720 grid, NaN where there is no fixation."""
    outside: int
    """Stored points that are left out because they are not finite or outside the grid."""
    at_origin: int
    """Stored points that are left out because they are (0, 0), which eye trackers write where they see no eye."""


class TalkingFlags(NamedTuple):
    """Who talks, N faces, F frames."""

    flags: np.ndarray
    """bool (N, F), True where the face talks; False where unknown."""
    known: np.ndarray
    """bool (N, F), False where the file says neither that the face talks nor that it is silent."""
    bytes_255: bool = False
    """Whether 255 stands for talking in the file."""


def load_fixations(path: str | os.PathLike) -> Fixations:
    """Reads fixations in MVVA's format: [frames, 2, subjects], x in [:, 0], y in [:, 1], dense or ragged.

    Raises:
      InputError: missing or damaged file, another shape, x and y the other way round, or points that are no pixels.
    """
    expected = f"{path}: expected fixations of shape [frames, 2, subjects]"
    array = load_array(path)
    ragged = array.dtype == object and array.ndim in (1, 2)
    if not ragged and (array.ndim != 3 or array.shape[1] != 2):
        raise InputError(f"{expected}, found {array.dtype} of shape {array.shape}")
    frames = []
    for index, frame in enumerate(array):
        try:
            frames.append(_axes(frame))
        except (TypeError, ValueError):
            raise InputError(f"{expected}, found no x and y of equal length in frame {index}") from None
    subjects = max((frame.shape[1] for frame in frames), default=0)
    stored = np.full((len(frames), subjects, 2), np.nan)
    for index, frame in enumerate(frames):
        stored[index, : frame.shape[1]] = frame.T
    at_origin = (stored == 0).all(-1)
    points = np.where(at_origin[..., None], np.nan, stored).astype(np.float32)
    _check_pixels(points, path)
    valid = valid_points(points)
    points[~valid] = np.nan
    origin = int(np.count_nonzero(at_origin))
    outside = sum(frame.shape[1] for frame in frames) - int(np.count_nonzero(valid)) - origin
    return Fixations(points, outside, origin)


def _check_pixels(points: np.ndarray, path: str | os.PathLike) -> None:
    """Raises `InputError` where points are shares of the picture, or their x and y have changed places."""
    finite = points[np.isfinite(points).all(-1)]
    if not len(finite):
        return
    if finite.min() >= 0 and finite.max() <= 1:
        raise InputError(
            f"{path}: expected fixations in pixels of {MVVA_GRID}, found all of them within 0..1; multiply x by "
            f"{MVVA_GRID.width} and y by {MVVA_GRID.height}"
        )
    if valid_points(finite).mean() < 0.9 and valid_points(finite[:, ::-1]).mean() > 0.99:
        raise InputError(
            f"{path}: expected x in [:, 0] and y in [:, 1], found y up to {finite[:, 1].max():g}; swap them"
        )


def _axes(frame) -> np.ndarray:
    """float64 (2, subjects) of one frame as stored; TypeError or ValueError if it cannot be."""
    x, y = ([], []) if frame is None or len(frame) == 0 else frame
    return np.array([np.array(axis, np.float64).reshape(-1) for axis in (x, y)])


def load_talking(path: str | os.PathLike) -> TalkingFlags:
    """Reads talking flags in MVVA's format: [face, frame], 1 = talking, 0 = silent; ragged rows are cut.

    All rows end where the shortest does. Where a file has 0 and 255 alone, 255 stands for talking. Any other value is
    unknown.

    Raises:
      InputError: missing or damaged file, or another shape.
    """
    expected = f"{path}: expected talking flags of shape [face, frame]"
    array = load_array(path)
    try:
        rows = [np.array(row, np.float64) for row in array] if array.ndim else []
    except (TypeError, ValueError):
        raise InputError(f"{expected}, found something else in an object array") from None
    if not rows or any(row.ndim != 1 for row in rows):
        raise InputError(f"{expected}, found {array.dtype} of shape {array.shape}")
    shortest = min(map(len, rows))
    values = np.array([row[:shortest] for row in rows])
    bytes_255 = bool((values == 255).any() and np.isin(values, (0, 255)).all())
    flags = values == (255 if bytes_255 else 1)
    return TalkingFlags(flags, flags | (values == 0), bytes_255)
