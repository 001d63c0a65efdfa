"""The stored example: what a prepared dataset holds of one frame of a video, described once.

`data.examples` stores it by `features`, `data.decoding` parses it by `parsing_spec`. K counts the faces of the video's
tracks, S its subjects; both are the same on all frames of a video. Everything but the two pictures is exact.
"""

from typing import Any, NamedTuple

import numpy as np

from vasal_jax.config import CROP_SIZE, FRAME_SIZE, MAP_SIZE, MEL_SIZE


class Field(NamedTuple):
    """An array of the example; None in the shape is K or S, or the width of a picture."""

    shape: tuple[int | None, ...]
    dtype: Any
    jpeg: bool = False


FIELDS = {
    "frame": Field((FRAME_SIZE, FRAME_SIZE, 3), np.uint8, jpeg=True),
    # K crops side by side, or one of the mean colour where the video has no tracks
    "crops": Field((CROP_SIZE, None, 3), np.uint8, jpeg=True),
    "boxes": Field((None, 4), np.float32),  # x1, y1, x2, y2 in 0..1
    "mask": Field((None,), np.bool_),  # whether the face is there
    "talking": Field((None,), np.bool_),
    "talking_known": Field((None,), np.bool_),  # False where the dataset does not say whether the face talks
    "face_map": Field((MAP_SIZE, MAP_SIZE), np.float32),  # faces all alike
    "mel": Field((MEL_SIZE, MEL_SIZE), np.float32),  # the log-mel picture at the frame's time
    "density": Field((MAP_SIZE, MAP_SIZE), np.float32),  # sums to 1, or zeros
    # centres of the fixated pixels as shares 0..1 of the picture, NaN where a subject has none
    "fixations": Field((None, 2), np.float32),
}


def features() -> Any:
    """The example as TensorFlow Datasets stores it: a `tfds.features.FeaturesDict`."""
    import tensorflow_datasets as tfds

    def feature(field: Field) -> Any:
        if field.jpeg:
            return tfds.features.Image(shape=field.shape, encoding_format="jpeg")
        return tfds.features.Tensor(shape=field.shape, dtype=field.dtype)

    return tfds.features.FeaturesDict({name: feature(field) for name, field in FIELDS.items()})


def parsing_spec() -> dict[str, Any]:
    """The example as `tf.io.parse_example` takes it: JPEGs as bytes, booleans as integers."""
    import tensorflow as tf

    def feature(field: Field) -> Any:
        if field.jpeg:
            return tf.io.FixedLenFeature((), tf.string)
        dtype = tf.int64 if field.dtype is np.bool_ else tf.as_dtype(field.dtype)
        if field.shape[0] is None:
            return tf.io.FixedLenSequenceFeature(field.shape[1:], dtype, allow_missing=True)
        return tf.io.FixedLenFeature(field.shape, dtype)

    return {name: feature(field) for name, field in FIELDS.items()}
