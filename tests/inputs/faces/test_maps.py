"""Face maps: read from folders, drawn from boxes, normalised."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.maps import folder_maps, gaussian_mixture, normalise_face_map


def _blob(x: float, y: float, size: int = 32) -> np.ndarray:
    yy, xx = (np.mgrid[:size, :size] + 0.5) / size
    return np.round(200 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 0.02)).astype(np.uint8)


def _peak(face_map: np.ndarray) -> tuple[int, int]:
    return tuple(int(i) for i in np.unravel_index(face_map.argmax(), face_map.shape))


def test_normalised_range_and_constant_maps():
    found = normalise_face_map(_blob(0.3, 0.6))
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (pytest.approx(-14.9), pytest.approx(240.1))
    for level in (0, 7, 255):
        assert not normalise_face_map(np.full((32, 32), level, np.uint8)).any()


@pytest.mark.parametrize("pattern", ["{}.png", "{:03d}.png", "{}.PNG"])
def test_folder_of_maps(tmp_path, pattern):
    for n, x in ((0, 0.2), (1, 0.4), (10, 0.8)):
        (tmp_path / pattern.format(n)).write_bytes(cv2.imencode(".png", _blob(x, 0.5))[1])
    (tmp_path / "Thumbs.db").write_bytes(b"not a picture")
    maps = folder_maps(tmp_path)
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
    found = folder_maps(tmp_path)(0)
    assert found.shape == (32, 32)
    assert np.corrcoef(found.ravel(), _blob(0.75, 0.25).ravel())[0, 1] > 0.9


def test_unusable_folders_name_the_file(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        folder_maps(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"expected face maps <n>\.jpg or <n>\.png, found none"):
        folder_maps(tmp_path)
    (tmp_path / "4.jpg").write_bytes(b"not a picture")
    maps = folder_maps(tmp_path)
    with pytest.raises(InputError, match=r"4\.jpg: expected a PNG or JPEG picture"):
        maps(4)
    (tmp_path / "4.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"4\.jpg: expected a PNG or JPEG picture"):
        maps(4)
    (tmp_path / "004.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"frame 4 has two face maps, 004\.png and 4\.jpg"):
        folder_maps(tmp_path)
    with pytest.raises(InputError, match=r"4\.jpg: expected a folder"):
        folder_maps(tmp_path / "4.jpg")


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
