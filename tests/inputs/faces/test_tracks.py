"""Face tracks: read, checked, written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasal_jax.config import MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracks import (
    MAX_BOXES,
    MAX_COLUMNS,
    MAX_FACES,
    keep_largest,
    load_tracks,
    save_tracks,
)
from vasal_jax.size import Size


def _ragged(*frames) -> np.ndarray:
    tracks = np.empty(len(frames), object)
    tracks[:] = frames
    return tracks


def _save(folder, tracks):
    np.save(folder / "tracks.npy", tracks, allow_pickle=tracks.dtype == object)
    return folder / "tracks.npy"


BOXES = [[[64, 48, 128, 96], [320, 240, 640, 480]], [[0, 0, 64, 48], [64, 0, 128, 480]]]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, object])
def test_dense_tracks(tmp_path, dtype):
    boxes, mask = load_tracks(_save(tmp_path, np.array(BOXES, dtype)), Size(480, 640))
    assert (boxes.dtype, mask.dtype) == (np.float32, bool)
    expected = [[[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 1, 1]], [[0, 0, 0.1, 0.1], [0.1, 0, 0.2, 1]]]
    np.testing.assert_allclose(boxes, expected, atol=1e-6)
    assert mask.all()


@pytest.mark.parametrize(
    "tracks",
    [
        _ragged(np.array(BOXES[0]), [], [BOXES[1][1]]),
        _ragged(BOXES[0], None, np.array([BOXES[1][1]], float)),
        _ragged([np.array(BOXES[0][0]), tuple(BOXES[0][1])], np.empty((0, 4)), [BOXES[1][1], None]),
        _ragged(np.array(BOXES[0], object), np.empty(0), [BOXES[1][1], [None] * 4]),
    ],
    ids=["arrays", "none", "tuples", "objects"],
)
def test_ragged_tracks(tmp_path, caplog, tracks):
    boxes, mask = load_tracks(_save(tmp_path, tracks), Size(480, 640))
    np.testing.assert_array_equal(mask, [[True, True], [False, False], [True, False]])
    np.testing.assert_allclose(boxes[0], [[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(boxes[2], [[0.1, 0, 0.2, 1], [0, 0, 0, 0]], atol=1e-6)
    assert not boxes[1].any()
    assert not caplog.records


def test_invalid_boxes_are_masked_and_counted(tmp_path, caplog):
    nan = np.nan
    tracks = np.array(
        [
            [[-64, -48, 64, 48], [600, 400, 900, 900]],  # reach out of the picture: clipped
            [[nan, nan, nan, nan], [0, 0, 0, 0]],  # no face: not worth a word
            [[-1, -1, -1, -1], [10, 10, nan, 20]],
            [[10, 10, 10, 50], [50, 50, 20, 80]],  # no width; turned round
            [[700, 10, 800, 50], [-90, -90, -10, -10]],  # outside
            [[10, 10, np.inf, 20], [1e300, 0, 2e300, 9]],
        ]
    )
    boxes, mask = load_tracks(_save(tmp_path, tracks), Size(480, 640))
    np.testing.assert_array_equal(mask, [[True, True]] + [[False, False]] * 5)
    np.testing.assert_allclose(boxes[0], [[0, 0, 0.1, 0.1], [0.9375, 0.83333, 1, 1]], atol=1e-5)
    assert not boxes[1:].any()
    assert len(caplog.records) == 1
    assert "7 of 9 face boxes" in caplog.text


@pytest.mark.parametrize(
    ("tracks", "found"),
    [
        (np.zeros((5, 4)), r"found float64 of shape \(5, 4\)"),
        (np.zeros((5, 2, 3)), r"shape \(5, 2, 3\)"),
        (np.zeros(7), r"shape \(7,\)"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((2, 2, 4), complex), "complex128"),
        (_ragged([[1, 2, 3, 4]], [[1, 2, 3]]), r"frame 1: \[\[1, 2, 3\]\]"),
        (_ragged([[1, 2, 3, 4]], np.zeros((2, 5))), r"frame 1: shape \(2, 5\)"),
        (_ragged([[1, 2, 3, 4]], 5), "frame 1: 5"),
        (_ragged([[[1, 2], [3, 4]], [1, 2, 3, 4]]), "frame 0"),
        (
            np.ones((1, MAX_COLUMNS + 1, 4)),
            f"at most {MAX_COLUMNS} faces a frame .*found 1 frames of {MAX_COLUMNS + 1}",
        ),
        (_ragged(np.ones((MAX_COLUMNS, 4)), *[[]] * 8192), f"{MAX_BOXES} in all, found 8193 frames of {MAX_COLUMNS}"),
    ],
)
def test_other_shapes_are_refused(tmp_path, tracks, found):
    path = _save(tmp_path, np.asarray(tracks))
    with pytest.raises(InputError, match=found) as error:
        load_tracks(path, Size(480, 640))
    assert str(path) in str(error.value)
    assert "[frame][face] = (x1, y1, x2, y2)" in str(error.value)


def _growing(count: int) -> np.ndarray:
    """(count,4) boxes in 0..1, each larger than the one before."""
    sides = 0.1 + 0.8 * np.arange(count) / count
    return np.stack([sides * 0.1, sides * 0.1, sides, sides], axis=1)


@pytest.mark.parametrize("dtype", [np.float32, object])
def test_of_a_crowd_the_largest_are_kept(tmp_path, caplog, dtype):
    crowd = np.random.default_rng(0).permutation(_growing(MAX_FACES + 10)) * (640, 480, 640, 480)
    path = _save(tmp_path, _ragged(crowd, crowd[:MAX_FACES], crowd) if dtype is object else np.stack([crowd] * 3))
    boxes, mask = load_tracks(path, Size(480, 640))
    largest = np.argsort(crowd[:, 2])[10:]
    for frame in (0, 2):
        assert np.flatnonzero(mask[frame]).tolist() == sorted(largest)  # each in its own column
        np.testing.assert_allclose(boxes[frame, largest] * (640, 480, 640, 480), crowd[largest], rtol=1e-5)
        assert not boxes[frame, ~mask[frame]].any()
    frames = 2 if dtype is object else 3
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: {frames} of 3 frames have more than {MAX_FACES} faces; the largest are kept"
    ]


def test_columns_of_many_faces_that_are_not_there_at_once(tmp_path, caplog):
    tracks = np.full((100, 100, 4), np.nan)
    tracks[np.arange(100), np.arange(100)] = 64, 48, 128, 96
    _, mask = load_tracks(_save(tmp_path, tracks), Size(480, 640))
    np.testing.assert_array_equal(mask, np.eye(100, dtype=bool))
    assert not caplog.records


@given(st.integers(0, 5), st.integers(0, 6), st.integers(0, 7), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_keeping_the_largest(frames, faces, limit, seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 4, (frames, faces, 2)) / 8
    boxes = np.concatenate([corners, corners + rng.integers(1, 4, corners.shape) / 8], -1).astype(np.float32)
    mask = rng.uniform(size=(frames, faces)) < 0.7
    found, kept = keep_largest(boxes, mask, limit)
    assert (found.dtype, kept.dtype) == (np.float32, bool)
    np.testing.assert_array_equal(kept.sum(1), np.minimum(mask.sum(1), limit))
    np.testing.assert_array_equal(found, np.where(kept[..., None], boxes, 0))
    assert not (kept & ~mask).any()
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    for frame in range(frames):
        dropped = mask[frame] & ~kept[frame]
        if kept[frame].any() and dropped.any():
            assert areas[frame, kept[frame]].min() >= areas[frame, dropped].max()


def test_saved_tracks_are_read_back(tmp_path):
    boxes, mask = load_tracks(_save(tmp_path, np.array(BOXES, float)), Size(480, 640))
    mask[0, 1] = False
    boxes[0, 1] = 0
    path = tmp_path / "saved.npy"
    save_tracks(path, boxes, mask, MVVA_GRID)
    stored = np.load(path, allow_pickle=False)
    assert (stored.dtype, stored.shape) == (np.float32, (2, 2, 4))
    np.testing.assert_allclose(stored[0, 0], [128, 72, 256, 144], rtol=1e-6)
    assert np.isnan(stored[0, 1]).all()
    again, present = load_tracks(path, MVVA_GRID)
    np.testing.assert_array_equal(present, mask)
    np.testing.assert_allclose(again, boxes, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (4, 2)])
def test_saved_tracks_without_faces(tmp_path, shape):
    save_tracks(tmp_path / "t.npy", np.zeros((*shape, 4), np.float32), np.zeros(shape, bool), Size(480, 640))
    boxes, mask = load_tracks(tmp_path / "t.npy", Size(480, 640))
    assert boxes.shape == (*shape, 4)
    assert mask.shape == shape
    assert not mask.any()


def test_where_tracks_cannot_be_saved(tmp_path):
    boxes, mask = np.zeros((2, 1, 4)), np.zeros((2, 1), bool)
    with pytest.raises(InputError, match=r"tracks: expected a name for face tracks that ends in \.npy"):
        save_tracks(tmp_path / "tracks", boxes, mask, Size(480, 640))
    with pytest.raises(InputError, match=r"no/tracks\.npy: the folder .* does not exist"):
        save_tracks(tmp_path / "no/tracks.npy", boxes, mask, Size(480, 640))
    save_tracks(tmp_path / "T.NPY", boxes, mask, Size(480, 640))
    assert [p.name for p in tmp_path.iterdir()] == ["T.NPY"]
