"""What sets filmed scenes apart before the camera: how far people sit, how they laugh and gesture, an echoing room.

None of it depends on who speaks.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasal_jax.scenes.pen import Pen, box, oval, rounded, shade
from vasal_jax.scenes.people import Look
from vasal_jax.scenes.turns import REST, SHORTEST, Turn
from vasal_jax.scenes.voices import SAMPLE_RATE

SMALLEST_FACE = 0.04  # of the picture's shorter side
STANDING = 6.5  # face heights from the middle of a face to the ground, at most
TURN_OF_HEADS = 3.0  # of the yaw that heads have in drawn scenes
_LAUGH = (0.5, 1.3)  # seconds
_HAND = (0.6, 1.6)  # seconds that a hand is before a mouth
_RISE = 0.2  # seconds in which it comes and goes


def laughs(moves: list[Turn], faces: int, seconds: float, rng: np.random.Generator) -> list[Turn]:
    """Where somebody laughs: up to two times in a scene, by a face that does not move its mouth otherwise then."""
    found = []
    for start in np.sort(rng.uniform(0.3, max(0.4, seconds - 0.5), rng.integers(3))):
        end, face = min(seconds, start + rng.uniform(*_LAUGH)), int(rng.integers(faces))
        busy = any(move.face == face and move.start < end + REST and start < move.end + REST for move in moves + found)
        if not busy and end - start > 0.5 * SHORTEST:
            found.append(Turn(face, float(start), float(end)))
    return found


def face_sizes(size: float, faces: int, shorter_side: int, rng: np.random.Generator) -> np.ndarray:
    """Heights of the faces (N,), pixels, from `size` of a drawn scene: near or far, and no two alike."""
    far = np.exp(rng.uniform(np.log(0.2), 0.0))
    return np.maximum(SMALLEST_FACE * shorter_side, size * far * rng.uniform(0.7, 1.0, faces))


def echoing(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sound (samples,) in a room: a decaying tail of noise after it, of a reverberation time of 0.15 to 0.7 s."""
    decay, level = rng.uniform(0.15, 0.7), rng.uniform(0.1, 0.5)
    time = np.arange(round(0.8 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay) * (time > 0.004)
    tail *= level / np.sqrt((tail**2).sum())
    size = len(sound) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)]
    return (sound + wet).astype(np.float32)


class Hand(NamedTuple):
    """A hand that is before somebody's mouth for a while."""

    start: float
    """Seconds."""
    end: float
    side: int
    """-1 or 1: from the picture's left or right."""

    @classmethod
    def draw(cls, seconds: float, rng: np.random.Generator) -> "Hand | None":
        """A hand of a scene so long, or none, in two of three cases."""
        there, start, lasts, side = rng.random(4)
        start, lasts = start * seconds, _HAND[0] + (_HAND[1] - _HAND[0]) * lasts
        return cls(start, start + lasts, 1 if side < 0.5 else -1) if there < 1 / 3 else None

    def paint(self, image: np.ndarray, look: Look, place: tuple[float, float], size: float, time: float) -> None:
        """Paints it at a time, before the face of a height at a place (the face's middle, pixels)."""
        up = np.clip(min(time - self.start, self.end - time) / _RISE, 0, 1)
        if up <= 0:
            return
        pen = Pen(image, size, (place[0], place[1] + 1.2 * size * (1 - up)))
        skin = shade(look.skin, 0.95)
        arm = np.array([(0.30, 0.55), (0.55, 0.42), (1.15, 1.75), (0.75, 1.85)]) * (self.side, 1)
        pen.fill(rounded(arm, 2), look.clothes)
        pen.fill(oval(0.16 * self.side, 0.42, 0.26, 0.19), skin)
        for finger in range(4):
            pen.fill(oval(-0.14 * self.side, 0.24 + 0.085 * finger, 0.20, 0.045), shade(skin, 0.97 - 0.03 * finger))
            pen.line(box(-0.30, 0.28 + 0.085 * finger, 0.02, 0.28 + 0.085 * finger)[:2] * (self.side, 1),
                     shade(skin, 0.75), 0.012)  # fmt: skip


def soft_light(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Light from one side, with a colour cast: float32 (height, width, 3) factors around 1."""
    cast = rng.uniform(0.8, 1.2, 3) * rng.uniform(0.6, 1.25)
    corners = rng.uniform(0.75, 1.2, (2, 2)).astype(np.float32)
    slope = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - rng.uniform(0, 0.25) * (x**2 + y**2)
    return ((slope * vignette)[..., None] * cast).astype(np.float32)
