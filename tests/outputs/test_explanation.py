"""What an explanation shows: boxes, bars and lines where they belong, in the colours of their tracks."""

from pathlib import Path

import numpy as np
import pytest

from vasal_jax.inputs.video import VideoInfo
from vasal_jax.outputs.explanation import CHART_SECONDS, COLOURS, CSV_HEADER, NO_FACE, Explanation, colour_of, csv_rows
from vasal_jax.outputs.frame_map import FaceWeights, FrameMap
from vasal_jax.outputs.heatmap import grey_map

WIDTH, HEIGHT, FPS = 640, 360, 25


def info(width: int = WIDTH, height: int = HEIGHT, seconds: float = 4.0) -> VideoInfo:
    return VideoInfo(Path("v.mp4"), width, height, FPS, 0, round(seconds * FPS), seconds, True, False)


def frame_of(index: int, weights, boxes, tracks=None, width: int = WIDTH, height: int = HEIGHT) -> FrameMap:
    """A black frame with a flat map, on which faces have these weights; the rest is for no face."""
    weights, n = np.asarray(weights, np.float32), len(weights)
    tracks = np.arange(n, dtype=np.int32) if tracks is None else np.array(tracks, np.int32)
    boxes = np.reshape(boxes, (n, 4)).astype(np.float32)
    faces = FaceWeights(tracks, tracks % 3, boxes, weights, float(1 - weights.sum()), np.full(n, 0.25, np.float32))
    image = np.zeros((height, width, 3), np.uint8)
    return FrameMap(index, index / FPS, image, np.full((32, 32), 1 / 1024, np.float32), faces)


def draw(explanation: Explanation, frame: FrameMap) -> np.ndarray:
    height, width = frame.image.shape[:2]
    return explanation.draw(frame, grey_map(frame.map, width, height))


def is_colour(pixels: np.ndarray, colour: tuple) -> np.ndarray:
    return (np.abs(pixels.astype(int) - colour) < 12).all(-1)


BOXES = ((0.1, 0.3, 0.3, 0.6), (0.6, 0.2, 0.8, 0.5))


def test_boxes_and_bars_have_the_colour_of_their_track_and_tell_the_weight():
    image = draw(Explanation(info()), frame_of(0, (0.75, 0.15), BOXES, tracks=(2, 5)))
    for (x1, y1, x2, y2), track, weight in zip(BOXES, (2, 5), (0.75, 0.15), strict=True):
        left, right, top, foot = round(x1 * 639), round(x2 * 639), round(y1 * 359), round(y2 * 359)
        ink = is_colour(image[:HEIGHT], COLOURS[track])
        for inside in (ink[(top + foot) // 2, [left, right]], ink[[top, foot], (left + right) // 2]):
            assert inside.all()
        assert not ink[top + 5 : foot - 5, left + 5 : right - 5].any()
        bar = ink[foot + 5 : foot + 20, left:right].any(0)
        assert abs(bar.sum() / bar.size - weight) < 0.02
        assert bar[: bar.sum()].all()  # from the left on


def test_lines_are_as_high_as_the_weights_and_as_far_as_the_time():
    explanation = Explanation(info(seconds=4.0))
    weights = [(0.2 + 0.5 * (t >= 25), 0.1) for t in range(51)]
    for t, share in enumerate(weights):
        image = draw(explanation, frame_of(t, share, BOXES))
    chart = image[HEIGHT:]
    assert len(chart) == explanation.height - HEIGHT

    def height_at(share_of_width: float, colour: tuple) -> float:
        """Mean row of a colour at a time; the axis goes from 42 to 66 pixels before the right side, below the title."""
        rows = np.flatnonzero(is_colour(chart[24:, round(42 + share_of_width * (WIDTH - 108))], colour))
        assert len(rows)
        return 24 + float(rows.mean())

    def share(row: float) -> float:
        return 1 - (row - 24) / (len(chart) - 20 - 24)

    for time in (0.2, 0.6, 1.5, 1.9):  # of 4 s; 2 s are over
        for colour, weight in ((COLOURS[0], weights[round(time * FPS)][0]), (COLOURS[1], 0.1)):
            assert abs(share(height_at(time / 4, colour)) - weight) < 0.02
        assert abs(share(height_at(time / 4, NO_FACE)) - (0.9 - weights[round(time * FPS)][0])) < 0.02
    for colour in (COLOURS[0], COLOURS[1], NO_FACE):
        assert not is_colour(chart[24:-20, round(42 + 0.7 * (WIDTH - 108)) :], colour).any()  # what is still to come


def test_a_long_video_scrolls():
    """A step in the weight moves left as time goes on, and what is long over is not shown."""
    explanation = Explanation(info(seconds=60.0))
    edges = []
    for t in range(round(FPS * (CHART_SECONDS + 8))):
        frame = frame_of(t, (0.8 if t < 5 * FPS else 0.1,), BOXES[:1])
        if t in (250, 300, 449):
            chart = draw(explanation, frame)[HEIGHT:]
            upper = is_colour(chart[24 : 24 + 40], COLOURS[0])[:, 42 : WIDTH - 66]
            edges.append(np.flatnonzero(upper.any(0)).max(initial=-1))
        elif t > 440 or t % 5 == 0:  # drawing each takes its time
            draw(explanation, frame)
    plot = WIDTH - 108
    assert abs(edges[0] - 0.5 * plot) < 0.03 * plot
    assert abs(edges[1] - 0.3 * plot) < 0.03 * plot
    assert edges[2] == -1


def test_a_track_keeps_its_colour_and_its_line_ends_with_it():
    explanation = Explanation(info(seconds=2.0))
    for t in range(50):
        tracks = (0, 1) if t < 25 else (0, 2)
        image = draw(explanation, frame_of(t, (0.5, 0.3), BOXES, tracks))
        assert is_colour(image[:HEIGHT], colour_of(0)).any()
        assert is_colour(image[:HEIGHT], colour_of(1)).any() == (t < 25)
    middle = 42 + (WIDTH - 108) // 2
    lines = {track: is_colour(image[HEIGHT:], colour_of(track)).any(0) for track in (1, 2)}
    assert np.flatnonzero(lines[1]).max() < middle + 3
    assert np.flatnonzero(lines[2]).min() > middle - 3
    assert colour_of(3) == colour_of(3 + len(COLOURS))


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (1, 64), (64, 1), (47, 63), (160, 96), (72, 128), (1280, 720), (3000, 40)]
)
def test_any_size_can_be_drawn(width, height):
    explanation = Explanation(info(width, height))
    boxes = [(0, 0, 1, 1), (0.9, 0.9, 1, 1), (0.5, 0, 0.500001, 1e-6)]
    for t in range(3):
        image = draw(explanation, frame_of(t, (0.2, 0.3, 0.1), boxes, width=width, height=height))
        assert image.shape == (explanation.height, explanation.width, 3)
        assert image.dtype == np.uint8
    assert explanation.width % width == 0
    if width >= 48:
        assert is_colour(image[-100:], NO_FACE).any()


def test_small_videos_are_enlarged_so_that_text_can_be_read():
    assert Explanation(info(160, 96)).width == 640
    assert Explanation(info(640, 360)).width == 640
    assert Explanation(info(72, 640)).width == 72  # it would get too tall


def test_more_faces_than_colours_and_none():
    explanation = Explanation(info())
    corners = np.linspace(0, 0.9, 16)
    crowd = np.stack([corners, corners, corners + 0.05, corners + 0.1], -1)
    image = draw(explanation, frame_of(0, np.full(16, 1 / 17), crowd))
    assert all(is_colour(image[:HEIGHT], colour).any() for colour in COLOURS)
    image = draw(explanation, frame_of(1, (), np.zeros((0, 4))))
    assert not image[:HEIGHT].any()
    assert is_colour(image[HEIGHT:], NO_FACE).any()


def test_rows_of_the_table():
    rows = list(csv_rows(frame_of(50, (0.75, 0.15), BOXES, tracks=(4, 5))))
    assert all(len(row) == len(CSV_HEADER) for row in rows)
    assert [[str(value) for value in row] for row in rows] == [
        ["50", "2.0000", "4", "1", "64.0", "108.0", "192.0", "216.0", "0.750000", "0.250000"],
        ["50", "2.0000", "5", "2", "384.0", "72.0", "512.0", "180.0", "0.150000", "0.250000"],
        ["50", "2.0000", "none", "", "", "", "", "", "0.100000", ""],
    ]
