"""What looking for faces more or less often costs and misses: `python scripts/compare_look_intervals.py FOLDER`.

On 12 drawn scenes, and on a camera that is swept fast over the group pictures that `scripts/compare_face_detectors.py`
fetches into FOLDER; their faces are those that YuNet finds in the whole picture. Prints identity switches, misses and
false boxes for each number of frames from one look to the next, and CPU time a frame of 640x360. Run it from the
checkout: the counting is that of the tests.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tyro
from tyro.conf import Positional

from tests.inputs.faces.test_tracking import count_errors
from vasal_jax.inputs.faces.detection import follow_faces, open_detector
from vasal_jax.inputs.faces.detector import Detector, reduced
from vasal_jax.inputs.faces.tracking import stacked
from vasal_jax.inputs.images import read_rgb
from vasal_jax.scenes import Scene
from vasal_jax.system.terminal import run

EVERY = (1, 2, 3, 4, 5, 8)
GROUPS = (*(f"sample{number}.jpg" for number in range(1, 7)), "t1.jpg")
WIDTH, HEIGHT = 640, 360
FRAMES = 75

Video = tuple[list[np.ndarray], np.ndarray]  # frames, and boxes (F,N,4) in 0..1, NaN where absent


def drawn() -> Iterator[Video]:
    """Scenes of 2 s."""
    for seed in range(20, 32):
        scene = Scene.make(seed, seconds=2.0)
        yield [scene.frame(index) for index in range(scene.n_frames)], scene.boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT)


def swept(folder: Path, detector: Detector) -> Iterator[Video]:
    """A camera that pans, zooms and shakes over still pictures."""
    for number, name in enumerate(GROUPS):
        image = read_rgb(next(path for path in sorted(folder.rglob(name)) if path.is_file()))
        height, width = image.shape[:2]
        corners = detector(reduced(image))[0] * (width, height, width, height)
        rng, frames, boxes = np.random.default_rng(number), [], []
        for index in range(FRAMES):
            zoom = 0.45 * width / WIDTH * (1 + 0.35 * np.sin(index / 12 + number))
            x = width * (0.5 + 0.22 * np.sin(index / 9 + number))
            y = height * (0.5 + 0.1 * np.cos(index / 7)) + rng.normal(0, 6)
            matrix = np.array([[1 / zoom, 0, WIDTH / 2 - x / zoom], [0, 1 / zoom, HEIGHT / 2 - y / zoom]], np.float32)
            flags, border = cv2.INTER_AREA, cv2.BORDER_REFLECT
            frame = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=border)
            frames.append(cv2.GaussianBlur(frame, (7, 1), 0) if abs(np.cos(index / 9 + number)) > 0.8 else frame)
            moved = (corners - (x, y, x, y)) / zoom / (WIDTH, HEIGHT, WIDTH, HEIGHT) + 0.5
            seen = np.clip(moved, 0, 1)
            share = (seen[:, 2:] - seen[:, :2]).prod(1) / (moved[:, 2:] - moved[:, :2]).prod(1)
            boxes.append(np.where((share > 0.6)[:, None], seen, np.nan))
        yield frames, np.array(boxes)


def compare(folder: Path) -> int:
    """Prints the numbers; returns the exit code."""
    detector = open_detector("yunet")
    for name, videos in (("drawn", list(drawn())), ("swept", list(swept(folder, detector)))):
        faces = sum(int(np.isfinite(boxes).all(-1).sum()) for _, boxes in videos)
        for every in EVERY:
            errors, begin = np.zeros(3, int), time.process_time()
            for frames, boxes in videos:
                errors += count_errors(boxes, *stacked(follow_faces(frames, name, every=every, detector=detector)), 0.3)
            cost = (time.process_time() - begin) / sum(len(frames) for frames, _ in videos)
            print(f"{name}, {faces} faces, every {every}: {errors.tolist()}, {1000 * cost:.1f} ms a frame", flush=True)
    return 0


def main() -> None:
    """The command line."""
    folder = tyro.cli(Positional[Path], description=(__doc__ or "").partition("\n")[0])
    sys.exit(run(lambda: compare(folder)))


if __name__ == "__main__":
    main()
