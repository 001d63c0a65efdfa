"""What a batch of clips holds."""

from typing import Any, NotRequired, TypedDict

Array = Any
"""An array of NumPy or JAX."""


class Batch(TypedDict):
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
    face_map: Array
    """float32 (B, T, 32, 32, 1), where the faces are, all weighed alike, -14.9..240.1; zeros without faces."""
    face_crops: Array
    """float32 (B, T, N, 64, 64, 3), RGB minus its mean, on the 0..255 scale; zeros where masked. A face keeps its slot
    of the N over time."""
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
    mel_of_another: NotRequired[Array]
    """As `mel`, of another video: what an ablation of the evaluation hears (`ablations.OTHER_MEL`)."""
