"""A video of a dataset in memory, for tests of code that takes an `evaluation.ground_truth.Video`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.inputs.fixations import valid_points
from vasal_jax.inputs.video import Frame, read_frames

TWO_FACES = np.array([[0.1, 0.2, 0.3, 0.6], [0.5, 0.1, 0.8, 0.5]], np.float32)


@dataclass
class RecordedVideo:
    """A video with random fixations (by `seed`) and regular talking flags unless given; without a file it is noise."""

    id: str
    n_frames: int
    video: Path | None = None
    sound: Path | None = None
    seed: int = 0
    fps: float = 25.0
    grid: tuple[int, int] = (72, 128)
    points: np.ndarray | None = None  # (F,S,2); None: six subjects look around one place, nobody looks at frame 1
    boxes: np.ndarray | None = field(default_factory=TWO_FACES.copy)  # (N,4) or (F,N,4), or None
    mask: np.ndarray | None = None  # (F,N); None: all faces are there
    flags: np.ndarray | None = None  # (N,F); None: the first faces talk at every second, third ... frame
    known: np.ndarray | None = None  # (N,F), of which flags are known; None: all
    speakers_known: bool = True
    own_map: np.ndarray | None = None
    knows_subjects: bool = True
    subset: str | None = None
    noise_size: tuple[int, int] = (45, 80)
    law: np.ndarray | None = None  # (F,H,W), the density of all people who could look
    reads: int = 0  # how many times iterating over `frames` began

    def frames(self) -> Iterator[Frame]:
        self.reads += 1
        if self.video is not None:
            yield from (frame for frame in read_frames(self.video) if frame.index < self.n_frames)
            return
        image = np.random.default_rng(self.seed).integers(0, 256, (*self.noise_size, 3), np.uint8)
        yield from (Frame(index, index / self.fps, image) for index in range(self.n_frames))

    def fixations(self) -> np.ndarray:
        if self.points is not None:
            return self.points
        rng, scale = np.random.default_rng(self.seed), np.array(self.grid[::-1]) / (128, 72)
        middle = rng.uniform((20, 10), (100, 60))
        points = ((middle + rng.normal(0, 12, (self.n_frames, 6, 2))) * scale).astype(np.float32)
        points[~valid_points(points, self.grid)] = np.nan
        points[1:2] = np.nan
        return points

    def tracks(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self.boxes is None:
            return None
        boxes = np.broadcast_to(self.boxes, (self.n_frames, *self.boxes.shape[-2:])).astype(np.float32)
        return boxes, np.ones(boxes.shape[:2], bool) if self.mask is None else self.mask

    def talking(self) -> np.ndarray | None:
        if not self.speakers_known or self.boxes is None:
            return None
        periods = np.arange(2, 2 + self.boxes.shape[-2])[:, None]
        return np.arange(self.n_frames) % periods == 0 if self.flags is None else self.flags

    def talking_known(self) -> np.ndarray | None:
        flags = self.talking()
        return None if flags is None else np.ones_like(flags) if self.known is None else self.known

    def density_picture(self, frame: int) -> np.ndarray | None:
        return self.own_map

    def gaze_density(self, frames: Sequence[int], size: tuple[int, int], sigma: float) -> np.ndarray | None:
        if self.law is None:
            return None
        maps = [cv2.resize(self.law[frame], size[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
        return np.stack(maps).astype(np.float32)
