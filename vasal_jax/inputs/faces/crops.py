"""Faces cut out of a frame, as the face branch takes them."""

import cv2
import numpy as np

from vasal_jax.config import CROP_SIZE, RGB_MEAN

MARGIN = 1.3  # side of the square that is cut out, in longer sides of the box: chin, hair and some neck come along


def crop_faces(image: np.ndarray, boxes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cuts a square around each face and scales it; what lies outside the picture is of the mean colour.

    Args:
      image: uint8 (H,W,3) RGB, at full size: mouths are small.
      boxes: float (N,4), x1, y1, x2, y2 in 0..1.
      mask: bool (N,), False where there is no face.

    Returns:
      uint8 (N,64,64,3) RGB, the mean colour where masked.
    """
    mean = np.rint(RGB_MEAN).astype(np.uint8)
    crops = np.tile(mean, (len(boxes), CROP_SIZE, CROP_SIZE, 1))
    height, width = image.shape[:2]
    for face in np.flatnonzero(mask):
        x1, y1, x2, y2 = boxes[face] * (width, height, width, height)
        side = max(1, round(MARGIN * max(x2 - x1, y2 - y1)))
        left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
        square = np.tile(mean, (side, side, 1))
        rows, columns = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
        seen = image[rows, columns]
        square[rows.start - top :, columns.start - left :][: seen.shape[0], : seen.shape[1]] = seen
        way = cv2.INTER_AREA if side > CROP_SIZE else cv2.INTER_LINEAR
        crops[face] = cv2.resize(square, (CROP_SIZE, CROP_SIZE), interpolation=way)
    return crops


def model_crops(crops: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (...,64,64,3) crops as the model takes them: float32 RGB minus mean, zeros where `mask` (...) is False."""
    return np.where(mask[..., None, None, None], crops.astype(np.float32) - RGB_MEAN, np.float32(0))
