"""Saliency maps as pictures."""

from collections.abc import Sequence

import cv2
import numpy as np

_OPACITY = 0.65  # of the heat colour where the saliency is highest

# By grey level, uint8 (256,1,3): the heat colour's part of a pixel, and how much of the picture is left, of 255.
_LEVELS = np.arange(256, dtype=np.uint8)[:, None, None]
_WEIGHTS = _OPACITY / 255 * _LEVELS
_COLOURS = cv2.cvtColor(cv2.applyColorMap(_LEVELS, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
_HEAT, _LEFT = (np.rint(part).astype(np.uint8) for part in (_COLOURS * _WEIGHTS, (1 - _WEIGHTS) * np.full(3, 255.0)))

# The same for Y, U and V of BT.709 in the range of video: uint8 (256,) each.
_BT709 = np.array([[0.2126, 0.7152, 0.0722], [-0.114572, -0.385428, 0.5], [0.5, -0.454153, -0.045847]])
_YUV = _COLOURS @ (_BT709.T * [219 / 255, 224 / 255, 224 / 255]) + [16, 128, 128]
_HEAT_YUV = tuple(np.rint(_YUV * _WEIGHTS).astype(np.uint8)[:, 0].T.copy())


def grey_map(saliency: np.ndarray, width: int, height: int) -> np.ndarray:
    """A saliency map as a grey picture, the way the released system shows it.

    Args:
      saliency: float (h,w), any range.
      width, height: of the picture, in pixels.

    Returns:
      uint8 (height,width): the map stretched from its minimum..maximum to 0..255, then resized bilinearly. A constant
      map is black.
    """
    return cv2.convertScaleAbs(stretched(saliency, width, height))  # rounds to even, as np.rint, in a tenth of the time


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
    # In bytes, which is within a level and a half of the exact picture, this takes less than half as long as in floats.
    picture = cv2.multiply(image, cv2.applyColorMap(grey, _LEFT), scale=1 / 255)
    return cv2.add(picture, cv2.applyColorMap(grey, _HEAT))


def heat(grey: np.ndarray) -> np.ndarray:
    """The heat colours alone, to be laid over a picture elsewhere: uint8 (H,W) to uint8 (H,W,4), RGB and opacity."""
    opacity = np.rint(_OPACITY * grey).astype(np.uint8)
    return np.concatenate([_COLOURS[:, 0][grey], opacity[..., None]], axis=-1)


def lay_over_planes(planes: Sequence[np.ndarray], grey: np.ndarray) -> None:
    """Does in place what `overlay` does, to a picture whose colours have half the resolution: half as many bytes.

    Blending is linear, so Y, U and V are blended as R, G and B are. Both ways differ by a level or two.

    Args:
      planes: Y, uint8 (H,W), U and V, uint8 (H/2,W/2), of BT.709 in the range of video; H and W are even.
      grey: uint8 (H,W), from `grey_map`.
    """
    height, width = grey.shape
    half = cv2.resize(grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    for plane, level, heat in zip(planes, (grey, half, half), _HEAT_YUV, strict=True):
        cv2.multiply(plane, cv2.LUT(level, _LEFT[:, 0, 0]), dst=plane, scale=1 / 255)
        cv2.add(plane, cv2.LUT(level, heat), dst=plane)
