"""Videos of maps, read as FFmpeg makes PNGs of them."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vasal_jax.errors import InputError
from vasal_jax.inputs.map_videos import MapVideo, read_maps


def write_maps(path, maps, pix_fmt="yuv420p10le"):
    """Ground truth as the challenge stores it: H.264, crf 0."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(25), options={"crf": "0"})
        stream.height, stream.width = maps[0].shape
        stream.pix_fmt = pix_fmt
        for grey in maps:
            frame = av.VideoFrame.from_ndarray(grey, format="gray16le" if grey.dtype == np.uint16 else "gray")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def maps():
    columns, rows = np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 32))
    return [np.rint(65535 * (columns * rows + 0.02 * index) / 1.2).astype(np.uint16) for index in range(6)]


def test_ten_bits_are_kept(tmp_path, maps):
    found = list(read_maps(write_maps(tmp_path / "m.mp4", maps)))
    assert len(found) == len(maps)
    for read, written in zip(found, maps, strict=True):
        assert np.abs(read - written).max() < 65535 / 150  # FFmpeg's own conversion is not exact
        assert len(np.unique(read)) > 256


def test_eight_bits_are_eight_bits(tmp_path, maps):
    grey = [(array >> 8).astype(np.uint8) for array in maps]
    for read, written in zip(read_maps(write_maps(tmp_path / "m.mp4", grey, "yuv420p")), grey, strict=True):
        assert read.max() <= 255
        assert np.abs(read - written).max() <= 2


def test_frames_in_any_order(tmp_path, maps):
    video = MapVideo(write_maps(tmp_path / "m.mp4", maps))
    in_order = list(read_maps(tmp_path / "m.mp4"))
    for index in (0, 1, 1, 4, 2, 5):
        np.testing.assert_array_equal(video[index], in_order[index])
    with pytest.raises(InputError, match="expected a map of frame 6, found 6 maps"):
        video[6]


def test_a_damaged_video_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 2**16, (64, 96), np.uint16) for _ in range(8)]
    content = bytearray(write_maps(tmp_path / "m.mkv", noise).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = rng.bytes(400)
    (tmp_path / "m.mkv").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        list(read_maps(tmp_path / "m.mkv"))
