"""Shares of fixations on faces, counted by hand."""

import numpy as np
import pytest

from vasal_jax.metrics import fixation_shares

BOXES = [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]  # the left and the right half of the picture


@pytest.mark.parametrize(
    ("fixations", "mask", "expected"),
    [
        ([[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [1.2, 0.1]], [True, True], [0.25, 0.75, 0]),
        ([[0.5, 0.5], [1.5, 0.5]], [True, False], [0.5, 0, 0.5]),  # a masked face draws nothing
        ([[1.0, 1.0], [np.nan, np.nan]], [True, True], [0.5, 0.5, 0]),  # on the edge of both: shared
        ([[0.5, 0.5]], [False, False], [0, 0, 1]),
        ([[np.nan, np.nan]], [True, True], [0, 0, 0]),
        ([[3.0, 1.0]], [True, True], [0, 0, 0]),  # outside the picture
    ],
)
def test_fixation_shares(fixations, mask, expected):
    batch = {"fixations": np.array(fixations), "face_boxes": np.array(BOXES), "face_mask": np.array(mask)}
    shares = fixation_shares({name: value[None, None] for name, value in batch.items()}, (2, 2))
    np.testing.assert_allclose(shares[0, 0], expected, atol=1e-7)
