"""Pictures of single frames for the report: what was shown, where people looked, what was predicted."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth
from vasal_jax.evaluation.rows import ReadMaps
from vasal_jax.outputs.heatmap import grey_map, overlay

PICTURE_SIDE = 480  # pixels of a picture's longer side


@dataclass(frozen=True)
class Shot:
    """One frame of a video in pictures."""

    frame: int
    seconds: float
    score: float
    size: tuple[int, int]  # width, height
    pictures: list[tuple[str, str]]  # what it is, data URI


def shots(
    truth: GroundTruth, conventions: Conventions, open_maps: Callable[[GroundTruth], ReadMaps], values: np.ndarray
) -> list[Shot]:
    """The frames of lowest, median and highest score, in this order."""
    order = [int(frame) for frame in np.argsort(values) if np.isfinite(values[frame])]
    chosen = list(dict.fromkeys((order[0], order[len(order) // 2], order[-1])))
    read = open_maps(truth)
    found = {}
    for frame in truth.video.frames():
        if frame.index in chosen:
            image = _small(frame.image)
            density, saliency = truth.density([frame.index], conventions)[0], read([frame.index])[0]
            pictures = {
                "Frame": image,
                "Where people looked": _dotted(_heated(image, density), truth, frame.index),
                "Prediction": _heated(image, saliency),
            }
            size = image.shape[1::-1]
            uris = [(kind, _data_uri(picture)) for kind, picture in pictures.items()]
            found[frame.index] = Shot(frame.index, frame.time, float(values[frame.index]), size, uris)
        if len(found) == len(chosen):
            break
    return [found[frame] for frame in chosen if frame in found]


def _small(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1, PICTURE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _heated(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return overlay(image, grey_map(saliency, image.shape[1], image.shape[0]))


def _dotted(image: np.ndarray, truth: GroundTruth, frame: int) -> np.ndarray:
    """The picture with the frame's fixations on it."""
    pixels, mask = truth.pixels(Conventions(size=image.shape[:2]))
    image = np.ascontiguousarray(image)
    for x, y in pixels[frame][mask[frame]].tolist():
        cv2.circle(image, (x, y), 2, (0, 0, 0), -1)
        cv2.circle(image, (x, y), 1, (255, 255, 255), -1)
    return image


def _data_uri(image: np.ndarray) -> str:
    _, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
