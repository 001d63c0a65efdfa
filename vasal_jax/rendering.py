"""Saliency maps as pictures."""

import cv2
import numpy as np

_OPACITY = 0.65  # of the heat colour where the saliency is highest


def grey_map(saliency: np.ndarray, width: int, height: int) -> np.ndarray:
    """A saliency map as a grey picture, the way the released system shows it.

    Args:
      saliency: float (h,w), any range.
      width, height: of the picture, in pixels.

    Returns:
      uint8 (height,width): the map stretched from its minimum..maximum to 0..255, then resized bilinearly. A constant
      map is black.
    """
    return np.rint(stretched(saliency, width, height)).astype(np.uint8)


def stretched(saliency: np.ndarray, width: int, height: int) -> np.ndarray:
    """`grey_map` before rounding: float32 (height,width), 0..255."""
    low, high = float(saliency.min()), float(saliency.max())
    if high <= low:
        return np.zeros((height, width), np.float32)
    unit = (saliency.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return cv2.resize(unit * np.float32(255), (width, height), interpolation=cv2.INTER_LINEAR)


def overlay(image: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Lays a grey map over a picture as heat colours, the more opaque the more salient.

    Args:
      image: uint8 (H,W,3) RGB.
      grey: uint8 (H,W), from `grey_map`.

    Returns:
      uint8 (H,W,3) RGB.
    """
    heat = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    weight = grey.astype(np.float32) * np.float32(_OPACITY / 255)
    return cv2.blendLinear(image, heat, 1 - weight, weight)
