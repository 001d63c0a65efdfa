"""The description of the stored example: what is stored with it is parsed with it, unchanged."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data.schema import FIELDS, StoredExample, features
from vasal_jax.errors import InputError


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
    found = StoredExample(serialized)
    for name, field in FIELDS.items():
        if field.jpeg:
            assert tf.io.decode_jpeg(found[name]).shape == example[name].shape
        else:
            assert found[name].dtype == field.dtype
            np.testing.assert_array_equal(found[name], example[name], err_msg=name)


@pytest.mark.parametrize("serialized", [b"", b"\xff" * 40, b"no example"])
def test_what_is_no_example_is_refused(serialized):
    with pytest.raises(InputError, match="stored example"):
        StoredExample(serialized)["mel"]
