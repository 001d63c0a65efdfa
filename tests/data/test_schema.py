"""The description of the stored example: what is stored with it is parsed with it, unchanged."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data.clips import PLAN_FIELDS, ClipPlan
from data.schema import FIELDS, features, parsing_spec


def test_what_is_stored_is_parsed_again():
    rng, sizes = np.random.default_rng(0), {"boxes": 3, "mask": 3, "talking": 3, "talking_known": 3, "fixations": 5}
    example = {}
    for name, field in FIELDS.items():
        shape = [sizes.get(name, 192) if length is None else length for length in field.shape]
        example[name] = (rng.uniform(0, 255, shape) if field.jpeg else rng.uniform(-1, 1, shape) > 0).astype(
            field.dtype
        )
    encoder = features()
    serializer = tfds.core.example_serializer.ExampleSerializer(encoder.get_serialized_info())
    serialized = serializer.serialize_example(encoder.encode_example(example))
    found = tf.io.parse_single_example(serialized, parsing_spec())
    assert set(found) == set(example)
    for name, field in FIELDS.items():
        if field.jpeg:
            assert tf.io.decode_jpeg(found[name]).shape == example[name].shape
        else:
            np.testing.assert_array_equal(found[name].numpy(), example[name], err_msg=name)


def test_every_field_of_a_plan_is_described():
    assert tuple(PLAN_FIELDS) == ClipPlan._fields
