"""The stored example: what a prepared dataset holds of one frame of a video, described once.

`data.examples` stores it by `features`, `data.decoding` reads it by `StoredExample`. K counts the faces of the video's
tracks, S its subjects; both are the same on all frames of a video. Everything but the two pictures is exact.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from vasal_jax.config import CROP_SIZE, FRAME_SIZE, MAP_SIZE, MEL_SIZE
from vasal_jax.errors import InputError


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


class StoredExample:
    """One serialized example, of which a field is decoded when it is asked for.

    Raises:
      InputError: in a call, what is stored is not such an example.
    """

    def __init__(self, serialized: bytes):
        try:
            self._features = _example().FromString(serialized).features.feature
        except DecodeError as error:
            raise InputError(f"a stored example is damaged ({str(error)[:100]}); prepare the dataset again") from None

    def __getitem__(self, name: str) -> np.ndarray | bytes:
        """The field of that name of `FIELDS`: bytes for a JPEG, else an array of its type and shape."""
        field, stored = FIELDS[name], self._features[name]
        try:
            if field.jpeg:
                return stored.bytes_list.value[0]
            if field.dtype is np.bool_:
                flat = np.array(stored.int64_list.value, np.bool_)
            else:
                flat = np.frombuffer(stored.float_list.packed, "<f4")
            return flat.reshape([-1 if length is None else length for length in field.shape])
        except (ValueError, IndexError):
            raise InputError(f"a stored example has no {name} as expected; prepare the dataset again") from None


@cache
def _example() -> Any:
    """The message `tf.train.Example`, with one change: floats are one field of bytes, as packed floats are on the wire.

    protobuf gives repeated floats as Python's, one by one, which takes thirty times as long as an array of their bytes.
    """
    file = descriptor_pb2.FileDescriptorProto(name="vasal_example.proto", package="vasal", syntax="proto3")
    field_type = descriptor_pb2.FieldDescriptorProto
    one, many, inner = field_type.LABEL_OPTIONAL, field_type.LABEL_REPEATED, field_type.TYPE_MESSAGE
    kinds = {"bytes": field_type.TYPE_BYTES, "int64": field_type.TYPE_INT64}
    messages: dict[str, list[tuple[str, Any, str]]] = {
        "BytesList": [("value", many, "bytes")],
        "FloatList": [("packed", one, "bytes")],
        "Int64List": [("value", many, "int64")],
        "Feature": [(f"{kind}_list", one, f"{kind.capitalize()}List") for kind in ("bytes", "float", "int64")],
        "Features": [("feature", many, "Features.FeatureEntry")],
        "Example": [("features", one, "Features")],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, (field, label, kind) in enumerate(fields, 1):
            own = {"type": kinds[kind]} if kind in kinds else {"type": inner, "type_name": f".vasal.{kind}"}
            message.field.add(name=field, number=number, label=label, **own)
        if name == "Features":
            entry = message.nested_type.add(name="FeatureEntry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=one, type=field_type.TYPE_STRING)
            entry.field.add(name="value", number=2, label=one, type=inner, type_name=".vasal.Feature")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("vasal.Example"))
