"""What a prediction says about one frame."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class FaceWeights:
    """How a model with a face branch weighs the n faces of one frame; `weights` and `no_face` sum to 1.

    Attributes:
      track: int32 (n,), increasing: the number of each face's track, an unbroken run in a column of the face tracks,
        counted from 0 in the order in which they begin.
      column: int32 (n,), where the face stands in the face tracks.
      boxes: float32 (n,4), x1, y1, x2, y2 in 0..1.
      weights: float32 (n,), the share of gaze that each face draws.
      no_face: the share that none does.
      talking: float32 (n,), probability that the face talks.
    """

    track: np.ndarray
    column: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray
    no_face: float
    talking: np.ndarray


@dataclass(frozen=True)
class FrameMap:
    """One frame and its saliency.

    Attributes:
      index: of the frame in the video, from 0.
      time: seconds since the first frame.
      image: uint8 (H,W,3) RGB, as displayed.
      map: float32 (32,32), a probability over the picture's cells, summing to 1. (The released way: each of its
        columns sums to 1.)
      faces: where the model has a face branch: its weights of the frame's faces.
    """

    index: int
    time: float
    image: np.ndarray
    map: np.ndarray
    faces: FaceWeights | None = None
