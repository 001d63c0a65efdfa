"""Pictures come as they are stored, and what is none is named."""

import cv2
import numpy as np
import pytest

from tests.helpers.media import picture
from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_grey, read_rgb


def test_colours_are_in_the_order_rgb(tmp_path):
    path = tmp_path / "a b.png"
    path.write_bytes(cv2.imencode(".png", picture()[..., ::-1])[1])
    np.testing.assert_array_equal(read_rgb(path), picture())
    grey = read_grey(path)
    assert grey.shape == (48, 64)
    assert grey[0, 0] == round(0.299 * 255)  # red's share of brightness


@pytest.mark.parametrize("read", [read_grey, read_rgb])
@pytest.mark.parametrize("content", [b"no picture", b"", None])
def test_what_is_no_picture_is_named(tmp_path, read, content):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: .*picture"):
        read(tmp_path / "a.jpg")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_rgb(tmp_path)
