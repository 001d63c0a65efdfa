"""Painted people: how one looks, the body behind the scene's moving head, and the head with its living features.

Lengths are in face heights, forehead to chin; a head's origin is the middle of its face, y runs down.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vasal_jax.scenes import hair
from vasal_jax.scenes.pen import Colour, Pen, box, oval, rounded, shade

FACE_WIDTH = 0.78  # of the face's height
_SKINS = (
    (255, 222, 196),
    (246, 203, 168),
    (232, 184, 144),
    (214, 160, 118),
    (186, 128, 88),
    (150, 98, 66),
    (112, 72, 50),
    (88, 56, 42),
)
_HAIRS = (
    (36, 28, 26),
    (62, 42, 30),
    (98, 62, 38),
    (142, 94, 52),
    (206, 164, 98),
    (166, 72, 40),
    (150, 148, 146),
    (226, 222, 214),
)
CLOTHES = (
    (52, 84, 138),
    (150, 54, 58),
    (62, 112, 88),
    (218, 206, 184),
    (58, 58, 72),
    (196, 142, 62),
    (116, 82, 134),
    (84, 146, 166),
    (230, 232, 236),
)
_EYES = ((92, 62, 40), (64, 44, 32), (84, 122, 150), (90, 128, 88), (110, 112, 116))
_LEFT, _TOP, _RIGHT, _BOTTOM = -0.80, -0.86, 0.80, 0.98  # what a head's picture covers


@dataclass(frozen=True)
class Look:
    """What a person looks like."""

    skin: Colour
    hair: Colour
    style: str
    eyes: Colour
    lips: Colour
    clothes: Colour
    collar: str
    jaw: float  # 0 narrow chin .. 1 broad
    beard: str  # none, stubble, full, moustache
    glasses: str  # none, round, square
    earrings: bool

    @classmethod
    def make(cls, rng: np.random.Generator, register: float, clothes: Colour) -> "Look":
        """Samples a look; `register` 0..1 is the voice's, for low voices tend to come with beards and short hair."""
        high = rng.uniform() < np.clip(1.6 * register - 0.3, 0, 1)
        skin = _SKINS[rng.integers(len(_SKINS))]
        dark = sum(skin) < 420
        hair_colour = _HAIRS[rng.integers(3 if dark else len(_HAIRS))]
        red = rng.uniform(0.15, 0.5) if high else 0.12
        a, b, c = (int(s * (1 - red) + r * red) for s, r in zip(shade(skin, 0.86), (196, 40, 60), strict=True))
        beard = "none" if high else str(rng.choice(("none", "none", "stubble", "full", "moustache")))
        return cls(
            skin=skin,
            hair=hair_colour,
            style=str(rng.choice(hair.LONG if high else hair.SHORT)),
            eyes=_EYES[rng.integers(2 if dark else len(_EYES))],
            lips=(a, b, c),
            clothes=clothes,
            collar=str(rng.choice(("crew", "v", "shirt", "tie") if not high else ("crew", "v", "shirt"))),
            jaw=float(rng.uniform(0.0, 0.4) if high else rng.uniform(0.4, 1.0)),
            beard=beard,
            glasses=str(rng.choice(("none", "none", "none", "round", "square"))),
            earrings=bool(high and rng.uniform() < 0.5),
        )


@dataclass(frozen=True)
class Pose:
    """A head at one moment."""

    x: float  # pixels, of the face's middle
    y: float
    tilt: float  # radians, clockwise as seen
    yaw: float  # to the picture's left (below 0) or right; -1..1 in drawn scenes, -3..3 in filmed ones
    opening: float  # of the mouth, 0..1
    spread: float  # of the lips, 0..1
    lids: float  # 0 open .. 1 shut
    gaze: tuple[float, float]  # of the pupils, -1..1 each
    brows: float  # how far raised, 0..1


def paint_body(image: np.ndarray, look: Look, x: float, y: float, height: float) -> None:
    """Neck and clothes of a person whose face's middle rests at (x, y), into `image` (H,W,3) down to its foot."""
    pen = Pen(image, height, (x, y))
    foot = max(2.0, (image.shape[0] - y) / height + 1.0)
    cloth, skin = look.clothes, look.skin
    torso = [(-0.30, 0.66), (-0.62, 0.80), (-0.92, 0.94), (-1.02, 1.35), (-1.06, foot), (1.06, foot)]
    torso += [(1.02, 1.35), (0.92, 0.94), (0.62, 0.80), (0.30, 0.66)]
    torso = rounded(torso)
    pen.glow(torso + 0.05, (0, 0, 0), 0.35, 0.08)
    pen.fill(torso, cloth)
    pen.glow(box(0.35, 0.6, 1.2, foot), shade(cloth, 0.62), 0.7, 0.25, inside=torso)
    pen.glow(oval(-0.62, 1.05, 0.25, 0.22), shade(cloth, 1.5), 0.45, 0.12, inside=torso)
    for side in (-1, 1):
        pen.glow([(side * 0.66, 1.35), (side * 0.72, 1.35), (side * 0.74, foot), (side * 0.66, foot)],
                 shade(cloth, 0.6), 0.6, 0.03, inside=torso)  # fmt: skip
    neckline = {"crew": 0.80, "v": 1.12, "shirt": 0.98, "tie": 0.92}[look.collar]
    neck = [(-0.21, 0.2), (0.21, 0.2), (0.22, 0.62), (0.31, 0.72), (0.0, neckline), (-0.31, 0.72), (-0.22, 0.62)]
    neck = rounded(neck, 2)
    pen.fill(neck, shade(skin, 0.92))
    pen.glow(oval(0.03, 0.46, 0.30, 0.16), shade(skin, 0.45), 0.75, 0.06, inside=neck)
    if look.collar in ("shirt", "tie"):
        white = shade(cloth, 1.75) if sum(cloth) < 560 else shade(cloth, 0.85)
        if look.collar == "tie":
            pen.fill([(-0.2, 0.84), (0.2, 0.84), (0.0, 1.7)], white)
            pen.fill([(-0.06, 0.90), (0.06, 0.90), (0.09, 1.5), (0, 1.62), (-0.09, 1.5)], shade(look.lips, 0.6))
        for side in (-1, 1):
            pen.fill([(side * 0.27, 0.62), (side * 0.36, 0.78), (side * 0.17, 1.04), (side * 0.01, 0.88)], white)
            pen.line([(side * 0.36, 0.78), (side * 0.17, 1.04)], shade(white, 0.7), 0.015)
    else:
        edge = neck[neck[:, 1] > 0.69]
        pen.line(edge[np.argsort(edge[:, 0])], shade(cloth, 0.7), 0.03)


class Head:
    """A head `height` pixels from forehead to chin. What never changes is painted once, the rest on every call."""

    def __init__(self, look: Look, height: float):
        self.look, self.height = look, height
        self._scale = 1.3 * height  # finer than shown, so that turning it does not blur it
        still = _still_head(look, 2 * self._scale)
        size = (round((_RIGHT - _LEFT) * self._scale), round((_BOTTOM - _TOP) * self._scale))
        self._still = cv2.resize(still, size, interpolation=cv2.INTER_AREA)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        """Into `image` (H,W,3) uint8 RGB, in place; parts outside it are cut off."""
        picture = self._still.copy()
        self._features(Pen(picture, self._scale, (-_LEFT * self._scale, -_TOP * self._scale)), pose)
        ratio = self.height / self._scale
        cos, sin = ratio * np.cos(pose.tilt), ratio * np.sin(pose.tilt)
        pivot = np.array((-_LEFT, 0.55 - _TOP)) * self._scale  # heads tip about the neck
        matrix = np.array([(cos, -sin, 0.0), (sin, cos, 0.0)])
        matrix[:, 2] = np.array((pose.x, pose.y + 0.55 * self.height)) - matrix[:, :2] @ pivot
        corners = box(0, 0, picture.shape[1], picture.shape[0]) @ matrix[:, :2].T + matrix[:, 2]
        low = np.maximum(0, np.floor(corners.min(axis=0))).astype(int)
        high = np.minimum(image.shape[1::-1], np.ceil(corners.max(axis=0))).astype(int)
        if (high <= low).any():
            return
        matrix[:, 2] -= low
        turned = cv2.warpAffine(picture, matrix, tuple(int(v) for v in high - low), flags=cv2.INTER_LINEAR)
        area = image[low[1] : high[1], low[0] : high[0]]
        behind = cv2.multiply(area, cv2.cvtColor(255 - turned[:, :, 3], cv2.COLOR_GRAY2RGB), scale=1 / 255)
        cv2.add(behind, turned[:, :, :3], dst=area)

    def _features(self, pen: Pen, pose: Pose) -> None:
        look, skin = self.look, self.look.skin
        turn = 0.045 * pose.yaw
        for side in (-1, 1):
            _eye(pen, look, side * 0.168 + turn, -0.03, pose)
            arch = np.array([(-0.105, 0.012), (-0.04, -0.022), (0.04, -0.026), (0.11, 0.008)]) * (side, 1)
            pen.line(np.add(arch, (side * 0.17 + turn, -0.145 - 0.03 * pose.brows)), shade(look.hair, 0.8), 0.034)
        nose = np.array([(0.012, -0.02), (0.05, 0.10), (0.052, 0.13), (0.0, 0.15), (-0.045, 0.135)])
        pen.line(np.add(nose, (1.4 * turn, 0)), shade(skin, 0.74), 0.02)
        pen.fill(oval(1.4 * turn - 0.012, 0.105, 0.026, 0.022), shade(skin, 1.25))
        if look.glasses != "none":
            for side in (-1, 1):
                lens = oval(side * 0.175 + turn, -0.02, 0.135, 0.115)
                if look.glasses == "square":
                    lens = rounded(np.repeat(box(-0.13, -0.10, 0.13, 0.10), 2, axis=0), 2)
                    lens += (side * 0.175 + turn, -0.02)
                pen.line(lens, (38, 34, 38), 0.022, closed=True)
                pen.line([(side * 0.30 + turn, -0.04), (side * 0.39, -0.05)], (38, 34, 38), 0.022)
            pen.line([(-0.05 + turn, -0.04), (0.05 + turn, -0.04)], (38, 34, 38), 0.022)
        _mouth(pen, look, 1.1 * turn, 0.275, pose.opening, pose.spread)


def _eye(pen: Pen, look: Look, x: float, y: float, pose: Pose) -> None:
    gap = 0.052 * (1 - pose.lids)
    if gap > 0.008:
        white = np.concatenate([oval(x, y, 0.088, gap, 24)[12:], oval(x, y, 0.088, 0.85 * gap, 24)[:12]])
        pen.fill(white, (248, 246, 242))
        iris = oval(x + 0.03 * pose.gaze[0], y + 0.012 * pose.gaze[1], 0.046, min(0.046, gap), 20)
        pen.fill(iris, look.eyes)
        pen.fill(oval(x + 0.03 * pose.gaze[0], y + 0.012 * pose.gaze[1], 0.024, min(0.024, gap), 14), (16, 12, 12))
        pen.fill(oval(x + 0.03 * pose.gaze[0] - 0.015, y - 0.3 * gap, 0.011, 0.011, 8), (255, 255, 255))
    lid = np.array([(-0.094, 0.006), (-0.05, -0.8 * gap), (0, -gap), (0.05, -0.8 * gap), (0.094, 0.006)])
    pen.line(np.add(lid, (x, y)), shade(look.skin, 0.32), 0.022)


def _mouth(pen: Pen, look: Look, x: float, y: float, opening: float, spread: float) -> None:
    half = 0.118 + 0.05 * spread * min(1.0, 3 * opening) + 0.012 * (1 - opening)
    across = np.linspace(-1, 1, 17)
    arc = 1 - across**2
    middle = 0.012 * across**2  # corners of a mouth at rest turn up a little
    upper = y - middle - 0.065 * opening * arc
    lower = y - middle + 0.150 * opening * arc**0.7
    xs = x + half * across
    cupid = 0.034 * arc**0.6 * (1 - 0.3 * np.exp(-((across / 0.15) ** 2)))

    def between(top, bottom):
        return np.stack([np.r_[xs, xs[::-1]], np.r_[top, bottom[::-1]]], axis=1)

    pen.fill(between(upper - cupid, upper + 0.006), shade(look.lips, 0.86))
    pen.fill(between(lower - 0.006, lower + 0.046 * arc**0.6), look.lips)
    if opening > 0.04:
        pen.fill(between(upper, lower), (58, 14, 20))
        gap = lower - upper
        pen.fill(between(upper + 0.72 * gap, lower), (176, 70, 76))
        pen.fill(between(upper, upper + np.minimum(0.034, 0.45 * gap) * (arc > 0.25)), (244, 240, 232))
    else:
        pen.line(np.stack([xs, 0.5 * (upper + lower)], axis=1), shade(look.lips, 0.5), 0.014)


def _outline(jaw: float) -> np.ndarray:
    """The face from forehead to chin, (points, 2)."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = np.sin(angle), -np.cos(angle)
    narrowing = 1 - (0.20 - 0.10 * jaw) * np.clip(y, 0, 1) ** 2
    fullness = np.abs(x) ** (1 - 0.22 * (0.4 + jaw) * (y > 0))
    return np.stack([0.5 * FACE_WIDTH * np.sign(x) * fullness * narrowing, 0.5 * y], axis=1)


def _still_head(look: Look, scale: float) -> np.ndarray:
    """Hair, ears and face without eyes, brows, nose and mouth: (H,W,4), premultiplied alpha."""
    size = (round((_BOTTOM - _TOP) * scale), round((_RIGHT - _LEFT) * scale), 4)
    pen = Pen(np.zeros(size, np.uint8), scale, (-_LEFT * scale, -_TOP * scale))
    skin, face = look.skin, _outline(look.jaw)
    hair.paint_behind(pen, look.style, look.hair)
    for side in (-1, 1):
        pen.fill(oval(side * 0.395, 0.01, 0.062, 0.105), shade(skin, 0.9))
        pen.fill(oval(side * 0.40, 0.01, 0.032, 0.065), shade(skin, 0.74))
        if look.earrings:
            pen.fill(oval(side * 0.41, 0.15, 0.026, 0.034), (232, 196, 92))
    pen.fill(face, skin)
    pen.glow(box(0.24, -0.6, 0.6, 0.6), shade(skin, 0.66), 0.6, 0.10, inside=face)
    pen.glow(oval(0.0, 0.56, 0.34, 0.10), shade(skin, 0.66), 0.55, 0.06, inside=face)
    pen.glow(oval(-0.12, -0.22, 0.16, 0.12), shade(skin, 1.4), 0.5, 0.09, inside=face)
    for side in (-1, 1):
        pen.glow(oval(side * 0.23, 0.13, 0.075, 0.055), (226, 96, 84), 0.20, 0.045, inside=face)
        pen.glow(oval(side * 0.168, -0.04, 0.12, 0.075), shade(skin, 0.7), 0.35, 0.04, inside=face)
    if look.beard in ("full", "stubble"):
        cheek = [(-0.42, 0.02), (-0.33, 0.08), (-0.27, 0.20), (-0.15, 0.19), (0, 0.17)]
        beard = rounded([*cheek, *((-x, y) for x, y in cheek[-2::-1]), (0.45, 0.6), (-0.45, 0.6)], 2)
        pen.glow(beard, shade(look.hair, 0.9), 0.92 if look.beard == "full" else 0.35, 0.015, inside=face)
    elif look.beard == "moustache":
        pen.fill(
            rounded([(-0.19, 0.25), (-0.1, 0.185), (0, 0.17), (0.1, 0.185), (0.19, 0.25), (0, 0.225)], 2), look.hair
        )
    hair.paint_before(pen, look.style, look.hair, skin, face)
    return pen.image
