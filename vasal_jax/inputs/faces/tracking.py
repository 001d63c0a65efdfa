"""Faces found in single frames, tied together to tracks while the frames go by."""

import dataclasses
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MAX_GAP = 15  # frames
MIN_IOU = 0.2  # a head can move half its width between two looks
SURE = 0.7  # score reached once a track; its other faces may be as faint as the detector reports them
MIN_LOOKS = 2  # that found it; detectors rarely err twice at one place
SPEED_MEMORY = 5.0  # frames; boxes jitter, so that shorter ones make a hidden face drift away


class TrackedFaces(NamedTuple):
    """The n faces of one frame, each in the column of its track."""

    boxes: np.ndarray  # float32 (n,4), x1, y1, x2, y2 in 0..1
    columns: np.ndarray  # int (n,), increasing

    def largest(self, limit: int) -> "TrackedFaces":
        """All but the `limit` largest left out; of equal faces the first are kept."""
        if len(self.columns) <= limit:
            return self
        areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(-1)
        kept = np.sort((-areas).argsort(kind="stable")[:limit])
        return TrackedFaces(self.boxes[kept], self.columns[kept])


class Tracker:
    """Ties the faces of a video's frames together, frame by frame, in memory that does not grow with the video.

    Each face found goes on with the track that it overlaps most where that track should be by now, at the speed of
    its last frames, from where it was last found or last found for sure; the assignment that maximises the sum of
    overlaps is taken (Hungarian method). A face without a track begins one. A track that misses its face waits for it
    up to `max_gap` frames, and its boxes in between are interpolated. So are those of looks that were not sure of the
    face (a score below `SURE`, as when it turns away or something covers it) between two that were, at most `max_gap`
    frames apart: a faint face often is only a part of one. A scene cut ends every track.

    What a frame shows is settled `max_gap` frames later, or at the end of its shot. Tracks that until then are found in
    one look only, or with scores below `SURE` only, are taken for errors of the detector and left out; so a shot with
    a single look is believed at once.

    A column is used again when its track is over. One frame at least is left free in between: a track is an unbroken
    run of faces in a column, and nothing else is.
    """

    def __init__(self, max_gap: int = MAX_GAP):
        self._max_gap = max_gap
        self._frame = -1  # the last one given
        self._settled = -1  # the last one handed out
        self._looks = 0  # in this shot
        self._alive: list[_Track] = []
        self._waiting: list[_Track] = []  # of which some frame is not settled yet, in the order in which they began
        self._last_used: list[int] = []  # frame, of each column

    def update(
        self, boxes: ArrayLike | None = None, scores: ArrayLike | None = None, cut: bool = False
    ) -> list[TrackedFaces]:
        """Takes the next frame.

        Boxes are clipped to the picture; those with a number that is not finite, or without area in the picture,
        are left out.

        Args:
          boxes: float (n,4), x1, y1, x2, y2 in 0..1, what the detector found; None where it did not look.
          scores: float (n,) in 0..1, the detector's confidence; None if it is sure.
          cut: this frame is the first of a new shot.

        Returns:
          The frames that are settled by now and were not before, in order: none, one, or at a cut several.
        """
        before = self.finish() if cut else []
        self._frame += 1
        if boxes is not None:
            self._look(*_usable(boxes, scores))
        return before + self._settle(self._frame - self._max_gap)

    def finish(self) -> list[TrackedFaces]:
        """The frames that are left when the video, or a shot, is over. Another `update` then begins another shot."""
        rest = self._settle(self._frame)
        self._alive, self._waiting, self._looks = [], [], 0
        return rest

    def _look(self, boxes: np.ndarray, scores: np.ndarray) -> None:
        self._looks += 1
        self._alive = [track for track in self._alive if self._frame - track.last_frame <= self._max_gap + 1]
        expected = np.reshape([track.boxes_at(self._frame) for track in self._alive], (-1, 4))
        overlaps = intersection_over_union(expected, boxes).reshape(len(self._alive), 2, len(boxes)).max(1)
        overlaps[overlaps < MIN_IOU] = 0
        matches = _best_pairs(overlaps)
        for track, face in matches:
            self._alive[track].add(self._frame, boxes[face], scores[face])
        for face in sorted(set(range(len(boxes))) - {face for _, face in matches}):
            self._alive.append(_Track(self._max_gap, self._frame, boxes[face], scores[face]))
            self._waiting.append(self._alive[-1])

    def _settle(self, last: int) -> list[TrackedFaces]:
        """Hands out the frames up to `last`."""
        settled = []
        while self._settled < last:
            self._settled += 1
            settled.append(self._faces_of(self._settled))
        self._waiting = [track for track in self._waiting if track in self._alive or track.last_frame > self._settled]
        for track in self._waiting:
            track.forget(self._settled - self._max_gap - 1)
        return settled

    def _faces_of(self, frame: int) -> TrackedFaces:
        needed = min(MIN_LOOKS, self._looks)
        faces: list[tuple[int, np.ndarray]] = []
        for track in self._waiting:
            if track.looks < needed or track.score < SURE or (box := track.settled_box(frame)) is None:
                continue
            if track.column is None:
                track.column = self._free_column(frame)
            self._last_used[track.column] = frame
            faces.append((track.column, box))
        faces.sort(key=lambda face: face[0])
        boxes = np.array([box for _, box in faces], np.float32).reshape(-1, 4)
        return TrackedFaces(boxes, np.array([column for column, _ in faces], int))

    def _free_column(self, frame: int) -> int:
        columns = enumerate(self._last_used)
        column = next((column for column, last in columns if last < frame - 1), len(self._last_used))
        self._last_used[column : column + 1] = [frame]
        return column


def stacked(frames: Iterable[TrackedFaces]) -> tuple[np.ndarray, np.ndarray]:
    """The faces of F frames as boxes float32 (F,N,4), zeros where masked, and mask bool (F,N); N columns."""
    frames = list(frames)
    width = max((int(faces.columns[-1]) + 1 for faces in frames if len(faces.columns)), default=0)
    boxes, mask = np.zeros((len(frames), width, 4), np.float32), np.zeros((len(frames), width), bool)
    for index, faces in enumerate(frames):
        boxes[index, faces.columns], mask[index, faces.columns] = faces.boxes, True
    return boxes, mask


def _best_pairs(overlaps: np.ndarray) -> list[tuple[int, int]]:
    """The pairs (row, column) of the largest sum of overlaps, float (n,m) from 0 on, with no row or column twice."""
    possible = overlaps > 0
    if max(possible.sum(axis).max(initial=0) for axis in (0, 1)) <= 1:
        return list(zip(*possible.nonzero(), strict=True))
    # Loading it takes 0.2 s and 34 MB, and in most videos no face is near two tracks.
    from scipy.optimize import linear_sum_assignment

    return [pair for pair in zip(*linear_sum_assignment(-overlaps), strict=True) if possible[pair]]


def intersection_over_union(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Overlap of every box (n,4) with every other (m,4), x1, y1, x2, y2: float64 (n,m) in 0..1."""
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    shared = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    shared = np.clip(shared, 0, None).prod(-1)
    areas = [(some[..., 2:] - some[..., :2]).prod(-1) for some in (boxes, others)]
    return shared / np.maximum(areas[0] + areas[1] - shared, np.finfo(np.float64).tiny)


@dataclasses.dataclass(frozen=True, eq=False)
class _Find:
    frame: int
    box: np.ndarray  # (4,)
    sure: bool


class _Track:
    """One face: where it was found in the last frames, and how it moves."""

    def __init__(self, max_gap: int, frame: int, box: np.ndarray, score: float):
        self._max_gap = max_gap
        self.looks, self.score = 0, 0.0  # that found it; the best
        self.column: int | None = None  # from its first settled frame on
        self._speed = np.zeros(2)  # of the centre, a frame
        self._finds: deque[_Find] = deque()
        self._sure: _Find  # the last one that was; the last of all where none was within the longest gap
        self.add(frame, box, score)

    @property
    def last_frame(self) -> int:
        return self._finds[-1].frame

    def boxes_at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the face should be in a later frame, from where it was last found, and last found for sure."""
        motion = np.tile(self._speed, 2)
        found, sure = self._finds[-1], self._sure
        return found.box + motion * (frame - found.frame), sure.box + motion * (frame - sure.frame)

    def add(self, frame: int, box: np.ndarray, score: float) -> None:
        find = _Find(frame, box, score >= SURE)
        if self._finds and (find.sure or not self._sure.sure):
            passed = frame - self._sure.frame
            moved = (box - self._sure.box).reshape(2, 2).mean(0)
            self._speed += (1 - np.exp(-passed / SPEED_MEMORY)) * (moved / passed - self._speed)
        if not self._finds or find.sure or not self._sure.sure or frame - self._sure.frame > self._max_gap + 1:
            self._sure = find
        self._finds.append(find)
        self.looks, self.score = self.looks + 1, max(self.score, score)

    def settled_box(self, frame: int) -> np.ndarray | None:
        """The box in a frame all of whose neighbours up to the longest gap away are known; None if it has none."""
        before = [find for find in self._finds if find.frame <= frame]
        after = [find for find in self._finds if find.frame >= frame]
        if not before or not after:
            return None
        first, second = before[-1], after[0]
        sure_before = next((find for find in reversed(before) if find.sure), None)
        sure_after = next((find for find in after if find.sure), None)
        if sure_before and sure_after and sure_after.frame - sure_before.frame <= self._max_gap + 1:
            first, second = sure_before, sure_after
        passed = second.frame - first.frame
        return first.box + (second.box - first.box) * ((frame - first.frame) / passed if passed else 0.0)

    def forget(self, frame: int) -> None:
        """Forgets what was found before this frame."""
        while len(self._finds) > 1 and self._finds[0].frame < frame:
            self._finds.popleft()


def _usable(boxes: ArrayLike, scores: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,4) within the picture and (n,)."""
    boxes = np.reshape(np.asarray(boxes, np.float64), (-1, 4))
    scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, np.float64)
    clipped = np.clip(boxes, 0, 1)
    usable = np.isfinite(boxes).all(1) & np.isfinite(scores) & (clipped[:, 2:] > clipped[:, :2]).all(1)
    return clipped[usable], scores[usable]
