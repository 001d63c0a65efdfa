"""One frame of a video with all that training needs, at model size, made from a record: the fields of `data.schema`."""

import io
from collections.abc import Iterator

import cv2
import numpy as np

from data.records import VideoRecord
from vasal_jax.config import FRAME_SIZE, MAP_SIZE
from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import hop_at, load_spectrogram, mel_picture
from vasal_jax.inputs.faces.crops import crop_faces
from vasal_jax.inputs.faces.maps import gaussian_mixture, normalise_face_map
from vasal_jax.inputs.fixations import fixation_density, valid_points

JPEG_QUALITY = 95
_NO_CROPS = crop_faces(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 4)), np.zeros(1, bool))


def frame_examples(
    record: VideoRecord, sigma: float | None, tracks: tuple[np.ndarray, np.ndarray] | None = None
) -> Iterator[dict]:
    """Yields of each frame, in order, the fields of `data.schema.FIELDS`.

    Args:
      record: the video.
      sigma: standard deviation of the density in pixels of the grid of fixations; None takes the dataset's own maps.
      tracks: faces to store in place of those of the dataset, boxes and mask as `VideoRecord.tracks`; nobody has said
        of these who talks.

    Raises:
      InputError: a part of the video cannot be read, or it ends before `record.n_frames`.
    """
    track = load_spectrogram(record.sound or record.video)
    points = record.fixations()
    found, tracks = tracks is not None, tracks or record.tracks()
    none = np.zeros((record.n_frames, 0, 4), np.float32), np.zeros((record.n_frames, 0), bool)
    boxes, mask = tracks or none
    talking, known = np.zeros((2, *mask.T.shape), bool) if found else _flags(record, mask.shape[1])
    count = 0
    for frame in record.frames():
        i, count = frame.index, count + 1
        crops = crop_faces(frame.image, boxes[i], mask[i]) if len(mask[i]) else _NO_CROPS
        yield {
            "frame": _jpeg(cv2.resize(frame.image, (FRAME_SIZE, FRAME_SIZE))),
            "crops": _jpeg(np.concatenate(crops, axis=1)),
            "boxes": boxes[i],
            "mask": mask[i],
            "talking": talking[:, i] & mask[i],
            "talking_known": known[:, i] & mask[i],
            "face_map": normalise_face_map(gaussian_mixture(boxes[i], mask[i])),
            "mel": mel_picture(track, hop_at(frame.time)),
            "density": _density(record, i, points[i], sigma),
            "fixations": _shares(points[i], record.grid),
        }
    if count != record.n_frames:
        raise InputError(f"{record.video}: expected {record.n_frames} frames, decoded {count}; the video is damaged")


def _flags(record: VideoRecord, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Talking flags, and of which faces and frames they are known: bool (faces, F) each."""
    talking, known = record.talking(), record.talking_known()
    if talking is None or known is None:
        nobody = np.zeros((faces, record.n_frames), bool)
        return nobody, nobody
    return talking, known


def _density(record: VideoRecord, index: int, points: np.ndarray, sigma: float | None) -> np.ndarray:
    if sigma is not None:
        return fixation_density(points, (MAP_SIZE, MAP_SIZE), record.grid, sigma)
    picture = record.density_picture(index)
    if picture is None:
        raise InputError(f"{record.video}: {record.dataset} has no density maps of its own; choose a sigma")
    density = cv2.resize(picture.astype(np.float32), (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA)
    return density / max(density.sum(), np.float32(1e-12))


def _shares(points: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    centres = (np.floor(points) + 0.5) / (grid[1], grid[0])
    return np.where(valid_points(points, grid)[..., None], centres, np.nan).astype(np.float32)


def _jpeg(image: np.ndarray) -> io.BytesIO:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return io.BytesIO(data.tobytes())
