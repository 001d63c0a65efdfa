"""What a batch of clips holds, as a model takes it and as it travels to the devices."""

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict

Array = Any
"""An array of NumPy or JAX."""


class ClipFields(TypedDict):
    """What a `Batch` and a `PackedBatch` have alike, of B clips of T frames with N face slots and S subjects."""

    face_map: Array
    """float32 (B, T, 32, 32, 1), where the faces are, all weighed alike, -14.9..240.1; zeros without faces."""
    face_boxes: Array
    """float32 (B, T, N, 4), x1, y1, x2, y2 in 0..1 of the picture; zeros where masked."""
    face_mask: Array
    """bool (B, T, N), False where a slot holds no face."""
    talking: Array
    """bool (B, T, N), whether the face talks."""
    talking_known: Array
    """bool (B, T, N), False where the dataset does not say whether the face talks."""
    density: Array
    """float32 (B, T, 32, 32), the fixation density, sums to 1; zeros on a frame without fixations."""
    fixations: Array
    """float32 (B, T, S, 2), x, y in cells of the density, 0..32; NaN where a subject has none."""
    valid: Array
    """bool (B, T), False on frames that only fill up a clip."""
    video: Array
    """str (B,), the video's ID. NumPy's alone."""
    frame: Array
    """int32 (B, T), the frame's index in its video, from 0."""


class Batch(ClipFields):
    """Arrays of B clips of T frames with N face slots and S subjects, by name.

    Which of them a batch holds is up to what it is for: the data pipeline leaves out what nobody asked for, a model
    with a face branch reads other fields than one without (`models.FaceInputs`).
    """

    frames: Array
    """float32 (B, T, 256, 256, 3), RGB minus its mean `config.RGB_MEAN`, on the 0..255 scale."""
    frames_past: Array
    """float32 (B, T, 256, 256, 3), the frames 5 earlier; the video's first frame where there is none."""
    mel: Array
    """float32 (B, T, 16, 64, 64, 1), the log-mel pictures around each frame, 0..255; zeros are silence."""
    face_crops: Array
    """float32 (B, T, N, 64, 64, 3), RGB minus its mean, on the 0..255 scale; zeros where masked. A face keeps its slot
    of the N over time."""
    mel_of_another: NotRequired[Array]
    """As `mel`, of another video: what an ablation of the evaluation hears (`ablations.OTHER_MEL`)."""


class PackedBatch(ClipFields):
    """A `Batch` as training reads it and sends it to the devices: a sixth of the bytes.

    Each picture and each log-mel picture is there once, as whole numbers, with the places at which it stands in the
    clip. `training.unpacking` makes the fields of a `Batch` of them on the device. P and M are the most that clips of
    these options need; places that a clip does not need hold zeros.
    """

    pictures: Array
    """uint8 (B, P, 256, 256, 3), RGB."""
    frame_at: Array
    """int32 (B, T), which of the pictures is each frame's."""
    past_at: Array
    """int32 (B, T), which of them is that of the frame 5 earlier."""
    colour: Array
    """float32 (B, 3), factors of brightness, contrast and saturation; 1 changes nothing."""
    mel_pictures: Array
    """uint16 (B, M, 64, 64), log-mel pictures in 257ths of a grey level; 0 is silence."""
    mel_at: Array
    """int32 (B, T, 16), which of them are in the window of each frame."""
    face_pictures: Array
    """uint8 (B, T, N, 64, 64, 3), RGB; zeros where masked."""


PACKED = {
    "frames": ("pictures", "frame_at", "colour"),
    "frames_past": ("pictures", "past_at", "colour"),
    "mel": ("mel_pictures", "mel_at"),
    "face_crops": ("face_pictures", "colour"),
}
"""What each field of a `Batch` that a `PackedBatch` lacks is made of."""

OF_A_CLIP = ("pictures", "colour", "mel_pictures")
"""The fields of a `PackedBatch` whose second axis is not that of the frames."""

MEL_LEVELS = 257
"""Steps of `mel_pictures` in a grey level, so that 0..255 are 0..65535: to 1/514 of a grey level, or 0.0006 decibels.
Eight bits would do for a network, and save 3% of a batch."""


def packed_names(names: Iterable[str]) -> tuple[str, ...]:
    """The fields of a `PackedBatch` that these fields of a `Batch` are made of, each once."""
    return tuple(dict.fromkeys(part for name in names for part in PACKED.get(name, (name,))))


def held(batch: Mapping[str, Array], names: Iterable[str]) -> dict[str, Array]:
    """The fields of that name, or what they are made of where the batch is packed."""
    parts = (part for name in names for part in ((name,) if name in batch else packed_names([name])))
    return {part: batch[part] for part in parts}
