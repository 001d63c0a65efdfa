"""Face tracks: files in MVVA's format to boxes of every frame, and back."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracking import TrackedFaces
from vasal_jax.inputs.npy import load_array
from vasal_jax.size import Size
from vasal_jax.system.files import naming_file_errors, replacing

logger = logging.getLogger(__name__)

MAX_FACES = 64  # a frame; the largest are kept
MAX_COLUMNS = 1024  # of a file
MAX_BOXES = 2**23  # of a file: an hour of `MAX_FACES` at 30 frames a second fits
CROWDED = "%s: %d of %d frames have more than %d faces; the largest are kept"


def load_tracks(
    path: str | os.PathLike, size: Size, warn: Callable[..., object] = logger.warning
) -> tuple[np.ndarray, np.ndarray]:
    """Reads face tracks in MVVA's format: `[frame][face]` = (x1, y1, x2, y2) in pixels, dense or ragged.

    Boxes are clipped to the picture. Rows of NaN or of four equal numbers mean "no face here". Other boxes that
    are not finite, have no area or lie outside are masked and counted in one logged warning; likewise all but the
    `MAX_FACES` largest of a frame. Columns stay where they are in the file, as talking flags count them.

    Args:
      path: `.npy`, float (F,N,4) or an object array of frames with different numbers of faces.
      size: of the picture in whose pixels the file counts.
      warn: called as a logger's `warning` is, for each warning.

    Returns:
      boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked.
      mask: bool (F,N).

    Raises:
      InputError: missing or damaged file, another shape, or more than `MAX_COLUMNS` faces or `MAX_BOXES` boxes.
    """
    pixels = _dense_tracks(load_array(path), path)
    absent = np.isnan(pixels).all(-1) | (pixels == pixels[..., :1]).all(-1)
    finite = np.all(np.isfinite(pixels), axis=-1)
    grid = np.array((size.width, size.height) * 2, np.float64)
    boxes = np.clip(np.where(finite[..., None], pixels, 0) / grid, 0, 1)
    mask = finite & (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    invalid = np.count_nonzero(~mask & ~absent)
    if invalid:
        beyond = (finite & (pixels[..., :2] >= (size.width, size.height)).any(-1)).any()
        # Tracks come with MVVA's videos, which people shrink.
        hint = (
            "; tracks as MVVA has them need --tracks-size 1280x720" if beyond and size.width < MVVA_GRID.width else ""
        )
        warn(
            "%s: %d of %d face boxes are not finite, without area or outside %s, and left out%s",
            path,
            invalid,
            np.count_nonzero(~absent),
            size,
            hint,
        )
    return keep_largest(np.where(mask[..., None], boxes, 0).astype(np.float32), mask, source=path, warn=warn)


def save_tracks(path: str | os.PathLike, boxes: np.ndarray, mask: np.ndarray, size: Size) -> None:
    """Writes face tracks of a whole video, as `tracks_file` has them.

    Args:
      path: where to, a name that ends in `.npy`.
      boxes: float (F,N,4), x1, y1, x2, y2 in 0..1.
      mask: bool (F,N).
      size: of the picture in whose pixels the file is to count.

    Raises:
      InputError: another ending, or the file cannot be written.
    """
    with tracks_file(path, size, mask.shape[1]) as add:
        for row, present in zip(boxes, mask, strict=True):
            add(TrackedFaces(row[present], np.flatnonzero(present)))


@contextlib.contextmanager
def tracks_file(path: str | os.PathLike, size: Size, columns: int = 0) -> Iterator[Callable[[TrackedFaces], None]]:
    """Writes face tracks frame by frame in MVVA's format, as `load_tracks` reads them: float32 (F,N,4) in pixels.

    A place without a face is NaN. Memory does not grow with the video: its frames wait in a nameless file beside
    `path`, because how many there are stands before them in a `.npy`. The file is there when the block ends well.

    Args:
      path: where to, a name that ends in `.npy`.
      size: of the picture in whose pixels the file is to count.
      columns: N at least; as many as the faces need where that is more.

    Yields:
      A function that adds the faces of the next frame.

    Raises:
      InputError: another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        raise InputError(f"{path}: expected a name for face tracks that ends in .npy; choose another")
    grid = np.array((size.width, size.height) * 2, np.float32)
    frames = 0
    with replacing(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as waiting:

        def add(faces: TrackedFaces) -> None:
            nonlocal frames, columns
            frames, columns = frames + 1, max([columns, *(faces.columns + 1).tolist()])
            with naming_file_errors(path):
                waiting.write(np.array([len(faces.columns), *faces.columns], np.int32).tobytes())
                waiting.write((faces.boxes * grid).astype(np.float32).tobytes())

        yield add
        waiting.seek(0)
        with open(temporary, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (frames, columns, 4)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(frames):
                row = np.full((columns, 4), np.nan, "<f4")
                count = int(np.frombuffer(waiting.read(4), np.int32)[0])
                places = np.frombuffer(waiting.read(4 * count), np.int32)
                row[places] = np.frombuffer(waiting.read(16 * count), np.float32).reshape(-1, 4)
                file.write(row.tobytes())


class LargestFaces:
    """Leaves out all but the `limit` largest faces of frame after frame, and counts the frames that had more."""

    def __init__(self, limit: int, source: object):
        self._limit, self._source, self._frames, self._crowded = limit, source, 0, 0

    def __call__(self, faces: TrackedFaces) -> TrackedFaces:
        self._frames += 1
        self._crowded += len(faces.columns) > self._limit
        return faces.largest(self._limit)

    def warn(self) -> None:
        """Says once how many frames had more, if any."""
        if self._crowded:
            logger.warning(CROWDED, self._source, self._crowded, self._frames, self._limit)


def keep_largest(
    boxes: np.ndarray,
    mask: np.ndarray,
    limit: int = MAX_FACES,
    source: object = "faces",
    warn: Callable[..., object] = logger.warning,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks all but the `limit` largest faces of each frame, and says so in one logged warning that names `source`.

    Args:
      boxes: float (F,N,4), x1, y1, x2, y2 in 0..1.
      mask: bool (F,N).

    Returns:
      boxes and mask of the same shapes and dtypes, zeros where masked. Of equal faces the first are kept.
    """
    areas = np.where(mask, (boxes[..., 2:] - boxes[..., :2]).prod(-1), -1.0)
    ranks = (-areas).argsort(axis=1, kind="stable").argsort(axis=1)
    kept = mask & (ranks < limit)
    crowded = np.count_nonzero((kept != mask).any(axis=1))
    if crowded:
        warn(CROWDED, source, crowded, len(mask), limit)
    return np.where(kept[..., None], boxes, 0), kept


def _dense_tracks(tracks: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """float64 (F,N,4), NaN where a frame has fewer faces than the fullest one."""
    expected = f"{path}: expected face tracks [frame][face] = (x1, y1, x2, y2)"
    dense_boxes = tracks.dtype.kind in "iuf" and tracks.ndim == 3 and tracks.shape[2] == 4
    if not dense_boxes and (tracks.dtype != object or tracks.ndim == 0):
        raise InputError(f"{expected}, found {tracks.dtype} of shape {tracks.shape}")
    frames = tracks if dense_boxes else _ragged_boxes(tracks, expected)
    most = max((len(frame) for frame in frames), default=0)
    if most > MAX_COLUMNS or len(frames) * most > MAX_BOXES:
        found = f"{len(frames)} frames of {most}"
        raise InputError(f"{expected}, at most {MAX_COLUMNS} faces a frame and {MAX_BOXES} in all, found {found}")
    dense = np.full((len(frames), most, 4), np.nan)
    for index, frame in enumerate(frames):
        dense[index, : len(frame)] = frame
    return dense


def _ragged_boxes(tracks: np.ndarray, expected: str) -> list[np.ndarray]:
    """float64 (n,4) of each frame of an object array."""
    frames: list[np.ndarray] = []
    for index, frame in enumerate(tracks):
        try:
            frames.append(_frame_boxes(frame))
        except (TypeError, ValueError):
            found = f"shape {np.shape(frame)}" if isinstance(frame, np.ndarray) else repr(frame)[:80]
            raise InputError(f"{expected}, found in frame {index}: {found}") from None
    return frames


def _frame_boxes(frame) -> np.ndarray:
    """float64 (n,4) from what an object array holds for one frame; TypeError or ValueError if it cannot be."""
    faces = [] if frame is None else [np.full(4, np.nan) if face is None else face for face in frame]
    boxes = np.array(faces, np.float64) if len(faces) else np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"shape {boxes.shape}")
    return boxes
