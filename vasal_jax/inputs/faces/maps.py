"""Face maps, 32x32: the ready-made ones of a folder, or faces drawn as Gaussians."""

import os
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.config import MAP_MEAN, MAP_SIZE, MIN_SIGMA, SIGMA_SCALE
from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.video import Frame


@dataclass(frozen=True)
class FaceMaps:
    """Face maps of a video's frames, read or drawn when asked for.

    `maps(index)` is the model's map of a frame, float32 (32,32): `normalise_face_map` of the ready-made picture, or
    zeros where there is none. `index in maps` tells whether the source has anything on that frame, `len(maps)` is
    one more than the last frame it has.
    """

    lookahead = 0

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

    def see(self, image: np.ndarray) -> None:
        """A frame has come; nothing is to be learnt from it."""

    def finish(self) -> None:
        """The video is over."""

    def of_clip(self, frames: Sequence[Frame]) -> tuple[dict[str, np.ndarray], None]:
        """As `ClipFaces`: `face_map` float32 (T,32,32,1)."""
        return {"face_map": np.stack([self(frame.index) for frame in frames])[..., None]}, None


def folder_maps(source: str | os.PathLike) -> FaceMaps:
    """The face maps of a folder, read one by one when asked for.

    Args:
      source: a folder of pictures `<n>.jpg` or `<n>.png` of any size, n the frame from 0 on; other files are ignored.

    Raises:
      InputError: the folder is missing, is a file, cannot be read, holds no face maps or two of one frame. Its
        pictures are opened later: `maps(index)` raises `InputError` for one that cannot be read.
    """
    folder = Path(source)
    if not os.path.exists(folder):
        raise InputError(f"{folder}: no such file or folder, expected face maps or a .npy of face tracks")
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: expected a folder of <n>.jpg or <n>.png, or a .npy of face tracks")
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


def _read_map(file: Path) -> np.ndarray:
    grey = read_grey(file)
    if grey.shape != (MAP_SIZE, MAP_SIZE):
        shrinks = min(grey.shape) >= MAP_SIZE
        grey = cv2.resize(grey, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return grey
