"""Stored pictures against OpenCV's reading of the same JPEG, to the bit, and JPEGs that are not what they should be."""

import cv2
import numpy as np
import pytest

from data.decoding import _decode, _decode_crops
from data.examples import JPEG_QUALITY
from vasal_jax.config import CROP_SIZE, FRAME_SIZE
from vasal_jax.errors import InputError


def drawn(height: int, width: int) -> np.ndarray:
    """A smooth picture with noise, so that every coefficient of its JPEG is in use."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, sampling: int = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420) -> bytes:
    how = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
    return cv2.imencode(".jpg", picture, how)[1].tobytes()


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("sampling", [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444])
def test_a_picture_is_that_of_opencv_to_the_bit(flip, sampling):
    data = jpeg(drawn(FRAME_SIZE, FRAME_SIZE), sampling)
    batch = np.zeros((2, 3, FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    _decode(data, batch[1, 1], flip)
    np.testing.assert_array_equal(batch[1, 1], by_opencv(data)[:, ::-1] if flip else by_opencv(data))
    batch[1, 1] = 0
    assert not batch.any()


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_those_of_opencv_to_the_bit(flip):
    data = jpeg(drawn(CROP_SIZE, 3 * CROP_SIZE))
    places = np.zeros((2, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    _decode_crops(data, np.array([2, 0]), np.array([True, False]), places, flip)
    expected = by_opencv(data)[:, 2 * CROP_SIZE :]
    np.testing.assert_array_equal(places[0], expected[:, ::-1] if flip else expected)
    assert not places[1].any()


WHOLE = jpeg(drawn(FRAME_SIZE, FRAME_SIZE))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged"),
        (b"\x89PNG" + WHOLE[4:], "damaged"),
        (WHOLE[: len(WHOLE) // 2], "damaged: Premature end"),  # OpenCV fills up what is missing with grey
        (jpeg(drawn(FRAME_SIZE, FRAME_SIZE // 2)), "expected 256x256, found 128x256"),
        (jpeg(np.zeros((8, 16000, 3), np.uint8)), "expected 256x256, found 16000x8"),
    ],
)
def test_what_is_no_picture_of_that_size_is_refused(data, message):
    place = np.zeros((FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    for flip in (False, True):
        with pytest.raises(InputError, match=f"a stored picture is {message}" if "damaged" in message else message):
            _decode(data, place, flip)


@pytest.mark.parametrize("width", [2 * CROP_SIZE, 3 * CROP_SIZE + 1])
def test_crops_of_too_few_faces_are_refused(width):
    data = jpeg(cv2.resize(drawn(CROP_SIZE, 3 * CROP_SIZE), (width, CROP_SIZE)))
    with pytest.raises(InputError, match=f"crops of 2 faces are damaged, found {width}x64"):
        _decode_crops(data, np.array([2, 0]), np.array([True, True]), np.zeros((2, 64, 64, 3), np.uint8), False)
