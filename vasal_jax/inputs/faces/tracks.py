"""Faces of a video as the model takes them: boxes, and ready-made face maps."""

import logging
import os
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.npy import load_array
from vasal_jax.system.files import replacing

logger = logging.getLogger(__name__)

MAP_SIZE = 32
MVVA_GRID = (1280, 720)  # width and height of the picture in whose pixels MVVA's tracks count
MAP_MEAN = 14.9  # mean of the face maps that the released model was trained with
# This project's own choice: the Gaussian's full width at half maximum is the box.
SIGMA_SCALE = 0.425
MIN_SIGMA = 0.5 / MAP_SIZE  # half a cell; a narrower Gaussian can fall between the cells and vanish
MAX_FACES = 64  # a frame; the largest are kept
MAX_COLUMNS = 1024  # of a file
MAX_BOXES = 2**23  # of a file: an hour of `MAX_FACES` at 30 frames a second fits


@dataclass(frozen=True)
class FaceMaps:
    """Face maps of a video's frames, read or drawn when asked for.

    `maps(index)` is the model's map of a frame, float32 (32,32): `normalise_face_map` of the ready-made picture, or
    zeros where there is none. `index in maps` tells whether the source has anything on that frame, `len(maps)` is
    one more than the last frame it has.
    """

    indices: Container[int]
    length: int
    grey_map: Callable[[int], np.ndarray]

    def __call__(self, index: int) -> np.ndarray:
        if index not in self.indices:
            return np.zeros((MAP_SIZE, MAP_SIZE), np.float32)
        return normalise_face_map(self.grey_map(index))

    def __contains__(self, index: int) -> bool:
        return index in self.indices

    def __len__(self) -> int:
        return self.length


def open_face_maps(source: str | os.PathLike | None, width: int, height: int) -> FaceMaps:
    """Face maps from a folder of pictures, from a `.npy` of face tracks, or none.

    Args:
      source: a folder of `<n>.jpg` or `<n>.png` (n from 0 on), an MVVA tracking file `.npy`, or None or "none".
      width, height: size in pixels of the video as displayed, the grid of the tracks.

    Raises:
      InputError: the source is missing, is neither, or does not hold what it should.
    """
    if source is None or str(source) == "none":
        return FaceMaps((), 0, ().__getitem__)
    path = Path(source)
    if os.path.isdir(path):
        return _folder_maps(path)
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file or folder, expected face maps or a .npy of face tracks")
    if path.suffix.lower() != ".npy":
        raise InputError(f"{path}: expected a folder of <n>.jpg or <n>.png, or a .npy of face tracks")
    boxes, mask = load_tracks(path, width, height)
    return FaceMaps(range(len(boxes)), len(boxes), lambda i: gaussian_mixture(boxes[i], mask[i]))


def load_tracks(
    path: str | os.PathLike, width: int, height: int, warn: Callable[..., object] = logger.warning
) -> tuple[np.ndarray, np.ndarray]:
    """Reads face tracks in MVVA's format: [frame][face] = (x1, y1, x2, y2) in pixels, dense or ragged.

    Boxes are clipped to the picture. Rows of NaN or of four equal numbers mean "no face here". Other boxes that
    are not finite, have no area or lie outside are masked and counted in one logged warning; likewise all but the
    `MAX_FACES` largest of a frame. Columns stay where they are in the file, as talking flags count them.

    Args:
      path: `.npy`, float (F,N,4) or an object array of frames with different numbers of faces.
      width, height: the grid of the pixels.
      warn: called as a logger's `warning` is, for each warning.

    Returns:
      boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked.
      mask: bool (F,N).

    Raises:
      InputError: missing or damaged file, another shape, or more than `MAX_COLUMNS` faces or `MAX_BOXES` boxes.
    """
    pixels = _dense_tracks(load_array(path), path)
    absent = np.isnan(pixels).all(-1) | (pixels == pixels[..., :1]).all(-1)
    finite = np.isfinite(pixels).all(-1)
    grid = np.array((width, height, width, height), np.float64)
    boxes = np.clip(np.where(finite[..., None], pixels, 0) / grid, 0, 1)
    mask = finite & (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    invalid = np.count_nonzero(~mask & ~absent)
    if invalid:
        beyond = (finite & (pixels[..., :2] >= (width, height)).any(-1)).any()
        # Tracks come with MVVA's videos, which people shrink.
        hint = "; tracks as MVVA has them need --tracks-size 1280x720" if beyond and width < MVVA_GRID[0] else ""
        warn(
            "%s: %d of %d face boxes are not finite, without area or outside %dx%d, and left out%s",
            path,
            invalid,
            np.count_nonzero(~absent),
            width,
            height,
            hint,
        )
    return keep_largest(np.where(mask[..., None], boxes, 0).astype(np.float32), mask, source=path, warn=warn)


def save_tracks(path: str | os.PathLike, boxes: np.ndarray, mask: np.ndarray, width: int, height: int) -> None:
    """Writes face tracks in MVVA's format, as `load_tracks` reads them: float32 (F,N,4) in pixels, NaN for no face.

    Args:
      path: where to, a name that ends in `.npy`.
      boxes: float (F,N,4), x1, y1, x2, y2 in 0..1.
      mask: bool (F,N).
      width, height: the grid of the pixels.

    Raises:
      InputError: another ending, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".npy":
        raise InputError(f"{path}: expected a name for face tracks that ends in .npy; choose another")
    pixels = np.where(mask[..., None], boxes * np.float32((width, height, width, height)), np.nan)
    with replacing(path) as temporary, open(temporary, "wb") as file:  # given a name, NumPy would add to .NPY
        np.save(file, pixels.astype(np.float32), allow_pickle=False)


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
        warn("%s: %d of %d frames have more than %d faces; the largest are kept", source, crowded, len(mask), limit)
    return np.where(kept[..., None], boxes, 0), kept


def gaussian_mixture(
    boxes: np.ndarray,
    mask: np.ndarray,
    weights: np.ndarray | None = None,
    sigma_scale: float = SIGMA_SCALE,
) -> np.ndarray:
    """Draws faces as a mixture of axis-aligned Gaussians, one a face, at the centre of its box.

    The released system reads such maps ready-made; how wide its Gaussians are is not published, so the widths are
    this project's own: `sigma_scale` times the box's width and height, and at least half a map cell.

    Args:
      boxes: float (N,4), x1, y1, x2, y2 in 0..1.
      mask: bool (N,), False for faces to leave out.
      weights: float (N,) share of each face, equal where None; scaled to sum to 1 over the mask.
      sigma_scale: standard deviation in box widths and heights.

    Returns:
      float32 (32,32) density per unit area of the picture (the whole plane holds 1), sampled at cell centres;
      zeros without faces or where all weights are 0.
    """
    boxes = np.where(np.reshape(mask, (-1, 1)), boxes, 0.0)
    shares = np.where(mask, 1.0 if weights is None else weights, 0.0)
    if not shares.sum() > 0:
        return np.zeros((MAP_SIZE, MAP_SIZE), np.float32)
    cells = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE

    def bells(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        sigma = np.maximum(sigma_scale * (high - low), MIN_SIGMA)[:, None]
        offsets = cells - ((low + high) / 2)[:, None]
        return np.exp(-0.5 * (offsets / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)

    columns, rows = bells(boxes[:, 0], boxes[:, 2]), bells(boxes[:, 1], boxes[:, 3])
    return np.einsum("n,nh,nw->hw", shares / shares.sum(), rows, columns).astype(np.float32)


def normalise_face_map(grey: np.ndarray) -> np.ndarray:
    """Scales a face map as the released fusion expects: minimum to -14.9, maximum to 240.1.

    Args:
      grey: (32,32), any real dtype and scale.

    Returns:
      float32 (32,32); a constant map, without faces, is all zeros.
    """
    grey = np.asarray(grey, np.float32)
    grey = grey - grey.min()
    if not grey.any():
        return grey
    return grey / grey.max() * np.float32(255) - np.float32(MAP_MEAN)


def _folder_maps(folder: Path) -> FaceMaps:
    files: dict[int, Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    for file in entries:
        if file.suffix.lower() not in (".jpg", ".jpeg", ".png") or not re.fullmatch("[0-9]{1,9}", file.stem):
            continue
        index = int(file.stem)
        if index in files:
            raise InputError(f"{folder}: frame {index} has two face maps, {files[index].name} and {file.name}")
        files[index] = file
    if not files:
        raise InputError(f"{folder}: expected face maps <n>.jpg or <n>.png, found none")
    return FaceMaps(files, max(files) + 1, lambda index: _read_map(files[index]))


def _read_map(file: Path) -> np.ndarray:
    grey = read_grey(file)
    if grey.shape != (MAP_SIZE, MAP_SIZE):
        shrinks = min(grey.shape) >= MAP_SIZE
        grey = cv2.resize(grey, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return grey


def _dense_tracks(tracks: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """float64 (F,N,4), NaN where a frame has fewer faces than the fullest one."""
    expected = f"{path}: expected face tracks [frame][face] = (x1, y1, x2, y2)"
    dense_boxes = tracks.dtype.kind in "iuf" and tracks.ndim == 3 and tracks.shape[2] == 4
    if not dense_boxes and (tracks.dtype != object or tracks.ndim == 0):
        raise InputError(f"{expected}, found {tracks.dtype} of shape {tracks.shape}")
    frames = tracks if dense_boxes else []
    if not dense_boxes:
        for index, frame in enumerate(tracks):
            try:
                frames.append(_frame_boxes(frame))
            except (TypeError, ValueError):
                found = f"shape {np.shape(frame)}" if isinstance(frame, np.ndarray) else repr(frame)[:80]
                raise InputError(f"{expected}, found in frame {index}: {found}") from None
    most = max((len(frame) for frame in frames), default=0)
    if most > MAX_COLUMNS or len(frames) * most > MAX_BOXES:
        found = f"{len(frames)} frames of {most}"
        raise InputError(f"{expected}, at most {MAX_COLUMNS} faces a frame and {MAX_BOXES} in all, found {found}")
    dense = np.full((len(frames), most, 4), np.nan)
    for index, frame in enumerate(frames):
        dense[index, : len(frame)] = frame
    return dense


def _frame_boxes(frame) -> np.ndarray:
    """float64 (n,4) from what an object array holds for one frame; TypeError or ValueError if it cannot be."""
    faces = [] if frame is None else [np.full(4, np.nan) if face is None else face for face in frame]
    boxes = np.array(faces, np.float64) if len(faces) else np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"shape {boxes.shape}")
    return boxes
