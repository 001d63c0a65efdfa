"""Antialiased shapes in coordinates of one's own, on uint8 pictures."""

import cv2
import numpy as np

Colour = tuple[int, int, int]


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor below 1) or lighter (above 1, towards white)."""
    if factor <= 1:
        red, green, blue = (int(c * factor) for c in colour)
    else:
        red, green, blue = (int(255 - (255 - c) * (2 - factor)) for c in colour)
    return red, green, blue


def oval(x: float, y: float, rx: float, ry: float, points: int = 40) -> np.ndarray:
    """An ellipse's outline, (points, 2)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """A rectangle's outline, (4, 2)."""
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def rounded(points, passes: int = 3) -> np.ndarray:
    """A closed outline with its corners cut round (Chaikin 1974)."""
    points = np.asarray(points, dtype=np.float64)
    for _ in range(passes):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = points.reshape(-1, 2)
    return points


class Pen:
    """Draws on `image` (H,W,3) RGB or (H,W,4) RGB with premultiplied alpha, uint8, in place.

    A point (x, y) of the caller's falls on pixel `origin + scale * (x, y)`; y runs down.
    """

    def __init__(self, image: np.ndarray, scale: float, origin: tuple[float, float] = (0.0, 0.0)):
        self.image, self.scale, self.origin = image, scale, np.asarray(origin, dtype=np.float64)

    def fill(self, points, colour: Colour) -> None:
        """A filled outline."""
        cv2.fillPoly(self.image, [self._pixels(points)], (*colour, 255), cv2.LINE_AA, 4)

    def erase(self, points) -> None:
        """Cuts an outline out of a picture with alpha."""
        cv2.fillPoly(self.image, [self._pixels(points)], (0, 0, 0, 0), cv2.LINE_AA, 4)

    def line(self, points, colour: Colour, width: float, closed: bool = False) -> None:
        """A stroke, `width` in the caller's units, at least one pixel."""
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.image, [self._pixels(points)], closed, (*colour, 255), thickness, cv2.LINE_AA, 4)

    def glow(self, points, colour: Colour, opacity: float, blur: float, inside=None) -> None:
        """A soft-edged outline laid over what is there; `inside`, another outline, keeps it within bounds."""
        points, blur = self._pixels(points) / 16, max(0.5, blur * self.scale)
        reach = points if inside is None else self._pixels(inside) / 16
        margin = 3 * blur if inside is None else 1
        low = np.maximum(0, np.floor(reach.min(axis=0) - margin)).astype(int)
        high = np.minimum(self.image.shape[1::-1], np.ceil(reach.max(axis=0) + margin)).astype(int)
        if (high <= low).any():
            return
        area = np.s_[low[1] : high[1], low[0] : high[0]]
        mask = _soft_mask(points - low, blur, high - low)
        if inside is not None:
            mask = cv2.min(mask, _soft_mask(reach - low, 0.0, high - low))
        part, weight = self.image[area], mask[:, :, None].astype(np.float32) * (opacity / 255)
        paint = np.asarray(colour, dtype=np.float32)
        if part.shape[2] == 4:
            paint = paint * (part[:, :, 3:].astype(np.float32) / 255)
        part[:, :, :3] = np.rint(part[:, :, :3] * (1 - weight) + paint * weight).astype(np.uint8)

    def _pixels(self, points) -> np.ndarray:
        return np.rint((self.origin + self.scale * np.asarray(points)) * 16).astype(np.int32)


def _soft_mask(points: np.ndarray, blur: float, size: np.ndarray) -> np.ndarray:
    """A filled outline of pixels, blurred: uint8 (height, width) for `size` (width, height)."""
    coarse = max(1, int(blur / 4))  # a wide blur needs no fine grid
    margin = int(np.ceil(3 * blur / coarse))  # what lies just outside blurs in
    grid = -(-size // coarse)
    mask = np.zeros((grid[::-1] + 2 * margin), np.uint8)
    corners = np.rint(((points + 0.5) / coarse - 0.5 + margin) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    if blur:
        mask = cv2.GaussianBlur(mask, (0, 0), blur / coarse)
    mask = mask[margin : margin + grid[1], margin : margin + grid[0]]
    if coarse > 1:
        mask = cv2.resize(mask, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_LINEAR)
    return mask[: size[1], : size[0]]
