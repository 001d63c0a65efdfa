"""The mean of face maps, worked out by hand, from pictures and from tracks."""

import cv2
import numpy as np
import pytest

from data.face_map_mean import main, video_means
from vasal_jax.errors import InputError


def test_pictures(tmp_path):
    """A quarter of the map at 255 is a mean of 63.75, whatever the picture's own range; empty maps do not count."""
    (tmp_path / "gmm" / "7").mkdir(parents=True)
    quarter = np.full((32, 32), 10, np.uint8)
    quarter[:16, :16] = 110
    for name, picture in {"0.png": quarter, "1.png": np.zeros((32, 32), np.uint8), "3.png": quarter}.items():
        cv2.imwrite(str(tmp_path / "gmm" / "7" / name), picture)
    (means,) = video_means(tmp_path).values()
    np.testing.assert_allclose(means, [63.75, 63.75], rtol=1e-5)


def test_tracks(tmp_path, capfd):
    """A wide face covers more of the map than a narrow one; the command prints the mean and warns far from 14.9."""
    boxes = np.zeros((4, 1, 4), np.float32)
    boxes[0, 0], boxes[1, 0] = (400, 200, 500, 320), (200, 100, 900, 700)
    np.save(tmp_path / "12.npy", boxes)
    means = video_means(tmp_path)["12"]
    assert len(means) == 2
    assert means[0] < 14.9 < 20 < means[1]
    assert main([str(tmp_path)]) == 0
    printed = capfd.readouterr()
    assert f"{means.mean():.1f}" in printed.out
    assert "warning: " in printed.err
    assert f"is {means.mean():.1f}, and 14.9 in the release" in printed.err


def test_nothing_to_measure(tmp_path, capfd):
    assert main([str(tmp_path / "none")]) == 2
    assert "none: no such folder" in capfd.readouterr().err
    with pytest.raises(InputError, match="found no face in it"):
        video_means(tmp_path)
