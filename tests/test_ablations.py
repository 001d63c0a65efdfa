"""What is taken from the model's inputs, on NumPy and JAX arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasal_jax.ablations import ABLATIONS, OTHER_MEL, without_senses

BATCH = {
    "frames": np.full(2, 1.0, np.float32),
    "frames_past": np.full(2, 2.0, np.float32),
    "mel": np.full(2, 3.0, np.float32),
    OTHER_MEL: np.full(2, 4.0, np.float32),
    "face_mask": np.full(2, True),
    "face_map": np.full(2, np.nan, np.float32),
}


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("muted", {"mel": [0, 0]}),
        ("another video's sound", {"mel": [4, 4]}),
        ("no faces", {"face_mask": [False, False], "face_map": [0, 0]}),
        ("no motion", {"frames_past": [1, 1]}),
    ],
)
def test_each_changes_what_it_says_and_keeps_the_kind_of_arrays(name, changed, kind):
    batch = {field: kind(value) for field, value in BATCH.items()}
    found = ABLATIONS[name].change(batch)
    for field, value in found.items():
        np.testing.assert_array_equal(value, changed.get(field, BATCH[field]), err_msg=field)
        assert type(value) is type(batch[field])
        assert value.dtype == BATCH[field].dtype
    np.testing.assert_array_equal(batch["mel"], BATCH["mel"])
    assert ABLATIONS[name].needs_other_sound == (name == "another video's sound")


def test_without_senses_leaves_numpy_batches_on_the_host():
    with jax.transfer_guard("disallow"):
        found = without_senses(BATCH, ("sound", "faces"))
    assert all(isinstance(value, np.ndarray) for value in found.values())
    assert not found["mel"].any()
    assert not found["face_mask"].any()
    assert without_senses(BATCH, ()) is BATCH
