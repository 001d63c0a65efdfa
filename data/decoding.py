"""Stored examples to one clip of a packed batch: decoded, mirrored, made louder, each picture once."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import simplejpeg

from data.clips import ClipPlan
from data.schema import StoredExample
from vasal_jax.batch import MEL_LEVELS
from vasal_jax.config import CROP_SIZE, MAP_SIZE
from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import TOP_DB


def fill(clip: Mapping[str, np.ndarray], serialized: Sequence[bytes], plan: ClipPlan) -> None:
    """Writes one clip into its place of a batch.

    Args:
      clip: the arrays of the clip by name of `PackedBatch`, without B, zeros. A field that it lacks is not decoded.
      serialized: the examples of the plan as they are stored.
      plan: what to do with them.

    Raises:
      InputError: an example is damaged.
    """
    stored = [StoredExample(example) for example in serialized]
    own = [stored[i] for i in plan.own_at]
    known = {"frame_at": plan.frame_at, "past_at": plan.past_at, "mel_at": plan.heard_at, "colour": plan.colour}
    for name, value in {**known, "valid": plan.valid, "frame": plan.frame}.items():
        if name in clip:
            clip[name][...] = value
    if "pictures" in clip:
        for place, index in zip(clip["pictures"], plan.pictures, strict=False):
            _decode(stored[index]["frame"], place, plan.flip)
    if "mel_pictures" in clip:
        mel = _heard(np.stack([stored[i]["mel"] for i in plan.sounds]), plan)
        clip["mel_pictures"][: len(mel)] = np.rint(mel * np.float32(MEL_LEVELS))
    for name in ("face_map", "density"):
        if name in clip:
            maps = _stacked(own, name)
            clip[name][...] = (maps[..., ::-1] if plan.flip else maps).reshape(clip[name].shape)
    if "fixations" in clip:
        points = _stacked(own, "fixations")
        x = 1 - points[..., 0] if plan.flip else points[..., 0]
        clip["fixations"][...] = np.nan  # of subjects that the video does not have
        clip["fixations"][:, : points.shape[1]] = MAP_SIZE * np.stack([x, points[..., 1]], -1)
    if not clip.keys().isdisjoint(_OF_FACES):
        _fill_faces(clip, own, plan)


_OF_FACES = ("face_pictures", "face_boxes", "face_mask", "talking", "talking_known")


def _fill_faces(clip: Mapping[str, np.ndarray], own: Sequence[StoredExample], plan: ClipPlan) -> None:
    """The faces that cover most of the clip, in the order of their tracks."""
    boxes, mask = _stacked(own, "boxes"), _stacked(own, "mask")
    slots = next(clip[name].shape[1] for name in _OF_FACES if name in clip)
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    chosen = np.sort(np.argsort(-area.sum(0), kind="stable")[:slots])
    boxes, mask, used = boxes[:, chosen], mask[:, chosen], slice(len(chosen))
    if plan.flip:
        boxes = np.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], -1)
    values = {"face_boxes": np.where(mask[..., None], boxes, np.float32(0)), "face_mask": mask}
    values |= {name: _stacked(own, name)[:, chosen] for name in ("talking", "talking_known") if name in clip}
    for name, value in values.items():
        if name in clip:
            clip[name][:, used] = value
    if "face_pictures" in clip:
        for example, places, present in zip(own, clip["face_pictures"][:, used], mask, strict=True):
            if present.any():
                _decode_crops(example["crops"], chosen, present, places, plan.flip)


def _decode_crops(jpeg: Any, chosen: np.ndarray, present: np.ndarray, places: np.ndarray, flip: bool) -> None:
    """Writes the crops of the chosen faces that are present, of those side by side in a JPEG, into their slots."""
    strip = _decoded(jpeg, (CROP_SIZE, None))
    faces = strip.shape[1] // CROP_SIZE
    if strip.shape[1] != faces * CROP_SIZE or faces <= chosen.max():
        raise InputError(f"stored crops of {len(present)} faces are damaged, found {strip.shape[1]}x{strip.shape[0]}")
    crops = strip.reshape(CROP_SIZE, faces, CROP_SIZE, 3).swapaxes(0, 1)[:, :, :: -1 if flip else 1]
    for slot in present.nonzero()[0]:
        places[slot] = crops[chosen[slot]]


def _stacked(examples: Sequence[StoredExample], name: str) -> np.ndarray:
    return np.stack([np.asarray(example[name]) for example in examples])


def _heard(mel: np.ndarray, plan: ClipPlan) -> np.ndarray:
    """Log-mel pictures (M, 64, 64) louder or softer, and backwards where the clip runs so.

    Pictures are decibels, `TOP_DB` of them on 0..255. Silence, which is 0, stays silent.
    """
    if plan.gain != 0:
        louder = np.clip(mel + np.float32(plan.gain * (255.0 / TOP_DB)), 0, 255)
        mel = np.where(mel > 0, louder, mel)
    return mel[..., ::-1] if plan.reverse else mel


def _decode(jpeg: Any, place: np.ndarray, flip: bool) -> None:
    """Decodes a JPEG into an array of its size, mirrored or not."""
    if flip:
        cv2.flip(_decoded(jpeg, place.shape), 1, dst=place)
    else:
        _decoded(jpeg, place.shape, place)


def _decoded(jpeg: Any, shape: tuple[int | None, ...], into: np.ndarray | None = None) -> np.ndarray:
    """A JPEG as RGB, uint8 of a shape whose width may be open, in `into` if there is one."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        if height != shape[0] or width != (shape[1] or width):
            raise ValueError(f"expected {shape[1] or 'any'}x{shape[0]}, found {width}x{height}")
        return simplejpeg.decode_jpeg(jpeg, buffer=into)
    except ValueError as error:
        raise InputError(f"a stored picture is damaged: {str(error)[:200]}; prepare the dataset again") from None
