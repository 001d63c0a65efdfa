"""The ground truth of evaluation: fixations, densities, negatives of the shuffled AUC, and the centre prior.

Fixations are scaled to the truth's resolution by their coordinates; a map of them is never resized. Everything drawn
at random depends on a seed and on the video's ID alone, so a video scores the same whatever is evaluated beside it in
a run, in whatever order. (Which other videos there are decides on the pool of the negatives.)
"""

import operator
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

from vasal_jax.inputs.fixations import SIGMA, fixated_pixels, fixation_counts, fixation_density, valid_points
from vasal_jax.inputs.video import Frame
from vasal_jax.metrics.saliency import choose_negatives, resized

UNIFORM_SHARE = 0.01  # of what people are taken to predict, so that no fixation is impossible
GAUSSIAN_PRIOR = 0.25  # standard deviation in heights and widths of the picture, where there is nothing to learn from


ALL, HALF = "all subjects", "half of the subjects"
"""Names of the truths that maps are held against: every fixation, or those of the second of `GroundTruth.halves`."""


class Video(Protocol):
    """What evaluation asks of a dataset's video; `data.records.VideoRecord` has it all."""

    @property
    def id(self) -> str: ...

    @property
    def video(self) -> Path: ...

    @property
    def sound(self) -> Path | None: ...

    @property
    def n_frames(self) -> int: ...

    @property
    def fps(self) -> float: ...

    @property
    def grid(self) -> tuple[int, int]: ...  # height, width in pixels of the grid on which fixations are given

    @property
    def knows_subjects(self) -> bool: ...  # whether a place in `fixations` is one person throughout

    @property
    def subset(self) -> str | None: ...  # a part of the split that is scored apart too

    def frames(self) -> Iterator[Frame]: ...

    def fixations(self) -> np.ndarray: ...  # float32 (F, S, 2) x, y in pixels of `grid`, NaN where there is none

    def tracks(self) -> tuple[np.ndarray, np.ndarray] | None: ...  # boxes (F, N, 4) in 0..1, mask (F, N)

    def talking(self) -> np.ndarray | None: ...  # bool (N, F)

    def talking_known(self) -> np.ndarray | None: ...  # bool (N, F), False where nobody said whether the face talks

    def density_picture(self, frame: int) -> np.ndarray | None: ...  # the dataset's own map (H, W)

    def gaze_density(self, frames: Sequence[int], size: tuple[int, int], sigma: float) -> np.ndarray | None: ...

    # float32 (len(frames), *size), that of all people who could look, where it is known


@dataclass(frozen=True)
class Conventions:
    """The conventions of a table; they stand beside every number."""

    size: tuple[int, int] = (360, 640)  # height, width at which everything is compared: half of MVVA's grid
    sigma: float = SIGMA  # of the fixation density, in pixels of the fixations' grid
    negatives: int = 4096  # M of the shuffled AUC, a video
    seed: int = 0

    def seed_of(self, purpose: str, video: str) -> int:
        """The seed of one draw, 32 bits."""
        return zlib.crc32(f"{self.seed} {purpose} {video}".encode())


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Where people looked in one video.

    Attributes:
      points: float32 (F, S, 2) x, y in pixels of the video's grid, NaN for nowhere.
      has_pictures: the dataset brings densities of its own, which are taken instead of Gaussians around the points.
    """

    video: Video
    points: np.ndarray
    has_pictures: bool = False

    @classmethod
    def of(cls, video: Video) -> "GroundTruth":
        return cls(video, video.fixations(), video.density_picture(0) is not None)

    @property
    def sampled_frames(self) -> list[int]:
        """The first, the middle and the last frame: what tells one set of pictures from another."""
        return sorted({0, self.video.n_frames // 2, self.video.n_frames - 1})

    def pixels(self, conventions: Conventions) -> tuple[np.ndarray, np.ndarray]:
        """The fixations at the truth's resolution: int32 (F, S, 2) x, y and the bool mask (F, S) of the real ones."""
        return fixated_pixels(self.points, conventions.size, self.video.grid)

    def density(self, frames: Sequence[int], conventions: Conventions) -> np.ndarray:
        """Densities of some frames: float32 (T, *size), not negative, zeros where nobody looked anywhere."""
        if self.has_pictures:
            return np.stack([resized_to(self.picture(frame), conventions.size) for frame in frames])
        return fixation_density(self.points[list(frames)], conventions.size, self.video.grid, conventions.sigma)

    def picture(self, frame: int) -> np.ndarray:
        """The dataset's own density of a frame, (H, W), where it `has_pictures`."""
        picture = self.video.density_picture(frame)
        assert picture is not None
        return picture

    def seen_by(self, truth: str, conventions: Conventions) -> "GroundTruth":
        """The truth by its name, `ALL` or `HALF`."""
        return {ALL: lambda: self, HALF: lambda: self.halves(conventions)[1]}[truth]()

    def halves(self, conventions: Conventions) -> tuple["GroundTruth", "GroundTruth"]:
        """Two halves of the subjects who looked at the video at all, drawn by the seed; the second is not smaller."""
        first = self.first_half(conventions)
        return self.of_subjects(first), self.of_subjects(np.setdiff1d(np.arange(self.points.shape[1]), first))

    def first_half(self, conventions: Conventions) -> np.ndarray:
        """The places in `points` of the first half of the subjects, int (K,), in random order."""
        present = np.flatnonzero(valid_points(self.points, self.video.grid).any(0))
        drawn = np.random.default_rng(conventions.seed_of("halves", self.video.id)).permutation(present)
        return drawn[: len(drawn) // 2]

    def of_subjects(self, places: np.ndarray) -> "GroundTruth":
        """The truth of some of the subjects, who keep their places."""
        chosen = np.isin(np.arange(self.points.shape[1]), places)[:, None]
        return GroundTruth(self.video, np.where(chosen, self.points, np.nan))


def resized_to(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map at another size, float32, by `metrics.resized`."""
    return np.asarray(array if array.shape == size else _resized(array, size), np.float32)


_resized = jax.jit(resized, static_argnames="size")


def centre_prior(videos: Sequence[Video], conventions: Conventions) -> np.ndarray:
    """The mean fixation density of (training) videos, each counting the same, with 1% spread over the picture.

    Without any video: a Gaussian at the centre, a quarter of the picture's height and width wide.

    Returns:
      float32 `size`, summing to 1.
    """
    height, width = conventions.size
    if videos:
        prior = reduce(operator.add, (_mean_density(video, conventions) for video in videos))
    else:
        y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in (height, width))
        prior = np.exp(-0.5 * (y[:, None] ** 2 + x**2) / GAUSSIAN_PRIOR**2)
    prior = (1 - UNIFORM_SHARE) * prior / prior.sum() + UNIFORM_SHARE / prior.size
    return prior.astype(np.float32)


def _mean_density(video: Video, conventions: Conventions) -> np.ndarray:
    # Of all fixations at once: blurring is linear, and a video has half a thousand frames.
    counts = fixation_counts(video.fixations().reshape(-1, 2), conventions.size, video.grid)
    scale = np.divide(conventions.size, video.grid)
    density = gaussian_filter(counts.astype(np.float64), conventions.sigma * scale, mode="constant")
    return density / max(density.sum(), 1)


def negatives(truths: Sequence[GroundTruth], conventions: Conventions) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The shuffled AUC's negatives of each video: fixations of the other ones, of all their frames.

    Returns:
      By ID: int32 (M, 2) x, y at the truth's resolution and the bool mask (M,); nothing is masked in where there is
      no other video.
    """
    fixated = {}
    for truth in truths:
        pixels, mask = truth.pixels(conventions)
        fixated[truth.video.id] = pixels[mask]
    chosen = {}
    for video in fixated:
        others = [pixels for other, pixels in fixated.items() if other != video]
        pool = np.concatenate([*others, np.zeros((0, 2), np.int32)])
        chosen[video] = choose_negatives(pool, conventions.negatives, conventions.seed_of("negatives", video))
    return chosen


def derangement(videos: Sequence[Video], conventions: Conventions) -> dict[str, Video]:
    """Another video for each, every one given once: drawn by the seed. Needs two videos."""
    order = np.random.default_rng(conventions.seed_of("derangement", "")).permutation(len(videos))
    # A cycle through all of them leaves none in its place.
    return {videos[i].id: videos[j] for i, j in zip(order, np.roll(order, -1), strict=True)}
