"""A folder of pictures, one a frame, as a video."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.images import read_rgb

logger = logging.getLogger(__name__)

_SUFFIXES = (".png", ".jpg", ".jpeg")


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder in the order of the numbers that their names end in, such as `frame_0001.png`.

    Hidden files, such as macOS's `._0001.png`, and other files are passed over; numbers that are missing and pictures
    without a number get a logged warning.

    Raises:
      InputError: the folder cannot be read, has no such pictures, or two of one number.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.name[0] != ".")
    except OSError as error:
        raise InputError(f"{folder}: cannot be read, expected a folder of frames ({error.strerror})") from None
    pictures: dict[int, Path] = {}
    nameless = []
    for file in files:
        found = re.search("[0-9]{1,18}$", file.stem)
        if found is None:
            nameless.append(file.name)
            continue
        number = int(found[0])
        if number in pictures:
            raise InputError(
                f"{folder}: two pictures of frame {number}, {pictures[number].name} and {file.name}; remove one"
            )
        pictures[number] = file
    if not pictures:
        found_instead = f"{nameless[0]}, which ends in no number" if nameless else "no picture"
        raise InputError(f"{folder}: expected frames such as 00001.png or frame_1.jpg, found {found_instead}")
    if nameless:
        logger.warning("%s: %d pictures without a number left out, first: %s", folder, len(nameless), nameless[0])
    first, last = min(pictures), max(pictures)
    if missing := last - first + 1 - len(pictures):
        logger.warning("%s: %d numbers between %d and %d have no picture; frames are shown one after the other",
                       folder, missing, first, last)  # fmt: skip
    return tuple(pictures[number] for number in sorted(pictures))


def read_pictures(files: Sequence[Path]) -> Iterator[np.ndarray]:
    """Reads the frames one by one: uint8 (H,W,3) RGB of one size.

    Raises:
      InputError: a picture cannot be read, or has another size than the first.
    """
    size = None
    for file in files:
        image = read_rgb(file)
        height, width = image.shape[:2]
        size = size or (width, height)
        if size != (width, height):
            raise InputError(f"{file}: expected {size[0]}x{size[1]} as the first frame has, found {width}x{height}")
        yield image
