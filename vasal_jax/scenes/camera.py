"""The camera of filmed scenes: shots of parts of the scene, a hand that shakes, light, blur, noise and compression."""

from typing import NamedTuple

import cv2
import numpy as np

from vasal_jax.scenes.filmed import soft_light
from vasal_jax.scenes.streams import stream

_SHOT = (1.5, 4.5)  # seconds from cut to cut
_LEAST_VISIBLE = 0.5  # of a face's box, else the face counts as out of the picture
_GRAIN_MARGIN = 64  # pixels by which the tile of noise is larger than the picture


class _Shot(NamedTuple):
    """From one cut to the next."""

    light: np.ndarray
    """float32 (H, W, 3), factors on the picture."""
    gamma: float
    blur: float
    """Standard deviation in pixels."""
    grain: float
    """Standard deviation of the noise, in grey levels."""
    quality: int
    """Of the JPEG that each picture goes through, 0 to 100."""


class Camera:
    """What is seen of a scene in each frame, and how well. Shots are chosen without regard to who speaks.

    Args:
      seed: of the scene.
      boxes: float (F, N, 4) of the faces in the scene, pixels.
      fps: frames a second.
      width, height: of scene and picture alike.
    """

    def __init__(self, seed: int, boxes: np.ndarray, fps: float, width: int, height: int):
        self._seed, self._width, self._height = seed, width, height
        rng, frames = stream(seed, "shots"), len(boxes)
        self._shot_of, self._shots = np.zeros(frames, int), []
        self._zoom, self._middle = np.ones(frames), np.empty((frames, 2))
        first = 0
        while first < frames:
            last = min(frames, first + round(rng.uniform(*_SHOT) * fps))
            last = frames if frames - last < 0.7 * fps else last
            self._shot_of[first:last] = len(self._shots)
            self._frame_shot(slice(first, last), boxes, rng)
            self._shots.append(self._draw_shot(rng))
            first = last
        self._shake(fps, stream(seed, "shake"))
        rng = stream(seed, "film grain tile")
        tile = height + _GRAIN_MARGIN, width + _GRAIN_MARGIN, 3
        self._tile = cv2.GaussianBlur(rng.standard_normal(tile, np.float32), (0, 0), 0.6)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (F, N, 4) in the scene to the picture, within it; NaN where under half of a face is in it."""
        low, high = self.points(boxes[..., :2]), self.points(boxes[..., 2:])
        size = np.array((self._width, self._height), float)
        cut_low, cut_high = np.clip(low, 0, size), np.clip(high, 0, size)
        visible = np.prod(cut_high - cut_low, -1) / np.prod(high - low, -1) >= _LEAST_VISIBLE
        found = np.concatenate([cut_low, cut_high], -1)
        return np.where(visible[..., None], found, np.nan).astype(np.float32)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (F, N, 2) in the scene to the picture; they may lie outside."""
        middle = np.array((self._width, self._height)) / 2
        return (points - self._middle[:, None]) * self._zoom[:, None, None] + middle

    def film(self, scene: np.ndarray, index: int) -> np.ndarray:
        """The picture of a frame: the painted scene (H, W, 3) uint8 RGB to the same."""
        zoom, (x, y), shot = self._zoom[index], self._middle[index], self._shots[self._shot_of[index]]
        matrix = np.array([(zoom, 0, self._width / 2 - zoom * x), (0, zoom, self._height / 2 - zoom * y)])
        size = self._width, self._height
        image = cv2.warpAffine(scene, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if shot.blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), shot.blur)
        lit = 255 * np.clip(image / np.float32(255) * shot.light, 0, 1) ** np.float32(shot.gamma)
        top, left = stream(self._seed, "film grain", index).integers(0, _GRAIN_MARGIN, 2)
        lit += shot.grain * self._tile[top : top + self._height, left : left + self._width]
        noisy = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
        coded = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, shot.quality])[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None  # what was coded a line before
        return np.ascontiguousarray(decoded[..., ::-1])

    def _frame_shot(self, frames: slice, boxes: np.ndarray, rng: np.random.Generator) -> None:
        """Where the camera looks in some frames: at all of the scene, or nearer at two faces."""
        low, high = boxes[frames, :, :2].min(0), boxes[frames, :, 2:].max(0)
        pair = rng.permutation(len(low))[:2]
        near, push, wide = rng.uniform(1.15, 1.9), rng.uniform(-0.06, 0.06), rng.random() < 0.4
        span = (high[pair].max(0) - low[pair].min(0)) * 1.15
        fitting = min(near, self._width / span[0], self._height / span[1])
        zoom = 1.06 if wide else max(1.06, fitting)
        middle = (high[pair].max(0) + low[pair].min(0)) / 2
        if wide:
            middle = np.array((self._width, self._height)) / 2
        count = frames.stop - frames.start
        self._zoom[frames] = zoom * (1 + (0 if wide else push) * np.linspace(0, 1, count))
        self._middle[frames] = middle

    def _shake(self, fps: float, rng: np.random.Generator) -> None:
        """Moves the camera as a hand does; it never shows what lies beside the scene."""
        time = np.arange(len(self._zoom))[:, None] / fps
        strength = rng.uniform(0, 0.006) * self._width
        for _ in range(3):
            rate, phase = rng.uniform(0.3, 3.5, 2), rng.uniform(0, 2 * np.pi, 2)
            self._middle += strength / 3 * np.sin(2 * np.pi * rate * time + phase)
        half = np.array((self._width, self._height)) / 2
        self._zoom = np.maximum(self._zoom, 1.0)
        reach = half / self._zoom[:, None]
        self._middle = np.clip(self._middle, reach, 2 * half - reach)

    def _draw_shot(self, rng: np.random.Generator) -> _Shot:
        light = soft_light(self._height, self._width, rng)
        return _Shot(light, rng.uniform(0.75, 1.35), rng.uniform(0, 1.4), rng.uniform(1, 9), int(rng.integers(25, 85)))
