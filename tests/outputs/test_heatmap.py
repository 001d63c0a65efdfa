"""Saliency maps as grey pictures and as heat over a picture."""

import cv2
import numpy as np
import pytest

from vasal_jax.outputs.heatmap import grey_map, overlay, stretched


@pytest.mark.parametrize(("width", "height"), [(64, 48), (1, 1), (7, 301), (32, 32)])
def test_grey_maps_have_the_size_asked_for_and_the_full_range(width, height):
    saliency = np.random.default_rng(0).random((32, 32)).astype(np.float32) * 1e-3
    grey = grey_map(saliency, width, height)
    assert (grey.dtype, grey.shape) == (np.uint8, (height, width))
    if min(width, height) >= 32:
        assert grey.min() <= 16
        assert grey.max() >= 239
    assert np.array_equal(grey_map(saliency * 1000 + 7, width, height), grey)


def test_the_peak_stays_where_it_is():
    saliency = np.zeros((32, 32), np.float32)
    saliency[8, 24] = 1
    grey = grey_map(saliency, 320, 160)
    y, x = np.unravel_index(grey.argmax(), grey.shape)
    assert abs(y - 8.5 * 5) <= 2.5
    assert abs(x - 24.5 * 10) <= 5


def test_a_flat_map_is_black():
    assert not grey_map(np.full((32, 32), 1 / 1024, np.float32), 8, 8).any()


def test_overlay_leaves_the_unsalient_alone_and_reddens_the_salient():
    image = np.full((2, 2, 3), 100, np.uint8)
    before = image.copy()
    found = overlay(image, np.array([[0, 255], [128, 0]], np.uint8))
    assert (found.dtype, found.shape) == (np.uint8, (2, 2, 3))
    np.testing.assert_array_equal(found[0, 0], image[0, 0])
    np.testing.assert_array_equal(image, before)
    red, _, blue = found[0, 1].astype(int)
    assert red > blue + 50  # the top of the colour map is red
    half, full = np.abs(found[1, 0].astype(int) - 100).sum(), np.abs(found[0, 1].astype(int) - 100).sum()
    assert 0 < half < full


def test_overlay_is_the_picture_and_the_heat_colour_in_parts():
    """Of every value and grey level, to the rounding of two parts and their product."""
    values, grey = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    image = np.repeat(values[..., None], 3, axis=-1)
    heat = cv2.applyColorMap(grey, cv2.COLORMAP_TURBO)[..., ::-1]
    weight = 0.65 * grey[..., None] / 255
    np.testing.assert_allclose(overlay(image, grey), image * (1 - weight) + heat * weight, rtol=0, atol=1.5)


def test_grey_levels_are_rounded_to_even():
    saliency = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    saliency[:2] = np.arange(64).reshape(2, 32) / 64  # among them halves of levels
    expected = np.rint(stretched(saliency, 1280, 720)).astype(np.uint8)
    np.testing.assert_array_equal(grey_map(saliency, 1280, 720), expected)
