"""A face tracker that sees the whole video first: the reference for `Tracker`, which decides while frames come in."""

import dataclasses
from itertools import count, pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from vasal_jax.inputs.faces import tracking
from vasal_jax.inputs.faces.tracking import (
    MAX_GAP,
    MIN_IOU,
    MIN_LOOKS,
    SURE,
    intersection_over_union,
)


class WholeVideoTracker:
    """Takes the same calls as `Tracker` but makes its tracks only when the last frame is known."""

    def __init__(self, max_gap: int = MAX_GAP):
        self._max_gap = max_gap
        self._frame = -1  # index of the last frame given
        self._looks = 0  # frames of this shot in which faces were looked for
        self._alive: list[_Track] = []
        self._over: list[_Track] = []
        self._births = count()

    def update(self, boxes=None, scores=None, cut: bool = False) -> None:
        self._frame += 1
        if cut:
            self._end(self._alive)
            self._looks = 0
        if boxes is None:
            return
        self._looks += 1
        self._end([track for track in self._alive if self._frame - track.frames[-1] > self._max_gap + 1])
        boxes, scores = np.reshape(boxes, (-1, 4)), np.ones(len(boxes)) if scores is None else np.asarray(scores)
        expected = np.reshape([track.moving.boxes_at(self._frame) for track in self._alive], (-1, 4))
        overlaps = intersection_over_union(expected, boxes).reshape(len(self._alive), 2, len(boxes)).max(1)
        overlaps[overlaps < MIN_IOU] = 0
        matches = [pair for pair in zip(*linear_sum_assignment(-overlaps), strict=True) if overlaps[pair] > 0]
        for track, face in matches:
            self._alive[track].add(self._frame, boxes[face], scores[face])
        for face in sorted(set(range(len(boxes))) - {face for _, face in matches}):
            moving = tracking._Track(self._max_gap, self._frame, boxes[face], scores[face])
            self._alive.append(_Track(next(self._births), moving, [self._frame], [boxes[face]], [scores[face]]))

    def tracks(self) -> tuple[np.ndarray, np.ndarray]:
        tracks = sorted(self._over + self._believed(self._alive), key=lambda track: track.birth)
        ends: list[int] = []  # last frame taken, of each column
        columns = []
        for track in tracks:
            column = next((i for i, end in enumerate(ends) if end + 1 < track.frames[0]), len(ends))
            ends[column : column + 1] = [track.frames[-1]]
            columns.append(column)
        boxes = np.zeros((self._frame + 1, len(ends), 4), np.float32)
        mask = np.zeros(boxes.shape[:2], bool)
        for track, column in zip(tracks, columns, strict=True):
            frames = np.arange(track.frames[0], track.frames[-1] + 1)
            sides = [np.interp(frames, *zip(*track.kept(side, self._max_gap), strict=True)) for side in range(4)]
            boxes[frames, column], mask[frames, column] = np.transpose(sides), True
        return boxes, mask

    def _end(self, tracks: list["_Track"]) -> None:
        self._over += self._believed(tracks)
        self._alive = [track for track in self._alive if track not in tracks]

    def _believed(self, tracks: list["_Track"]) -> list["_Track"]:
        needed = min(MIN_LOOKS, self._looks)
        return [track for track in tracks if len(track.frames) >= needed and max(track.scores) >= SURE]


@dataclasses.dataclass(eq=False)
class _Track:
    birth: int
    moving: tracking._Track  # predicts where the face is in the next frame
    frames: list[int]  # in which it was found
    boxes: list[np.ndarray]  # (4,), found there
    scores: list[float]

    def add(self, frame: int, box: np.ndarray, score: float) -> None:
        self.moving.add(frame, box, score)
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)

    def kept(self, side: int, max_gap: int) -> list[tuple[int, float]]:
        """Frames and one side of the boxes, without low scores that lie between two high ones."""
        sure = [frame for frame, score in zip(self.frames, self.scores, strict=True) if score >= SURE]
        spanned = [pair for pair in pairwise(sure) if pair[1] - pair[0] <= max_gap + 1]
        return [
            (frame, box[side])
            for frame, box in zip(self.frames, self.boxes, strict=True)
            if not any(first < frame < second for first, second in spanned)
        ]
