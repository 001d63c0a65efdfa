"""Pictures come as they are stored, and what is none is named."""

import cv2
import numpy as np
import pytest

from tests.helpers.media import picture
from vasal_jax.errors import InputError
from vasal_jax.inputs import images
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_maps_keep_their_depth(tmp_path, dtype, caplog):
    values = np.random.default_rng(0).integers(0, 250, (30, 40)).astype(dtype)  # low for 16 bits
    path = tmp_path / "0.png"
    path.write_bytes(cv2.imencode(".png", values)[1])
    found = read_grey(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)
    assert not caplog.records


def _written(path, image):
    path.write_bytes(cv2.imencode(path.suffix, image)[1])
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_folder_of_coloured_or_transparent_maps_is_named_once(tmp_path, dtype, caplog):
    ramp = np.tile(np.linspace(0, np.iinfo(dtype).max, 40).astype(dtype), (30, 1))
    folders = {name: tmp_path / name for name in ("colour", "alpha", "grey", "opaque")}
    for folder in folders.values():
        folder.mkdir()
    jet = np.dstack([ramp, ramp[:, ::-1], np.zeros_like(ramp)])
    white = np.full_like(ramp, np.iinfo(dtype).max)
    for name, image in (
        ("colour", jet),
        ("alpha", np.dstack([white, white, white, ramp])),
        ("grey", np.dstack([ramp] * 3)),
        ("opaque", np.dstack([ramp, ramp, ramp, white])),
    ):
        for index in range(3):
            read_grey(_written(folders[name] / f"{index}.png", np.zeros_like(image) if index == 0 else image))
    found = [record.getMessage() for record in caplog.records]
    assert len(found) == 2
    assert found[0].startswith(f"{folders['colour']}: its maps are in colour (1.png)")
    assert found[1].startswith(f"{folders['alpha']}: its maps say all in their alpha channel")


def test_looking_at_the_channels_of_a_large_map_takes_little_memory(tmp_path, monkeypatch):
    """Found by damaging files: the header of a PNG asked for 4 GB."""
    looked_at = []
    monkeypatch.setattr(images.np, "ptp", lambda values, axis: looked_at.append(values.shape) or np.zeros(1))
    read_grey(_written(tmp_path / "0.png", np.zeros((3000, 2000, 3), np.uint8)))
    assert max(np.prod(shape) for shape in looked_at) <= 3 * 2**20


def test_a_grey_jpeg_in_three_channels_is_grey(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    read_grey(_written(tmp_path / "0.jpg", np.dstack([noise] * 3)))
    assert not caplog.records


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_rgb(tmp_path)
