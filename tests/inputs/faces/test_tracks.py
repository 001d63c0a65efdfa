import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.tracks import (
    MAX_BOXES,
    MAX_COLUMNS,
    MAX_FACES,
    gaussian_mixture,
    keep_largest,
    load_tracks,
    normalise_face_map,
    open_face_maps,
    save_tracks,
)


def _blob(x: float, y: float, size: int = 32) -> np.ndarray:
    yy, xx = (np.mgrid[:size, :size] + 0.5) / size
    return np.round(200 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 0.02)).astype(np.uint8)


def _peak(face_map: np.ndarray) -> tuple[int, int]:
    return tuple(int(i) for i in np.unravel_index(face_map.argmax(), face_map.shape))


def _ragged(*frames) -> np.ndarray:
    tracks = np.empty(len(frames), object)
    tracks[:] = frames
    return tracks


def _save(folder, tracks):
    np.save(folder / "tracks.npy", tracks, allow_pickle=tracks.dtype == object)
    return folder / "tracks.npy"


def test_normalised_range_and_constant_maps():
    found = normalise_face_map(_blob(0.3, 0.6))
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (pytest.approx(-14.9), pytest.approx(240.1))
    for level in (0, 7, 255):
        assert not normalise_face_map(np.full((32, 32), level, np.uint8)).any()


@pytest.mark.parametrize("source", [None, "none"])
def test_no_face_maps(source):
    maps = open_face_maps(source, 640, 480)
    assert len(maps) == 0
    assert 0 not in maps
    np.testing.assert_array_equal(maps(3), np.zeros((32, 32), np.float32))


@pytest.mark.parametrize("pattern", ["{}.png", "{:03d}.png", "{}.PNG"])
def test_folder_of_maps(tmp_path, pattern):
    for n, x in ((0, 0.2), (1, 0.4), (10, 0.8)):
        (tmp_path / pattern.format(n)).write_bytes(cv2.imencode(".png", _blob(x, 0.5))[1])
    (tmp_path / "Thumbs.db").write_bytes(b"not a picture")
    maps = open_face_maps(tmp_path, 640, 480)
    assert len(maps) == 11
    assert [n in maps for n in (0, 1, 2, 10, 11)] == [True, True, False, True, False]
    for n, x in ((0, 0.2), (1, 0.4), (10, 0.8)):
        np.testing.assert_array_equal(maps(n), normalise_face_map(_blob(x, 0.5)))
    assert not maps(2).any()
    assert not maps(11).any()
    assert not maps(-1).any()


@pytest.mark.parametrize("size", [8, 31, 96])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_maps_of_other_sizes_and_colours_are_resized(tmp_path, size, suffix):
    grey = _blob(0.75, 0.25, size)
    (tmp_path / f"0{suffix}").write_bytes(cv2.imencode(suffix, cv2.merge([grey] * 3))[1])
    found = open_face_maps(tmp_path, 640, 480)(0)
    assert found.shape == (32, 32)
    assert np.corrcoef(found.ravel(), _blob(0.75, 0.25).ravel())[0, 1] > 0.9


def test_unusable_folders_name_the_file(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        open_face_maps(tmp_path / "nothing", 640, 480)
    with pytest.raises(InputError, match=r"expected face maps <n>\.jpg or <n>\.png, found none"):
        open_face_maps(tmp_path, 640, 480)
    (tmp_path / "4.jpg").write_bytes(b"not a picture")
    maps = open_face_maps(tmp_path, 640, 480)
    with pytest.raises(InputError, match=r"4\.jpg: expected a picture"):
        maps(4)
    (tmp_path / "4.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"4\.jpg: expected a picture"):
        maps(4)
    (tmp_path / "004.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"frame 4 has two face maps, 004\.png and 4\.jpg"):
        open_face_maps(tmp_path, 640, 480)
    with pytest.raises(InputError, match=r"4\.jpg: expected a folder"):
        open_face_maps(tmp_path / "4.jpg", 640, 480)


BOXES = [[[64, 48, 128, 96], [320, 240, 640, 480]], [[0, 0, 64, 48], [64, 0, 128, 480]]]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, object])
def test_dense_tracks(tmp_path, dtype):
    boxes, mask = load_tracks(_save(tmp_path, np.array(BOXES, dtype)), 640, 480)
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
    boxes, mask = load_tracks(_save(tmp_path, tracks), 640, 480)
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
    boxes, mask = load_tracks(_save(tmp_path, tracks), 640, 480)
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
        open_face_maps(path, 640, 480)
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
    boxes, mask = load_tracks(path, 640, 480)
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
    _, mask = load_tracks(_save(tmp_path, tracks), 640, 480)
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
    boxes, mask = load_tracks(_save(tmp_path, np.array(BOXES, float)), 640, 480)
    mask[0, 1] = False
    boxes[0, 1] = 0
    path = tmp_path / "saved.npy"
    save_tracks(path, boxes, mask, 1280, 720)
    stored = np.load(path, allow_pickle=False)
    assert (stored.dtype, stored.shape) == (np.float32, (2, 2, 4))
    np.testing.assert_allclose(stored[0, 0], [128, 72, 256, 144], rtol=1e-6)
    assert np.isnan(stored[0, 1]).all()
    again, present = load_tracks(path, 1280, 720)
    np.testing.assert_array_equal(present, mask)
    np.testing.assert_allclose(again, boxes, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (4, 2)])
def test_saved_tracks_without_faces(tmp_path, shape):
    save_tracks(tmp_path / "t.npy", np.zeros((*shape, 4), np.float32), np.zeros(shape, bool), 640, 480)
    boxes, mask = load_tracks(tmp_path / "t.npy", 640, 480)
    assert boxes.shape == (*shape, 4)
    assert mask.shape == shape
    assert not mask.any()


def test_where_tracks_cannot_be_saved(tmp_path):
    boxes, mask = np.zeros((2, 1, 4)), np.zeros((2, 1), bool)
    with pytest.raises(InputError, match=r"tracks: expected a name for face tracks that ends in \.npy"):
        save_tracks(tmp_path / "tracks", boxes, mask, 640, 480)
    with pytest.raises(InputError, match=r"no/tracks\.npy: the folder .* does not exist"):
        save_tracks(tmp_path / "no/tracks.npy", boxes, mask, 640, 480)
    save_tracks(tmp_path / "T.NPY", boxes, mask, 640, 480)
    assert [p.name for p in tmp_path.iterdir()] == ["T.NPY"]


def test_no_frames_at_all(tmp_path):
    maps = open_face_maps(_save(tmp_path, np.zeros((0, 3, 4))), 640, 480)
    assert len(maps) == 0
    assert not maps(0).any()


def test_track_maps_show_the_faces(tmp_path):
    tracks = np.full((3, 2, 4), np.nan)
    tracks[0, 0] = 80, 60, 160, 180  # centre (120, 120) of 640x480
    tracks[2] = [400, 0, 480, 60], [40, 400, 120, 480]
    maps = open_face_maps(_save(tmp_path, tracks), 640, 480)
    assert len(maps) == 3
    assert [i in maps for i in range(4)] == [True, True, True, False]
    row, column = _peak(maps(0))
    assert row in (7, 8)
    assert column in (5, 6)
    assert (maps(0).min(), maps(0).max()) == (pytest.approx(-14.9), pytest.approx(240.1, abs=1e-3))
    assert not maps(1).any()
    boxes, mask = load_tracks(tmp_path / "tracks.npy", 640, 480)
    np.testing.assert_array_equal(maps(2), normalise_face_map(gaussian_mixture(boxes[2], mask[2])))
    assert not maps(3).any()


def test_mixture_is_a_density_with_the_given_shares():
    boxes = np.array([[0.2, 0.2, 0.3, 0.4], [0.6, 0.5, 0.8, 0.7], [0.1, 0.1, 0.9, 0.9]])
    mask = np.array([True, True, False])
    found = gaussian_mixture(boxes, mask, weights=np.array([3.0, 1.0, 100.0]))
    assert (found.shape, found.dtype) == ((32, 32), np.float32)
    assert found.mean() == pytest.approx(1, abs=0.01)
    assert found[:, :15].mean() / found[:, 15:].mean() * 15 / 17 == pytest.approx(3, rel=0.03)
    equal = gaussian_mixture(boxes, mask)
    np.testing.assert_allclose(equal, gaussian_mixture(boxes, mask, weights=np.array([2.0, 2.0, 0.0])))


def test_mixture_widths_follow_the_box():
    cells = (np.arange(32) + 0.5) / 32
    for scale in (0.3, 0.5):
        found = gaussian_mixture(np.array([[0.4, 0.2, 0.6, 0.8]]), np.array([True]), sigma_scale=scale)
        for axis, side in ((0, 0.2), (1, 0.6)):
            profile = found.sum(axis) / found.sum()
            deviation = np.sqrt((profile * (cells - 0.5) ** 2).sum())
            if scale * side < 0.2:  # a wider one runs out of the picture
                assert deviation == pytest.approx(scale * side, rel=0.05)
            else:
                assert deviation > 0.15
    half = gaussian_mixture(np.array([[0.25, 0.25, 0.75, 0.75]]), np.array([True]))
    assert half[16, 7:9].mean() / half.max() == pytest.approx(0.5, abs=0.03)  # half the height at the box's edge


@given(center=st.tuples(*[st.floats(0.001, 0.999)] * 2), size=st.floats(1e-6, 1.0), others=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_face_shows_and_masked_ones_do_not(center, size, others):
    x, y = center
    box = np.clip([x - size / 2, y - size / 2, x + size / 2, y + size / 2], 0, 1)
    boxes = np.stack([box] + [[np.nan] * 4] * others)
    mask = np.array([True] + [False] * others)
    found = gaussian_mixture(boxes, mask)
    np.testing.assert_array_equal(found, gaussian_mixture(box[None], np.array([True])))
    assert found.max() > 0.1
    assert np.isfinite(found).all()


@pytest.mark.parametrize("faces", [0, 2])
def test_no_face_gives_zeros(faces):
    assert not gaussian_mixture(np.zeros((faces, 4)), np.zeros(faces, bool)).any()
    assert not gaussian_mixture(np.zeros((faces, 4)), np.ones(faces, bool), weights=np.zeros(faces)).any()
