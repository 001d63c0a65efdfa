"""Picture files as arrays, grey or in colour."""

import os
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.errors import InputError


def read_grey(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as grey: uint8 (H,W). Raises `InputError` where it is missing or no picture."""
    return _read(Path(path), cv2.IMREAD_GRAYSCALE)


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture in colour: uint8 (H,W,3) RGB. Raises `InputError` where it is missing or no picture."""
    return _read(Path(path), cv2.IMREAD_COLOR_RGB)


def _read(path: Path, mode: int) -> np.ndarray:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        # A map or frame lies as it is stored: what a camera notes of its own position does not turn it.
        image = cv2.imdecode(content, mode | cv2.IMREAD_IGNORE_ORIENTATION) if content.size else None
    except OSError as error:
        raise InputError(f"{path}: the picture cannot be read ({error.strerror or error})") from None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{path}: expected a picture, found something else or a damaged file")
    return image
