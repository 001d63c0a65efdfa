"""The authors' saliency maps on disk against ours."""

import cv2
import numpy as np
import pytest

from data.mvva_files import Difference, compare_saliency, saliency_path, saliency_picture
from vasal_jax.config import MVVA_GRID
from vasal_jax.inputs.images import read_grey


@pytest.mark.parametrize("sigma", [28.0, 66.0])
def test_maps_as_the_authors_store_them_are_reproduced(tmp_path, sigma):
    """A binary map blurred by OpenCV, scaled to 255, as JPEG at quality 95, in the authors' folders.

    Within 1 grey level on average and 8 at most: what JPEG and rounding do. The blur's border treatment
    differs (reflected there, zeros here), so the points stay three sigmas away from it.
    """
    rng = np.random.default_rng(5)
    frames = rng.uniform(3 * sigma + 8, np.array([1280, 720]) - 3 * sigma - 8, (3, 34, 2))
    for frame, points in enumerate(frames):
        binary = np.zeros(MVVA_GRID, np.float32)
        binary[points[:, 1].astype(int), points[:, 0].astype(int)] = 1
        blurry = cv2.GaussianBlur(binary, (0, 0), sigma)
        path = saliency_path(tmp_path, 7, frame)
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.rint(255 * blurry / blurry.max()).astype(np.uint8))
    assert (tmp_path / "video_007" / "002.jpg").exists()
    for frame, points in enumerate(frames):
        released = read_grey(saliency_path(tmp_path, "007", frame))
        assert released.shape == MVVA_GRID
        apart = compare_saliency(points, released, sigma=sigma)
        assert apart.mean < 1
        assert apart.maximum <= 8
        assert apart.correlation > 0.999
        assert compare_saliency(points, released, sigma=2 * sigma).mean > 5 * apart.mean


def test_comparison_of_empty_maps():
    nobody = np.full((4, 2), np.nan)
    assert not saliency_picture(np.zeros((72, 128), np.float32)).any()
    assert compare_saliency(nobody, np.zeros((72, 128), np.uint8)) == Difference(0.0, 0.0, 0.0)
