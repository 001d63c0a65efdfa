"""What is behind and around the people: rooms, and the things that pass by.

Backdrops are painted in picture heights: x runs 0..aspect, y 0..1.
"""

import cv2
import numpy as np

from vasal_jax.scenes.pen import Colour, Pen, box, oval, rounded, shade

_WALLS = ((176, 190, 188), (206, 192, 168), (150, 168, 190), (192, 170, 170), (160, 174, 148), (120, 128, 146))
_PAINTS = ((196, 92, 70), (70, 110, 150), (222, 176, 82), (96, 140, 108), (146, 96, 140), (236, 228, 210))


def paint_backdrop(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A room out of focus, (height, width, 3) uint8 RGB."""
    kind = (_room, _window, _shelf, _studio)[rng.integers(4)]
    image = np.zeros((2 * height, 2 * width, 3), np.uint8)  # painted finer, for smooth edges
    kind(Pen(image, 2 * height), width / height, rng)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), 0.005 * height)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    corners = 1 - 0.16 * (x**2 + y**2)
    return cv2.multiply(image, cv2.merge([corners] * 3), dtype=cv2.CV_8U)


def paint_desk(image: np.ndarray, top: float, rng: np.random.Generator) -> None:
    """A long desk across the foot of `image`, in place, from row `top` downwards, a few mugs and papers on it."""
    height, width = image.shape[:2]
    pen, aspect, top = Pen(image, height), width / height, top / height
    wood = ((134, 92, 60), (96, 70, 54), (172, 134, 96), (70, 76, 88))[rng.integers(4)]
    pen.glow(box(-0.1, top - 0.015, aspect + 0.1, top + 0.02), (0, 0, 0), 0.4, 0.012)
    pen.fill(box(0, top, aspect, 1.01), wood)
    pen.glow(box(-0.1, top, aspect + 0.1, top + 0.025), shade(wood, 1.35), 0.8, 0.006)
    pen.glow(box(-0.1, top + 0.07, aspect + 0.1, 1.2), shade(wood, 0.55), 0.7, 0.03)
    for x in np.arange(rng.uniform(0.1, 0.3), aspect, 0.45):
        colour, x = _PAINTS[rng.integers(len(_PAINTS))], x + rng.uniform(-0.08, 0.08)
        if rng.uniform() < 0.5:
            pen.fill([(x - 0.06, top + 0.045), (x + 0.05, top + 0.045), (x + 0.06, top + 0.02), (x - 0.04, top + 0.02)],
                     (238, 236, 228))  # fmt: skip
        else:
            pen.line(oval(x + 0.027, top - 0.005, 0.014, 0.016), colour, 0.007, closed=True)
            pen.fill(rounded(np.repeat(box(x - 0.026, top - 0.035, x + 0.026, top + 0.03), 2, axis=0), 2), colour)
            pen.glow(box(x + 0.008, top - 0.035, x + 0.05, top + 0.03), shade(colour, 0.5), 0.5, 0.008,
                     inside=box(x - 0.024, top - 0.033, x + 0.024, top + 0.028))  # fmt: skip


def paint_object(image: np.ndarray, kind: str, colour: Colour, x: float, y: float, radius: float, phase: float) -> None:
    """A ball, bird, car, plane or balloon around pixel (x, y), heading right where `phase` grows; in place.

    `radius` in pixels, its sign the heading (negative: left). `phase` in turns rolls wheels, beats wings.
    """
    _OBJECTS[kind](_Facing(image, radius, (x, y)), colour, 2 * np.pi * phase)


class _Facing(Pen):
    """A pen whose x axis points the way of travel."""

    def _pixels(self, points) -> np.ndarray:
        size = abs(self.scale) * np.array((np.sign(self.scale), 1.0))
        return np.rint((self.origin + size * np.asarray(points)) * 16).astype(np.int32)


def _ball(pen: Pen, colour: Colour, turn: float) -> None:
    disc = oval(0, 0, 1, 1, 48)
    pen.fill(disc, colour)
    for k in range(3):
        a = turn + k * 2 * np.pi / 3
        wedge = [(0, 0), *((np.cos(b), np.sin(b)) for b in np.linspace(a, a + np.pi / 3, 8))]
        pen.fill(wedge, (246, 244, 238))
    pen.fill(oval(-0.35, -0.4, 0.2, 0.16), (255, 255, 255))


def _bird(pen: Pen, colour: Colour, turn: float) -> None:
    beat = np.sin(turn)
    pen.fill([(-0.7, 0.0), (-1.25, -0.25), (-1.2, 0.2)], shade(colour, 0.7))
    pen.fill(oval(0, 0, 0.85, 0.42), colour)
    pen.fill(oval(0.72, -0.25, 0.33, 0.30), colour)
    pen.fill([(0.98, -0.32), (1.35, -0.2), (0.98, -0.12)], (236, 168, 52))
    pen.fill(oval(0.80, -0.32, 0.07, 0.07, 12), (20, 18, 20))
    pen.fill(rounded([(0.25, -0.12), (-0.45, -0.05), (-0.55, -1.1 * beat - 0.1), (-0.1, -1.2 * beat - 0.1)], 2),
             shade(colour, 0.65))  # fmt: skip


def _car(pen: Pen, colour: Colour, turn: float) -> None:
    pen.fill(rounded([(-0.65, -0.1), (-0.45, -0.62), (0.35, -0.62), (0.72, -0.1)], 1), shade(colour, 0.85))
    pen.fill([(-0.5, -0.12), (-0.36, -0.50), (-0.05, -0.50), (-0.05, -0.12)], (196, 222, 236))
    pen.fill([(0.04, -0.12), (0.04, -0.50), (0.30, -0.50), (0.52, -0.12)], (196, 222, 236))
    pen.fill(rounded(np.repeat(box(-1.15, -0.15, 1.15, 0.38), 2, axis=0), 2), colour)
    pen.fill(oval(1.08, 0.03, 0.08, 0.09, 12), (255, 238, 160))
    for wheel in (-0.62, 0.62):
        pen.fill(oval(wheel, 0.40, 0.27, 0.27, 24), (32, 32, 36))
        pen.fill(oval(wheel, 0.40, 0.13, 0.13, 16), (190, 190, 196))
        dx, dy = 0.12 * np.cos(turn), 0.12 * np.sin(turn)
        pen.line([(wheel - dx, 0.40 - dy), (wheel + dx, 0.40 + dy)], (90, 90, 96), 0.06)


def _plane(pen: Pen, colour: Colour, turn: float) -> None:
    pen.fill([(1.25, 0.0), (-1.0, -0.45), (-0.7, 0.05)], shade(colour, 1.6))
    pen.fill([(1.25, 0.0), (-0.7, 0.05), (-0.75, 0.42)], shade(colour, 0.75))
    pen.fill([(1.25, 0.0), (-0.75, 0.42), (-1.05, 0.15), (-0.7, 0.05)], colour)


def _balloon(pen: Pen, colour: Colour, turn: float) -> None:
    sway = 0.15 * np.sin(turn)
    pen.line([(0, 1.0), (-0.4 * sway, 1.6), (-1.6 * sway, 2.3)], (70, 70, 74), 0.04)
    pen.fill([(-0.12, 1.16), (0.12, 1.16), (0, 0.95)], shade(colour, 0.8))
    pen.fill(rounded([(-0.9, -0.9), (0.9, -0.9), (0.75, 0.5), (0.0, 1.15), (-0.75, 0.5)]), colour)
    pen.fill(oval(-0.3, -0.4, 0.14, 0.2), shade(colour, 1.6))


_OBJECTS = {"ball": _ball, "bird": _bird, "car": _car, "plane": _plane, "balloon": _balloon}


def _slope(pen: Pen, top: Colour, bottom: Colour) -> None:
    """Fills the picture from one colour above to another below."""
    ramp = np.linspace(0, 1, pen.image.shape[0])[:, None, None]
    pen.image[:] = np.rint(np.array(top) * (1 - ramp) + np.array(bottom) * ramp)


def _room(pen: Pen, aspect: float, rng: np.random.Generator) -> None:
    wall = _WALLS[rng.integers(len(_WALLS))]
    _slope(pen, shade(wall, 1.15), shade(wall, 0.8))
    rail = rng.uniform(0.62, 0.72)
    pen.fill(box(0, rail, aspect, 1), shade(wall, 0.72))
    pen.fill(box(0, rail, aspect, rail + 0.018), shade(wall, 1.4))
    for x in np.arange(rng.uniform(0.1, 0.25), aspect - 0.1, 0.5):
        x, wide, tall = x + rng.uniform(-0.06, 0.06), rng.uniform(0.16, 0.3), rng.uniform(0.16, 0.26)
        y = rng.uniform(0.06, 0.16)
        a, b, c = (_PAINTS[k] for k in rng.permutation(len(_PAINTS))[:3])
        pen.glow(box(x + 0.01, y + 0.015, x + wide + 0.01, y + tall + 0.015), (0, 0, 0), 0.35, 0.012)
        pen.fill(box(x, y, x + wide, y + tall), (92, 66, 44))
        picture = box(x + 0.014, y + 0.014, x + wide - 0.014, y + tall - 0.014)
        pen.fill(picture, shade(a, 1.3))
        pen.glow(oval(x + 0.6 * wide, y + 0.35 * tall, 0.25 * tall, 0.25 * tall), b, 0.9, 0.003, inside=picture)
        pen.glow(oval(x + 0.3 * wide, y + 1.05 * tall, 0.7 * wide, 0.5 * tall), c, 0.9, 0.003, inside=picture)
    lamp = rng.choice((0.06, 0.94)) * aspect
    pen.glow(oval(lamp, 0.42, 0.30, 0.34), (255, 232, 180), 0.55, 0.10)
    pen.line([(lamp, 0.4), (lamp, 1.0)], (70, 60, 54), 0.012)
    pen.fill([(lamp - 0.06, 0.30), (lamp + 0.06, 0.30), (lamp + 0.10, 0.46), (lamp - 0.10, 0.46)], (252, 228, 176))
    _plant(pen, aspect - lamp, 0.95, rng)


def _window(pen: Pen, aspect: float, rng: np.random.Generator) -> None:
    wall = _WALLS[rng.integers(len(_WALLS))]
    _slope(pen, shade(wall, 1.05), shade(wall, 0.75))
    left, right = rng.uniform(0.1, 0.2) * aspect, rng.uniform(0.8, 0.9) * aspect
    view = box(left, 0.06, right, 0.74)
    evening = rng.uniform() < 0.4
    pen.fill(view, (236, 178, 132) if evening else (172, 206, 232))
    pen.glow(box(left, 0.35, right, 0.8), (250, 214, 160) if evening else (226, 238, 244), 0.9, 0.08, inside=view)
    sun = left + rng.uniform(0.15, 0.85) * (right - left)
    pen.glow(oval(sun, 0.24, 0.06, 0.06), (255, 246, 214), 0.9, 0.03, inside=view)
    for depth, base in enumerate((0.50, 0.58, 0.66)):
        x = np.linspace(left, right, 60)
        y = base + 0.05 * np.sin(rng.uniform(3, 7) * x + rng.uniform(0, 6)) + 0.02 * np.sin(17 * x + depth)
        hill = ((126, 150, 160), (104, 138, 116), (76, 112, 78))[depth]
        pen.glow(np.concatenate([np.stack([x, y], 1), view[2:]]), hill, 1.0, 0.002, inside=view)
    frame = shade(wall, 1.7)
    pen.line(view, frame, 0.03, closed=True)
    for k in range(1, 3):
        x = left + k * (right - left) / 3
        pen.line([(x, 0.06), (x, 0.74)], frame, 0.016)
    pen.fill(box(left - 0.04, 0.74, right + 0.04, 0.775), shade(frame, 0.9))
    cloth = _PAINTS[rng.integers(5)]
    for side, edge in ((-1, left), (1, right)):
        pen.fill(box(edge - 0.13, 0.0, edge + 0.06, 1.0) - (0.03 * side, 0), shade(cloth, 0.85))
        for fold in np.arange(edge - 0.12, edge + 0.05, 0.045):
            pen.glow(box(fold, 0, fold + 0.014, 1) - (0.03 * side, 0), shade(cloth, 0.55), 0.7, 0.008)


def _shelf(pen: Pen, aspect: float, rng: np.random.Generator) -> None:
    wood = ((112, 80, 56), (84, 64, 52), (150, 122, 92), (206, 200, 190))[rng.integers(4)]
    pen.fill(box(0, 0, aspect, 1), shade(wood, 0.45))
    boards = np.arange(rng.uniform(0.12, 0.22), 1.2, 0.235)
    for board in boards:
        x = 0.0
        while x < aspect:
            wide, tall = rng.uniform(0.018, 0.042), rng.uniform(0.12, 0.19)
            if rng.uniform() < 0.08:
                x += rng.uniform(0.05, 0.16)
                continue
            cover = shade(_PAINTS[rng.integers(len(_PAINTS))], rng.uniform(0.45, 0.8))
            pen.fill(box(x, board - tall, x + wide, board), cover)
            pen.fill(box(x, board - 0.8 * tall, x + wide, board - 0.72 * tall), shade(cover, 1.35))
            pen.fill(box(x + 0.8 * wide, board - tall, x + wide, board), shade(cover, 0.6))
            x += wide
        pen.fill(box(0, board, aspect, board + 0.022), wood)
        pen.glow(box(0, board + 0.022, aspect, board + 0.05), (0, 0, 0), 0.6, 0.012)
    for x in np.arange(rng.uniform(0.1, 0.5), aspect, 0.62):
        pen.fill(box(x, 0, x + 0.024, 1), shade(wood, 0.9))


def _studio(pen: Pen, aspect: float, rng: np.random.Generator) -> None:
    deep = ((26, 34, 66), (54, 28, 58), (22, 52, 60), (60, 40, 30))[rng.integers(4)]
    _slope(pen, shade(deep, 1.2), shade(deep, 0.55))
    glow = shade(deep, 1.62)
    for x in np.arange(rng.uniform(0.0, 0.2), aspect, 0.32):
        pen.glow(box(x, -0.1, x + 0.10, 0.85), glow, 0.45, 0.03)
    pen.glow(oval(aspect / 2, 0.45, 0.45 * aspect, 0.35), glow, 0.5, 0.15)
    for _ in range(int(30 * aspect)):
        colour = shade(_PAINTS[rng.integers(len(_PAINTS))], 1.3)
        x, y, r = rng.uniform(0, aspect), rng.uniform(0, 0.8), rng.uniform(0.008, 0.035)
        pen.glow(oval(x, y, r, r), colour, rng.uniform(0.15, 0.5), 0.004)
    pen.fill(box(0, 0.86, aspect, 1), shade(deep, 0.4))
    pen.glow(box(0, 0.845, aspect, 0.865), glow, 0.9, 0.006)


def _plant(pen: Pen, x: float, y: float, rng: np.random.Generator) -> None:
    green = (74, 112, 76)
    for angle in np.linspace(-1.1, 1.1, 9):
        reach, bend = rng.uniform(0.26, 0.40), np.array([np.sin(angle), -np.cos(angle)])
        side = 0.10 * reach * np.array([bend[1], -bend[0]]) * -1
        root, tip = np.array([x, y - 0.12]), np.array([x, y - 0.12]) + reach * bend
        leaf = rounded([root, 0.5 * (root + tip) + 1.6 * side, tip, 0.5 * (root + tip) - 1.6 * side], 2)
        pen.fill(leaf, shade(green, rng.uniform(0.7, 1.25)))
    pen.fill([(x - 0.07, y - 0.14), (x + 0.07, y - 0.14), (x + 0.05, y + 0.05), (x - 0.05, y + 0.05)], (168, 96, 70))
