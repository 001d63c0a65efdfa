"""How many faces of real pictures YuNet and MTCNN find: `python scripts/compare_face_detectors.py FOLDER`.

The pictures are samples of public packages and no part of this repository. Fetch and unpack them into FOLDER:

    pip download --no-deps scikit-image                                           astronaut.png, in the wheel
    pip download --no-deps --no-binary insightface insightface==0.7.3             6 pictures, in the source archive
    pip download --no-deps --no-binary face_recognition face_recognition==1.3.0   7 pictures, likewise
    npm pack @vladmandic/face-api@1.7.15                                          sample1.jpg to sample6.jpg

Prints the faces found and the false boxes of all pictures as they are, and where all are changed: smaller, darker,
turned, with a mask over the mouth or a bar over the eyes. MTCNN needs `pip install "vasal-jax[faces]"`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.detection import DETECTORS
from vasal_jax.inputs.faces.detector import Detector, reduced
from vasal_jax.inputs.images import read_rgb
from vasal_jax.system.terminal import run

# Of every face the middle and the height, in shares of the picture, by eye. The four masks are pictures without faces.
FACES: dict[str, list[tuple[float, float, float]]] = {
    "astronaut.png": [(0.44, 0.24, 0.22)],
    "Tom_Hanks_54745.png": [(0.46, 0.50, 1.00)],
    "mask_black.jpg": [],
    "mask_blue.jpg": [],
    "mask_green.jpg": [],
    "mask_white.jpg": [],
    "t1.jpg": [
        (0.09, 0.37, 0.15),
        (0.25, 0.24, 0.15),
        (0.40, 0.39, 0.16),
        (0.62, 0.46, 0.15),
        (0.74, 0.15, 0.17),
        (0.92, 0.38, 0.15),
    ],
    "sample1.jpg": [(0.26, 0.37, 0.19), (0.49, 0.42, 0.19), (0.82, 0.24, 0.18)],
    "sample2.jpg": [(0.23, 0.21, 0.22), (0.51, 0.25, 0.18), (0.81, 0.21, 0.17)],
    "sample3.jpg": [(0.36, 0.35, 0.20), (0.62, 0.27, 0.23), (0.83, 0.32, 0.22)],
    "sample4.jpg": [(0.18, 0.22, 0.17), (0.39, 0.13, 0.16), (0.56, 0.21, 0.17), (0.71, 0.19, 0.16)],
    "sample5.jpg": [(0.25, 0.73, 0.20), (0.36, 0.39, 0.17), (0.46, 0.16, 0.14), (0.62, 0.23, 0.16), (0.78, 0.39, 0.19)],
    "sample6.jpg": [(0.19, 0.41, 0.17), (0.40, 0.32, 0.20), (0.66, 0.30, 0.19), (0.83, 0.27, 0.20)],
    "32bit.png": [(0.54, 0.36, 0.33), (0.98, 0.42, 0.24)],
    "biden.jpg": [(0.59, 0.17, 0.18)],
    "obama.jpg": [(0.54, 0.22, 0.29)],
    "obama2.jpg": [(0.54, 0.36, 0.33), (0.98, 0.42, 0.24)],
    "obama3.jpg": [(0.54, 0.19, 0.15)],
    "obama_partial_face.jpg": [(0.19, 0.22, 0.29)],
    "obama_partial_face2.jpg": [(0.83, 0.22, 0.29)],
}
WIDTH = 0.75  # of a face, in its heights

Faces = np.ndarray  # float (n,3): x, y and height in pixels
Change = Callable[[np.ndarray, Faces], tuple[np.ndarray, Faces]]


def smaller(height: float) -> Change:
    """The median face is so many pixels high, in the picture that the detector sees."""

    def change(image: np.ndarray, faces: Faces) -> tuple[np.ndarray, Faces]:
        scale = height / np.median(faces[:, 2]) if len(faces) else 1.0
        return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), faces * scale

    return change


def darker(share: float) -> Change:
    """The picture in this share of its light."""
    return lambda image, faces: ((image * share).astype(np.uint8), faces)


def turned(degrees: float) -> Change:
    """The whole picture turned in its plane, on a grey ground."""

    def change(image: np.ndarray, faces: Faces) -> tuple[np.ndarray, Faces]:
        height, width = image.shape[:2]
        side = int(np.hypot(height, width))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        matrix[:, 2] += (side - width) / 2, (side - height) / 2
        centres = np.c_[faces[:, :2], np.ones(len(faces))] @ matrix.T
        turned_image = cv2.warpAffine(image, matrix, (side, side), borderValue=(128, 128, 128))
        return turned_image, np.c_[centres, faces[:, 2]]

    return change


def covered(top: float, bottom: float, colour: tuple[int, int, int]) -> Change:
    """A plain band over each face, from one height to another, in shares of the face."""

    def change(image: np.ndarray, faces: Faces) -> tuple[np.ndarray, Faces]:
        image = image.copy()
        for x, y, height in faces:
            left, right = (round(x + side * WIDTH * height / 2) for side in (-1, 1))
            high, low = (round(y + (share - 0.5) * height) for share in (top, bottom))
            cv2.rectangle(image, (left, high), (right, low), colour, -1)
        return image, faces

    return change


CHANGES: dict[str, Change] = {
    "as they are": lambda image, faces: (image, faces),
    "faces 32 pixels high": smaller(32),
    "faces 20 pixels high": smaller(20),
    "faces 12 pixels high": smaller(12),
    "a quarter of the light": darker(0.25),
    "a sixteenth of the light": darker(1 / 16),
    "turned by 30 degrees": turned(30),
    "turned by 60 degrees": turned(60),
    "upside down": turned(180),
    "a pale blue mask": covered(0.5, 1.0, (170, 200, 225)),
    "a black mask": covered(0.5, 1.0, (20, 20, 20)),
    "a black bar over the eyes": covered(0.25, 0.5, (20, 20, 20)),
}


def counted(boxes: np.ndarray, faces: Faces, shape: tuple[int, ...]) -> tuple[int, int]:
    """Faces with a box around their middle of half to twice their height, and boxes left over."""
    left = [box * np.tile(shape[1::-1], 2) for box in boxes]
    found = 0
    for x, y, height in faces:
        fits = [
            index
            for index, (x1, y1, x2, y2) in enumerate(left)
            if x1 <= x <= x2 and y1 <= y <= y2 and 0.5 * height <= y2 - y1 <= 2 * height
        ]
        if fits:
            del left[fits[0]]
            found += 1
    return found, len(left)


def pictures(folder: Path) -> dict[str, np.ndarray]:
    """The pictures of `FACES` as a detector sees them. Raises `InputError` where one is missing."""
    found = {}
    for name in FACES:
        path = next((path for path in sorted(folder.rglob(name)) if path.is_file()), None)
        if path is None:
            raise InputError(f"{folder}: holds no {name}; the first lines of this script say where it comes from")
        found[name] = reduced(read_rgb(path))
    return found


def compare(folder: Path) -> int:
    """Prints the table; returns the exit code. Raises `InputError`."""
    detectors: dict[str, Detector] = {name: make() for name, make in DETECTORS.items()}
    images = pictures(folder)
    table = Table("pictures", "faces", *(f"{name}: found, false" for name in detectors))
    for change_name, change in CHANGES.items():
        totals, number = {name: np.zeros(2, int) for name in detectors}, 0
        for name, image in images.items():
            height, width = image.shape[:2]
            faces = np.reshape(FACES[name], (-1, 3)) * (width, height, height)
            changed, faces = change(image, faces)
            number += len(faces)
            for detector, detect in detectors.items():
                totals[detector] += counted(detect(reduced(changed))[0], faces, changed.shape)
        table.add_row(change_name, str(number), *(f"{found}, {false}" for found, false in totals.values()))
    Console().print(table)
    return 0


def main() -> None:
    """The command line."""
    folder = tyro.cli(Positional[Path], description=(__doc__ or "").partition("\n")[0])
    sys.exit(run(lambda: compare(folder)))


if __name__ == "__main__":
    main()
