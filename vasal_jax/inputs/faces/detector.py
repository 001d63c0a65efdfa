"""What a face detector is: a function from a reduced picture to boxes and scores."""

from collections.abc import Callable

import cv2
import numpy as np

# uint8 (h,w,3) RGB -> boxes (n,4), x1, y1, x2, y2 in 0..1, and scores (n,) in 0..1
Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

LONGER_SIDE = 480  # pixels of the reduced picture


def reduced(image: np.ndarray) -> np.ndarray:
    """The picture that a detector sees: at most `LONGER_SIDE` pixels a side; uint8 (H,W,3) to uint8 (h,w,3)."""
    height, width = image.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
