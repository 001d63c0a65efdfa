"""Where faces come from, and the slots in which a face branch takes them."""

import sys

import cv2
import numpy as np
import pytest

from tests.helpers import face_videos
from vasal_jax.config import CROP_SIZE, MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.maps import FaceMaps, gaussian_mixture, normalise_face_map
from vasal_jax.inputs.faces.sources import BRANCH_FACES, Faces, open_faces
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.size import Size


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return face_videos.write_talkers(tmp_path_factory.mktemp("video") / "v.mkv", 8)


def test_of_a_crowd_a_branch_gets_the_largest(video, caplog):
    n = BRANCH_FACES + 3
    sides = 0.05 + 0.02 * np.random.default_rng(0).permutation(n)
    boxes = np.tile(np.stack([sides * 0, sides * 0, sides, sides], -1), (2, 1, 1))
    mask = np.ones((2, n), bool)
    mask[1, np.argsort(sides)[:3]] = False  # the second frame is not too full
    faces = open_faces((boxes, mask), probe(video))
    assert not caplog.records
    found = faces.slots()
    for t in range(2):
        assert sorted(found[t].column[found[t].mask]) == sorted(np.argsort(sides)[3:])
    assert [record.getMessage() for record in caplog.records] == [
        f"face boxes: 1 of 2 frames have more than {BRANCH_FACES} faces; the largest are kept"
    ]


def test_the_same_faces_from_everywhere(video, tmp_path):
    """File, file on another grid, and arrays."""
    info, expected = probe(video), face_videos.boxes_of(face_videos.paths(8))
    on_video = face_videos.write_tracks(tmp_path / "a.npy", 8, face_videos.SIZE)
    on_grid = face_videos.write_tracks(tmp_path / "b.npy", 8)
    mask = np.ones((8, 2), bool)
    for faces in (
        open_faces(on_video, info),
        open_faces(str(on_grid), info, tracks_size=MVVA_GRID),
        open_faces((expected, mask), info),
    ):
        boxes, found = faces.tracks
        np.testing.assert_allclose(boxes, expected, atol=1e-6)
        assert found.all()
        maps = faces.maps()
        assert len(maps) == 8
        np.testing.assert_allclose(maps(3), normalise_face_map(gaussian_mixture(expected[3], mask[3])), atol=1e-2)
        assert open_faces(faces, info) is faces


@pytest.mark.parametrize("source", [None, "none"])
def test_no_faces(video, source):
    faces = open_faces(source, probe(video))
    assert len(faces.maps()) == 0
    assert not faces.maps()(0).any()
    found = faces.slots().of_clip(list(read_frames(video))[:2])[0]
    assert found["face_crops"].shape == (2, 0, CROP_SIZE, CROP_SIZE, 3)


def test_face_maps_are_no_boxes(video, tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.eye(32, dtype=np.uint8))
    faces = open_faces(tmp_path, probe(video))
    assert faces.maps()(0).any()
    with pytest.raises(InputError, match="a model with a face branch makes its own") as error:
        faces.slots()
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("boxes", "mask", "found"),
    [
        (np.zeros((3, 2, 5)), np.ones((3, 2), bool), r"found float64 \(3, 2, 5\)"),
        (np.zeros((3, 2, 4)), np.ones((3, 3), bool), r"bool \(3, 3\)"),
        (np.zeros((3, 2, 4)), np.ones((3, 2)), r"float64 \(3, 2\)"),
        (np.zeros((2, 4)), np.ones(2, bool), r"\(2, 4\)"),
        (np.full((3, 2, 4), "a"), np.ones((3, 2), bool), "<U1"),
        (np.tile((0, 0, 640, 360), (3, 2, 1)), np.ones((3, 2), bool), "numbers up to 640; divide"),
    ],
)
def test_arrays_that_are_none(video, boxes, mask, found):
    with pytest.raises(InputError, match=found):
        open_faces((boxes, mask), probe(video))


def test_boxes_that_are_none_are_left_out_and_counted(video, caplog):
    boxes = np.array(
        [
            [
                face_videos.BOX,
                (0.2, 0.2, 0.2, 0.5),
                (np.nan, 0, 1, 1),
                (1.1, 0, 1.5, 1),
                (-0.5, -0.5, 0.5, 0.5),
                face_videos.BOX,
            ]
        ]
    )
    mask = np.array([[True] * 5 + [False]])
    kept, found = open_faces((boxes, mask), probe(video)).tracks
    assert found.tolist() == [[True, False, False, False, True, False]]
    np.testing.assert_allclose(kept[0, 4], (0, 0, 0.5, 0.5))
    assert not kept[~found].any()
    assert [record.getMessage() for record in caplog.records] == [
        "face boxes: 3 of 5 are not finite, without area or outside the picture, and left out"
    ]


def test_a_missing_detector_names_the_extra(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    with pytest.raises(InputError, match=r'pip install "vasal-jax\[faces\]"'):
        open_faces("auto", probe(video), detector="mtcnn")


def test_tracks_on_another_grid_are_told_from_bad_ones(video, tmp_path, caplog):
    """On a small picture, boxes of MVVA's grid lie outside; the one line says how to mend it."""
    load_tracks(face_videos.write_tracks(tmp_path / "t.npy", 8), face_videos.SIZE)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "outside 160x96" in line
    assert "--tracks-size 1280x720" in line
    caplog.clear()
    load_tracks(tmp_path / "t.npy", MVVA_GRID)
    assert not caplog.records


@pytest.mark.parametrize("source", [None, "none"])
def test_no_face_maps(video, source):
    maps = open_faces(source, probe(video)).maps()
    assert len(maps) == 0
    assert 0 not in maps
    np.testing.assert_array_equal(maps(3), np.zeros((32, 32), np.float32))


def _maps_of(folder, tracks: np.ndarray) -> FaceMaps:
    """The maps of tracks in pixels of 640x480, by way of a file."""
    np.save(folder / "tracks.npy", tracks)
    return Faces("tracks", load_tracks(folder / "tracks.npy", Size(480, 640))).maps()


def test_no_frames_at_all(tmp_path):
    maps = _maps_of(tmp_path, np.zeros((0, 3, 4)))
    assert len(maps) == 0
    assert not maps(0).any()


def test_track_maps_show_the_faces(tmp_path):
    tracks = np.full((3, 2, 4), np.nan)
    tracks[0, 0] = 80, 60, 160, 180  # centre (120, 120) of 640x480
    tracks[2] = [400, 0, 480, 60], [40, 400, 120, 480]
    maps = _maps_of(tmp_path, tracks)
    assert len(maps) == 3
    assert [i in maps for i in range(4)] == [True, True, True, False]
    row, column = np.unravel_index(maps(0).argmax(), (32, 32))
    assert row in (7, 8)
    assert column in (5, 6)
    assert (maps(0).min(), maps(0).max()) == (pytest.approx(-14.9), pytest.approx(240.1, abs=1e-3))
    assert not maps(1).any()
    boxes, mask = load_tracks(tmp_path / "tracks.npy", Size(480, 640))
    np.testing.assert_array_equal(maps(2), normalise_face_map(gaussian_mixture(boxes[2], mask[2])))
    assert not maps(3).any()
