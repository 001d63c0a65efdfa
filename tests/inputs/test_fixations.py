"""Fixation maps and densities against blurred full-size maps made another way."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from vasal_jax.config import MVVA_GRID
from vasal_jax.inputs.fixations import (
    SIGMA,
    fixation_counts,
    fixation_density,
    valid_points,
)

NONE = np.array([[np.nan, 3], [3, np.nan], [-1, 5], [5, -0.01], [1280, 5], [5, 720], [np.inf, 1]])


def drawn_points(seed, count=34):
    rng = np.random.default_rng(seed)
    faces = rng.uniform((200, 150), (1080, 570), (4, 2))
    points = faces[rng.integers(0, 4, count)] + rng.normal(0, 40, (count, 2))
    return np.clip(points, 0, (1279, 719))


def blurred(points, sigma=SIGMA):
    """The long way: a count map of the whole grid, blurred with zeros beyond the border."""
    counts = fixation_counts(points, MVVA_GRID).astype(np.float64)
    density = gaussian_filter(counts, sigma, mode="constant", truncate=6)
    return density / density.sum()


def test_invalid_points_are_left_out():
    assert not valid_points(NONE).any()
    assert valid_points(np.array([[0, 0], [1279.9, 719.9]])).all()
    points = np.concatenate([NONE, [[10.0, 20.0]]])
    assert fixation_counts(points, MVVA_GRID).sum() == 1
    np.testing.assert_array_equal(fixation_density(points, (36, 64)), fixation_density(points[-1:], (36, 64)))


def test_counts_lie_where_the_points_are():
    points = np.array([[0, 0], [1279.9, 719.9], [100.7, 50.2], [100.1, 50.9]])
    counts = fixation_counts(points, MVVA_GRID)
    assert {tuple(cell) for cell in np.argwhere(counts)} == {(0, 0), (719, 1279), (50, 100)}
    assert counts[50, 100] == 2
    assert np.count_nonzero(fixation_counts(points, MVVA_GRID)) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1279), st.integers(0, 719), st.integers(1, 200), st.integers(1, 200))
def test_any_size_keeps_every_fixation_in_its_place(x, y, height, width):
    counts = fixation_counts(np.array([[x, y]]), (height, width))
    assert counts.sum() == 1
    (row, column) = np.argwhere(counts)[0]
    assert row <= (y + 0.5) * height / 720 < row + 1
    assert column <= (x + 0.5) * width / 1280 < column + 1


def test_a_larger_map_has_the_point_at_the_centre_of_its_pixel():
    assert np.argwhere(fixation_counts(np.array([[1, 2]]), (8, 8), grid=(4, 4))).tolist() == [[5, 3]]


def test_density_is_the_blurred_map():
    """An integral over each pixel against a sample at its centre: 2e-4 of the maximum apart at most."""
    points = drawn_points(0)
    points[0], points[1] = (2, 3), (1277, 700)  # at the border
    reference = blurred(points)
    density = fixation_density(points, MVVA_GRID)
    assert density.dtype == np.float32
    assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert np.abs(density - reference).max() < 2e-4 * reference.max()


@pytest.mark.parametrize("size", [(32, 32), (36, 64), (90, 160)])
@pytest.mark.parametrize("sigma", [18.0, 28.0, 66.0])
def test_small_density_is_the_area_average_of_the_large_one(size, sigma):
    """To 2e-4 of the maximum: OpenCV's area average of the blurred map, times the ratio of the areas."""
    reference = blurred(drawn_points(1), sigma)
    average = cv2.resize(reference, size[::-1], interpolation=cv2.INTER_AREA) * (720 * 1280 / np.prod(size))
    density = fixation_density(drawn_points(1), size, sigma=sigma)
    assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert np.abs(density - average).max() < 2e-4 * average.max()


def test_sigma_counts_in_pixels_of_the_original_grid():
    """One point in the middle: standard deviations along both axes of the squeezed map."""
    density = fixation_density(np.array([[640, 360]]), (72, 320), sigma=40).astype(np.float64)
    x, y = (np.arange(320) + 0.5) * 4, (np.arange(72) + 0.5) * 10
    for positions, marginal, cell in ((x, density.sum(0), 4), (y, density.sum(1), 10)):
        mean = (positions * marginal).sum()
        variance = ((positions - mean) ** 2 * marginal).sum()
        assert variance == pytest.approx(40**2 + cell**2 / 12, rel=1e-3)
    assert (x * density.sum(0)).sum() == pytest.approx(640.5, abs=1e-2)


def test_all_frames_at_once_are_the_frames_one_by_one():
    frames = np.stack([drawn_points(2), drawn_points(3), np.full((34, 2), np.nan)])
    together = fixation_density(frames, (32, 32))
    assert together.shape == (3, 32, 32)
    for points, density in zip(frames, together, strict=True):
        np.testing.assert_allclose(fixation_density(points, (32, 32)), density, rtol=1e-6, atol=1e-9)


def test_no_fixation_gives_zeros():
    for points in (NONE, np.empty((0, 2))):
        density = fixation_density(points, (32, 32))
        assert density.shape == (32, 32)
        assert not density.any()
        assert not fixation_counts(points, (32, 32)).any()


def test_mirrored_points_give_the_mirrored_density():
    points = np.floor(drawn_points(4))
    mirrored = np.column_stack([1279 - points[:, 0], points[:, 1]])
    density = fixation_density(points, (32, 32))
    np.testing.assert_allclose(fixation_density(mirrored, (32, 32))[:, ::-1], density, rtol=1e-4, atol=1e-9)
