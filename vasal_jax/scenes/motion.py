"""How heads move, and what passes by."""

import numpy as np

from vasal_jax.scenes.backdrops import paint_object
from vasal_jax.scenes.people import Pose

OBJECT_COLOURS = ((214, 66, 58), (52, 120, 200), (240, 176, 46), (60, 156, 104), (150, 82, 168))


class Motion:
    """How one head moves over the clip."""

    def __init__(self, rng, n_frames: int, fps: float, place, size: float, openings, spreads, turning: float):
        time = np.arange(n_frames) / fps

        def wander(slow, quick):
            speeds, offsets, shares = rng.uniform(slow, quick, 3), rng.uniform(0, 2 * np.pi, 3), rng.dirichlet([2] * 3)
            return (np.sin(2 * np.pi * speeds * time[:, None] + offsets) * shares).sum(axis=1)

        self.tilt = 0.09 * wander(0.1, 0.4)
        self.yaw = turning * np.clip(1.6 * wander(0.05, 0.3), -1, 1)
        # Every moving mouth nods along, heard or not: a nod says nothing about who speaks.
        nod = np.convolve(openings, np.hanning(9) / np.hanning(9).sum(), "same")[:n_frames]
        drift = np.stack([0.06 * wander(0.05, 0.25), 0.03 * wander(0.1, 0.5) + 0.035 * nod], axis=1)
        swing = 0.55 * np.stack([np.sin(self.tilt), 1 - np.cos(self.tilt)], axis=1)
        self._axis = place + size * drift
        self.centres = self._axis + size * swing
        self.brows = np.clip(0.3 + 0.5 * wander(0.1, 0.6) + 0.4 * nod, 0, 1)
        self.openings, self.spreads = openings, spreads
        self.lids, blink = np.full(n_frames, 0.08), rng.uniform(0.3, 3.0)
        while blink < time[-1]:
            self.lids = np.maximum(self.lids, 1.3 * np.exp(-(((time - blink) / 0.07) ** 2)))
            blink += rng.uniform(1.8, 4.5)
        self.lids = np.minimum(self.lids, 1.0)
        self.gaze = np.zeros((n_frames, 2))
        glance = 0.0
        while glance < time[-1]:
            self.gaze[round(glance * fps) :] = rng.uniform(-1, 1, 2)
            glance += rng.uniform(0.6, 2.2)

    def at(self, index: int) -> Pose:
        (x, y), (left, down) = self._axis[index], self.gaze[index]
        return Pose(
            x, y, self.tilt[index], self.yaw[index], float(self.openings[index]), float(self.spreads[index]),
            self.lids[index], (left, down), self.brows[index],
        )  # fmt: skip


class Passing:
    """What passes by, and where: above or below the faces, from one side of the picture to the other."""

    def __init__(self, rng, n_frames: int, fps: float, width: int, height: int, boxes, desk):
        seconds = n_frames / fps
        lasts = min(rng.uniform(2.0, 3.5), 0.8 * seconds)
        begins, low_lane = rng.uniform(0.1, 0.9) * (seconds - lasts), rng.uniform() < 0.5
        self.radius = float(rng.uniform(0.042, 0.06) * min(width, height))
        self.heading = 1 if rng.uniform() < 0.5 else -1
        self.colour = OBJECT_COLOURS[rng.integers(len(OBJECT_COLOURS))]
        above = boxes[:, :, 1].min() - 0.2 * (boxes[0, 0, 3] - boxes[0, 0, 1])
        if low_lane or above < 2.6 * self.radius:
            self.kind = ("ball", "car")[rng.integers(2)]
            lane = (desk or 0.99 * height) - (0.55 if self.kind == "car" else 2.1) * self.radius
        else:
            self.kind = ("bird", "plane", "balloon")[rng.integers(3)]
            lane = above / 2
        t = np.clip((np.arange(n_frames) / fps - begins) / lasts, -1.0, 2.0)
        span = width + 4 * self.radius
        x = width / 2 + self.heading * (t - 0.5) * span
        bob = {"ball": -2.2 * np.abs(np.sin(3 * np.pi * t)) + 1.2, "car": 0.0 * t}
        y = lane + self.radius * bob.get(self.kind, 0.5 * np.sin(4 * np.pi * t))
        self.path = np.stack([x, y], axis=1)
        self.visible = (t > 0) & (t < 1)
        turns = {"bird": 3.0 * lasts, "balloon": 0.7 * lasts}.get(self.kind, span / (2 * np.pi * self.radius))
        self.phase = turns * t

    def paint(self, image: np.ndarray, index: int) -> None:
        if self.visible[index]:
            size, (x, y) = self.heading * self.radius, self.path[index]
            paint_object(image, self.kind, self.colour, x, y, size, self.phase[index])
