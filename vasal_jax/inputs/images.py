"""Picture files as arrays, grey or in colour."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system.reading import read_bytes

logger = logging.getLogger(__name__)

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_START_OF_FRAME = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: what libjpeg decodes by Huffman codes
_START_OF_SCAN = 0xDA
_LOOKED_AT = 2**20  # pixels, in whole rows
_COLOUR = 16  # of 255 by which the channels of a grey JPEG may differ

_looked_at: set[Path] = set()  # folders whose maps were found grey, or were warned of


def read_grey(path: str | os.PathLike) -> np.ndarray:
    """Reads a map, a PNG or JPEG picture of any depth, as grey.

    A picture whose colours differ, or that says all in its alpha channel, gets one logged warning for its folder: it is
    read as the brightness of its colours, which is hardly what was meant.

    Returns:
      uint8 (H,W), or uint16 (H,W) where the file has 16 bits.

    Raises:
      InputError: the file is missing, no such picture, damaged, or beyond `limits`.
    """
    path = Path(path)
    grey = _read(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if path.parent not in _looked_at:
        _look_at_channels(path)
    return grey


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Reads a PNG or JPEG picture in colour: uint8 (H,W,3) RGB. Raises `InputError` as `read_grey` does."""
    return _read(Path(path), cv2.IMREAD_COLOR_RGB)


def _read(path: Path, mode: int) -> np.ndarray:
    content = read_bytes(path, "a PNG or JPEG picture", limits.MAX_PICTURE_BYTES)
    # What it is, its content says, not its name; OpenCV would try a dozen other decoders.
    if content.startswith(_PNG):
        width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        scans = 1
    elif content.startswith(_JPEG):
        width, height = _jpeg_size(content)
        scans = content.count(bytes([0xFF, _START_OF_SCAN]))
    else:
        raise InputError(f"{path}: expected a PNG or JPEG picture, found something else")
    if max(width, height) > limits.MAX_SIDE or width * height > limits.MAX_AREA:
        most = f"{limits.MAX_AREA} pixels, {limits.MAX_SIDE} a side"
        raise InputError(f"{path}: expected a picture of at most {most}, found {width}x{height}; make it smaller")
    if width * height * scans > limits.MAX_JPEG_WORK and scans > 1:
        raise InputError(f"{path}: found a JPEG of {width}x{height} in {scans} scans; save it as baseline JPEG or PNG")
    try:
        # A map or frame lies as it is stored: what a camera notes of its own position does not turn it.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        image = None
    if image is None:
        raise InputError(f"{path}: expected a PNG or JPEG picture, found a damaged file")
    return image


def _look_at_channels(path: Path) -> None:
    """Warns of a folder by the first of its maps that is not the same all over."""
    image = _read(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        _looked_at.add(path.parent)
        return
    image = image[:: 1 + image.shape[0] * image.shape[1] // _LOOKED_AT]
    colours, alpha = image[..., :3].astype(np.int32), image[..., 3:]
    constant = np.ptp(colours.reshape(-1, colours.shape[-1]), axis=0).max() == 0
    if np.ptp(colours, axis=-1).max() > _COLOUR * (257 if image.dtype == np.uint16 else 1):
        what = "are in colour"
    elif constant and alpha.size and np.ptp(alpha) > 0:
        what = "say all in their alpha channel, which is not read"
    else:
        if not constant:
            _looked_at.add(path.parent)
        return
    logger.warning("%s: its maps %s (%s); their brightness is taken, save them as grey", path.parent, what, path.name)
    _looked_at.add(path.parent)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height of a JPEG: the largest of its frame headers; 0, 0 where there is none."""
    sizes = [(0, 0)]
    for marker, start in _jpeg_segments(content):
        if marker in _START_OF_FRAME:
            height, width = (int.from_bytes(content[start + at : start + at + 2], "big") for at in (3, 5))
            sizes.append((width, height))
    return max(sizes, key=lambda size: size[0] * size[1])


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Marker and first byte (of the length) of each segment up to the first scan."""
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            at += 1  # a decoder skips what is no marker
            continue
        marker = content[at + 1]
        if marker == _START_OF_SCAN:
            return
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # without a length
            at += 1 if marker == 0xFF else 2
            continue
        yield marker, at + 2
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
