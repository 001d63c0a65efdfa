"""Folders of frames as videos."""

import cv2
import numpy as np
import pytest

from tests.helpers.media import picture
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import probe, read_frames


def save(path, image: np.ndarray) -> None:
    cv2.imwrite(str(path), image[..., ::-1])


def frames(n: int) -> list[np.ndarray]:
    return [np.roll(picture(), 3 * t, axis=1) for t in range(n)]


@pytest.mark.parametrize("name", ["{:05d}.png", "frame{}.png", "a b-{:02d}.PNG", "[i]_{}.png"])
def test_pictures_come_in_the_order_of_their_numbers(tmp_path, name, caplog):
    images = frames(12)
    for index, image in enumerate(images, 8):
        save(tmp_path / name.format(index), image)
    (tmp_path / ("._" + name.format(3))).write_bytes(b"\0\5\x16\7")  # as macOS leaves them
    (tmp_path / "notes1.txt").write_text("not a picture")
    (tmp_path / "more").mkdir()
    info = probe(tmp_path, 12.5)
    assert (info.width, info.height, info.fps, info.frames, info.duration) == (64, 48, 12.5, 12, 0.96)
    assert not info.has_sound
    found = list(read_frames(info))
    assert [(frame.index, frame.time) for frame in found] == [(k, k / 12.5) for k in range(12)]
    for frame, expected in zip(found, images, strict=True):
        np.testing.assert_array_equal(frame.image, expected)
    assert not caplog.records


def test_what_is_left_out_is_said(tmp_path, caplog):
    for number in (1, 2, 5):
        save(tmp_path / f"{number}.png", picture())
    save(tmp_path / "cover.png", picture(8, 8))
    assert len(list(read_frames(probe(tmp_path, 25)))) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 1 pictures without a number left out, first: cover.png",
        f"{tmp_path}: 2 numbers between 1 and 5 have no picture; frames are shown one after the other",
    ]


def test_folders_that_are_no_frames(tmp_path):
    with pytest.raises(InputError, match="found no picture"):
        probe(tmp_path, 25)
    save(tmp_path / "cover.png", picture())
    with pytest.raises(InputError, match=r"found cover.png, which ends in no number"):
        probe(tmp_path, 25)
    save(tmp_path / "1.png", picture())
    save(tmp_path / "001.png", picture())
    with pytest.raises(InputError, match=r"two pictures of frame 1, 001.png and 1.png; remove one"):
        probe(tmp_path, 25)
    (tmp_path / "001.png").unlink()
    save(tmp_path / "2.png", picture(32, 32))
    with pytest.raises(InputError, match=r"2.png: expected 64x48 as the first frame has, found 32x32"):
        list(read_frames(probe(tmp_path, 25)))
    (tmp_path / "2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2.png: expected a PNG or JPEG picture"):
        list(read_frames(probe(tmp_path, 25)))


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), float("inf"), 1e6])
def test_rates_that_are_none(tmp_path, fps):
    save(tmp_path / "1.png", picture())
    with pytest.raises(InputError, match=r"--fps: expected 0.01 to 10000 frames a second"):
        probe(tmp_path, fps)


def test_the_rate_is_asked_for_and_only_of_folders(tmp_path):
    save(tmp_path / "1.png", picture())
    with pytest.raises(InputError, match=r"for a folder of frames say how many a second, as in --fps 25"):
        probe(tmp_path)
    with pytest.raises(InputError, match=r"1.png: --fps is about a folder of frames"):
        probe(tmp_path / "1.png", 25)
