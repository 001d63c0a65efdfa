"""Words on pictures, at the scale of the picture."""

from typing import Literal

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB

_FONT = cv2.FONT_HERSHEY_SIMPLEX


class LabelPen:
    """Writes on pictures, uint8 (H,W,3) RGB, in place.

    Args:
      scale: 1 writes letters of about 9 pixels.
    """

    def __init__(self, scale: float):
        self._scale = scale

    def pixels(self, length: float) -> int:
        """A length of the drawing in pixels of the picture, at least 1."""
        return max(1, round(length * self._scale))

    def width(self, text: str) -> int:
        """Pixels that a text takes."""
        return self._size(text)[0]

    def text(
        self,
        image: np.ndarray,
        text: str,
        foot: tuple[int, int],
        ink: Colour,
        align: Literal["left", "centre", "right"] = "left",
    ) -> None:
        """Text whose lower left corner, or middle, or lower right corner is at `foot`, moved into the picture."""
        wide = self.width(text)
        x = round(foot[0] - {"left": 0, "centre": wide / 2, "right": wide}[align])
        x = max(0, min(x, image.shape[1] - wide))
        cv2.putText(image, text, (x, foot[1]), _FONT, 0.4 * self._scale, ink, self.pixels(1), cv2.LINE_AA)

    def plate(self, image: np.ndarray, text: str, foot: tuple[int, int], ink: Colour, ground: Colour) -> None:
        """Text on a plate whose lower left corner is at `foot`, moved into the picture if it has to be."""
        (wide, tall), pad = self._size(text), self.pixels(3)
        x = max(0, min(foot[0], image.shape[1] - wide - 2 * pad))
        y = max(tall + 2 * pad, min(foot[1], image.shape[0] - 1))
        cv2.rectangle(image, (x, y - tall - 2 * pad), (x + wide + 2 * pad, y), ground, -1)
        self.text(image, text, (x + pad, y - pad), ink)

    def _size(self, text: str) -> tuple[int, int]:
        """Width and height above the line."""
        wide, tall = cv2.getTextSize(text, _FONT, 0.4 * self._scale, self.pixels(1))[0]
        return wide, tall
