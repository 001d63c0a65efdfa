"""Faces found in single frames, tied together to tracks."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

MAX_GAP = 15  # frames
MIN_IOU = 0.2  # a head can move half its width between two looks
MIN_SCORE = 0.7  # reached once a track; its other faces may be as faint as the detector reports them
MIN_LOOKS = 2  # that found it; detectors rarely err twice at one place
SPEED_MEMORY = 5.0  # frames; boxes jitter, so that shorter ones make a hidden face drift away


class Tracker:
    """Ties the faces of a video's frames together, frame by frame, in memory of the tracks alone.

    Each face found goes on with the track that it overlaps most where that track should be by now, at the speed of
    its last frames; the assignment that maximises the sum of overlaps is taken (Hungarian method). A face without a
    track begins one. A track that misses its face waits for it up to `max_gap` frames, and its boxes in between are
    interpolated. A scene cut ends every track. Tracks found in one look only, or with low scores only, are taken for
    errors of the detector and left out; so a shot with a single look is believed at once.
    """

    def __init__(self, max_gap: int = MAX_GAP):
        self._max_gap = max_gap
        self._frame = -1  # the last one given
        self._looks = 0  # in this shot
        self._alive: list[_Track] = []
        self._over: list[_Track] = []

    def update(self, boxes: ArrayLike | None = None, scores: ArrayLike | None = None, cut: bool = False) -> None:
        """Takes the next frame.

        Boxes are clipped to the picture; those with a number that is not finite, or without area in the picture,
        are left out.

        Args:
          boxes: float (n,4), x1, y1, x2, y2 in 0..1, what the detector found; None where it did not look.
          scores: float (n,) in 0..1, the detector's confidence; None if it is sure.
          cut: this frame is the first of a new shot.
        """
        self._frame += 1
        if cut:
            self._end(self._alive)
            self._looks = 0
        if boxes is None:
            return
        self._looks += 1
        self._end([track for track in self._alive if self._frame - track.frames[-1] > self._max_gap + 1])
        boxes, scores = _usable(boxes, scores)
        expected = np.reshape([track.box_at(self._frame) for track in self._alive], (-1, 4))
        overlaps = intersection_over_union(expected, boxes)
        overlaps[overlaps < MIN_IOU] = 0
        matches = [pair for pair in zip(*linear_sum_assignment(-overlaps), strict=True) if overlaps[pair] > 0]
        for track, face in matches:
            self._alive[track].add(self._frame, boxes[face], scores[face])
        for face in set(range(len(boxes))) - {face for _, face in matches}:
            self._alive.append(_Track([self._frame], [boxes[face]], scores[face]))

    def tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """All tracks up to the last frame given.

        A column is used again when its track is over, so N is little more than the most faces at one time. One
        frame at least is left free in between: a track is an unbroken run of faces in a column, and nothing else is.

        Returns:
          boxes: float32 (F,N,4), x1, y1, x2, y2 in 0..1, zeros where masked.
          mask: bool (F,N).
        """
        tracks = sorted(self._over + self._believed(self._alive), key=lambda track: track.frames[0])
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
            sides = [np.interp(frames, track.frames, side) for side in np.transpose(track.boxes)]
            boxes[frames, column], mask[frames, column] = np.transpose(sides), True
        return boxes, mask

    def _end(self, tracks: list["_Track"]) -> None:
        self._over += self._believed(tracks)
        self._alive = [track for track in self._alive if track not in tracks]

    def _believed(self, tracks: list["_Track"]) -> list["_Track"]:
        needed = min(MIN_LOOKS, self._looks)
        return [track for track in tracks if len(track.frames) >= needed and track.score >= MIN_SCORE]


def intersection_over_union(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Overlap of every box (n,4) with every other (m,4), x1, y1, x2, y2: float64 (n,m) in 0..1."""
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    shared = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    shared = np.clip(shared, 0, None).prod(-1)
    areas = [(some[..., 2:] - some[..., :2]).prod(-1) for some in (boxes, others)]
    return shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(np.float64).tiny)


@dataclasses.dataclass(eq=False)
class _Track:
    frames: list[int]  # in which it was found
    boxes: list[np.ndarray]  # (4,), found there
    score: float  # best
    speed: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))  # of the centre, a frame

    def box_at(self, frame: int) -> np.ndarray:
        return self.boxes[-1] + np.tile(self.speed, 2) * (frame - self.frames[-1])

    def add(self, frame: int, box: np.ndarray, score: float) -> None:
        passed = frame - self.frames[-1]
        moved = (box - self.boxes[-1]).reshape(2, 2).mean(0)
        self.speed += (1 - np.exp(-passed / SPEED_MEMORY)) * (moved / passed - self.speed)
        self.frames.append(frame)
        self.boxes.append(box)
        self.score = max(self.score, score)


def _usable(boxes: ArrayLike, scores: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,4) within the picture and (n,)."""
    boxes = np.reshape(np.asarray(boxes, np.float64), (-1, 4))
    scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, np.float64)
    clipped = np.clip(boxes, 0, 1)
    usable = np.isfinite(boxes).all(1) & np.isfinite(scores) & (clipped[:, 2:] > clipped[:, :2]).all(1)
    return clipped[usable], scores[usable]
