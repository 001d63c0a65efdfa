"""Arrays of MVVA of other shapes than theirs."""

import numpy as np
import pytest

from data.mvva_arrays import load_fixations, load_talking
from vasal_jax.errors import InputError


def objects(items) -> np.ndarray:
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 3, 5)), np.zeros((4, 2)), np.zeros(4), np.array(1.0), objects([np.zeros((3, 5))]),
     objects([[[1, 2], [1]]]), objects([3]),
     objects([[1, 2]] * 8).reshape(2, 2, 2)],
)  # fmt: skip
def test_fixations_of_another_shape(tmp_path, array):
    np.save(tmp_path / "1.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=r"1\.npy: expected fixations of shape \[frames, 2, subjects\], found"):
        load_fixations(tmp_path / "1.npy")


@pytest.mark.parametrize(
    "array", [np.zeros(4), np.array(1.0), np.zeros((2, 3, 4)), objects([1, [2]]), np.zeros((0, 5))]
)
def test_talking_flags_of_another_shape(tmp_path, array):
    np.save(tmp_path / "1.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=r"1\.npy: expected talking flags of shape \[face, frame\], found"):
        load_talking(tmp_path / "1.npy")
