"""Why the map is as it is: faces with their weights on the picture, and the weights over time in a chart below it."""

from collections import deque
from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import cv2
import numpy as np

from vasal_jax.inputs.video import VideoInfo
from vasal_jax.outputs.frame_map import FaceWeights, FrameMap
from vasal_jax.outputs.heatmap import overlay
from vasal_jax.outputs.labels import LabelPen

CHART_SECONDS = 10.0  # that the chart shows, up to now
CHART_HEIGHT = 150  # where the picture is 640 wide
SMALLEST, LARGEST = 640, 1080  # small videos are enlarged by a whole number: to this width, at most to this height

# RGB, told apart on a dark ground and from each other; tracks take them in turn.
COLOURS = (
    (86, 180, 255), (255, 176, 59), (110, 220, 120), (255, 110, 130), (200, 140, 255), (245, 230, 90),
    (80, 225, 215), (255, 140, 215),
)  # fmt: skip
NO_FACE = (160, 164, 172)
GROUND, GRID, INK = (22, 24, 29), (58, 62, 70), (190, 194, 202)
CSV_HEADER = ("frame", "time", "track", "column", "x1", "y1", "x2", "y2", "weight", "talking_probability")

_SHIFT = 4  # bits of a pixel in coordinates of lines


def colour_of(track: int | None) -> tuple[int, int, int]:
    """RGB of a track, the same in picture and chart; of no face for None."""
    return NO_FACE if track is None else COLOURS[track % len(COLOURS)]


def csv_rows(frame: FrameMap) -> Iterator[tuple]:
    """Rows of `CSV_HEADER`, one a face by track and then one for no face, whose track is "none".

    Boxes are in pixels of the video; the weights of a frame's rows sum to 1.
    """
    assert frame.faces is not None  # of a model with a face branch
    faces, (height, width) = frame.faces, frame.image.shape[:2]
    place = frame.index, f"{frame.time:.4f}"
    for track, column, box, weight, talking in zip(
        faces.track, faces.column, faces.boxes, faces.weights, faces.talking, strict=True
    ):
        sides = (f"{side:.1f}" for side in box * (width, height, width, height))
        yield *place, track, column, *sides, f"{weight:.6f}", f"{talking:.6f}"
    yield *place, "none", *[""] * 5, f"{faces.no_face:.6f}", ""


class Explanation:
    """Draws the frames of a video, one after the other.

    Attributes:
      width, height: of what is drawn: the video, enlarged if it is small, and the chart below it.
    """

    def __init__(self, info: VideoInfo):
        enlarged = max(1, min(ceil(SMALLEST / info.width), LARGEST // info.height))
        self.width, self._picture_height = info.width * enlarged, info.height * enlarged
        self._pen = LabelPen(max(1.0, min(self.width / 640, self._picture_height / 300)))
        self.height = self._picture_height + self._pen.pixels(CHART_HEIGHT)
        self._past: deque[_Moment] = deque()
        self._span = min(CHART_SECONDS, max(info.duration or CHART_SECONDS, 1.0))

    def draw(self, frame: FrameMap, grey: np.ndarray) -> np.ndarray:
        """The next frame, which has `faces`, with its grey map (H,W): uint8 (height,width,3) RGB."""
        assert frame.faces is not None
        self._remember(frame.time, frame.faces)
        size = self.width, self._picture_height
        picture = cv2.resize(overlay(frame.image, grey), size, interpolation=cv2.INTER_CUBIC)
        # Large faces first, lest they cover small ones, and no box over what is written.
        faces = np.argsort(-(frame.faces.boxes[:, 2:] - frame.faces.boxes[:, :2]).prod(-1))
        for draw in (self._draw_box, self._draw_weight):
            for face in faces:
                draw(picture, frame.faces, face)
        return np.concatenate([picture, self._chart()])

    def _remember(self, time: float, faces: FaceWeights) -> None:
        weights = dict(zip(faces.track.tolist(), faces.weights.tolist(), strict=True))
        self._past.append(_Moment(time, {None: faces.no_face, **weights}))
        while self._past[0].time < time - self._span:
            self._past.popleft()

    def _corners(self, box: np.ndarray) -> list[int]:
        """x1, y1, x2, y2 in pixels of the picture."""
        right, bottom = self.width - 1, self._picture_height - 1
        return np.rint(box * (right, bottom, right, bottom)).astype(int).tolist()

    def _draw_box(self, picture: np.ndarray, faces: FaceWeights, face: int) -> None:
        x1, y1, x2, y2 = self._corners(faces.boxes[face])
        for thickness, ink in ((3.5, GROUND), (2.0, colour_of(faces.track[face]))):
            cv2.rectangle(picture, (x1, y1), (x2, y2), ink, self._pen.pixels(thickness), cv2.LINE_AA)

    def _draw_weight(self, picture: np.ndarray, faces: FaceWeights, face: int) -> None:
        """The track's number on top of the box, a bar and the weight in percent below it."""
        pen, colour = self._pen, colour_of(faces.track[face])
        x1, y1, x2, y2 = self._corners(faces.boxes[face])
        pen.plate(picture, str(faces.track[face]), (x1, y1), GROUND, colour)
        # A bar as long as the box is wide would mean that all gaze goes there.
        percent = f"{100 * faces.weights[face]:.0f}%"
        tall, wide = pen.pixels(12), max(x2 - x1, pen.pixels(36))
        room = wide + pen.width(percent) + pen.pixels(8)
        left = max(0, min(x1, self.width - room))
        top = min(y2 + pen.pixels(4), self._picture_height - tall)
        cv2.rectangle(picture, (left, top), (left + room, top + tall), GROUND, -1)
        low, high = top + pen.pixels(3), top + tall - pen.pixels(3)
        cv2.rectangle(picture, (left, low), (left + wide, high), GRID, -1)
        end = left + max(1, round(wide * float(faces.weights[face])))
        cv2.rectangle(picture, (left, low), (end, high), colour, -1)
        pen.text(picture, percent, (left + wide + pen.pixels(4), top + tall - pen.pixels(2)), colour)

    def _chart(self) -> np.ndarray:
        pen, now = self._pen, self._past[-1].time
        chart = np.full((self.height - self._picture_height, self.width, 3), GROUND, np.uint8)
        left, right = pen.pixels(42), self.width - pen.pixels(66)
        top, foot = pen.pixels(24), len(chart) - pen.pixels(20)
        begin = max(0.0, now - self._span)

        def place(time: float, weight: float) -> tuple[float, float]:
            return left + (time - begin) / self._span * (right - left), foot - weight * (foot - top)

        pen.text(chart, "weight of each face", (left, top - pen.pixels(9)), INK)
        for share in (0.0, 0.5, 1.0):
            y = round(place(begin, share)[1])
            cv2.line(chart, (left, y), (right, y), GRID, 1)
            pen.text(chart, f"{100 * share:.0f}%", (left - pen.pixels(6), y + pen.pixels(4)), INK, align="right")
        step = 1 if self._span <= 4 else 2
        for second in range(step * ceil(begin / step), int(begin + self._span) + 1, step):
            x = round(place(second, 0)[0])
            cv2.line(chart, (x, foot), (x, foot + pen.pixels(3)), GRID, 1)
            pen.text(chart, f"{second} s", (x, len(chart) - pen.pixels(5)), INK, align="centre")
        lines = self._lines()
        for name, line in lines.items():
            points = np.array(_subpixels([place(*point) for point in line]), np.int32)
            cv2.polylines(chart, [points], False, colour_of(name), pen.pixels(1.5), cv2.LINE_AA, _SHIFT)
        ends = {name: place(*line[-1]) for name, line in lines.items() if line[-1][0] == now}
        self._draw_ends(chart, ends, top, foot)
        return chart

    def _lines(self) -> dict[int | None, list[tuple[float, float]]]:
        """Times and weights of every track, and of no face, over the span of the chart."""
        lines: dict[int | None, list[tuple[float, float]]] = {}
        for moment in self._past:
            for name, weight in moment.weights.items():
                lines.setdefault(name, []).append((moment.time, weight))
        return lines

    def _draw_ends(self, chart: np.ndarray, ends: dict[int | None, tuple[float, float]], top: int, foot: int) -> None:
        """A dot where each line is now and its name beside, names pushed apart where there is room."""
        pen = self._pen
        order = sorted(ends, key=lambda name: ends[name][1])
        heights = _apart([ends[name][1] for name in order], pen.pixels(13), top, foot)
        for name, height in zip(order, heights, strict=True):
            (x, y), colour = ends[name], colour_of(name)
            dot, beside = _subpixels([(x, y), (x + pen.pixels(12), height)])
            cv2.line(chart, dot, beside, colour, 1, cv2.LINE_AA, _SHIFT)
            cv2.circle(chart, dot, pen.pixels(3) << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
            label = "no face" if name is None else str(name)
            pen.text(chart, label, (round(x) + pen.pixels(15), round(height) + pen.pixels(4)), colour)


class _Moment(NamedTuple):
    time: float
    weights: dict[int | None, float]  # by track; None is no face


def _subpixels(points: list[tuple[float, float]]) -> list[tuple[int, int]]:
    return [(round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT))) for x, y in points]


def _apart(heights: list[float], gap: float, top: float, foot: float) -> list[float]:
    """Increasing heights pushed down, and up again at the foot, to lie `gap` apart or as far as there is room."""
    gap = min(gap, (foot - top) / max(len(heights) - 1, 1))
    apart: list[float] = []
    for height in heights:
        apart.append(max(height, apart[-1] + gap if apart else top))
    limit = foot
    for index in reversed(range(len(apart))):
        apart[index] = min(apart[index], limit)
        limit = apart[index] - gap
    return apart
