"""Max-pooling and its gradient beside XLA's own."""

import jax
import numpy as np
import pytest

from vasal_jax.ops import max_pool, native
from vasal_jax.ops.pooling import max_pool_gradient_by_slices
from vasal_jax.ops.squares import unpool


def test_max_pool_drops_the_rest_and_keeps_minus_infinity_out():
    x = -np.arange(2 * 5 * 3, dtype=np.float32).reshape(1, 2, 5, 3)
    np.testing.assert_array_equal(max_pool(x, (2, 2)), x[:, :1, :4:2])


@pytest.mark.parametrize(
    ("shape", "window"),
    [((2, 6, 8, 3), (2, 2)), ((2, 7, 5, 3), (2, 2)), ((1, 4, 6, 4, 2), (2, 2, 2)), ((1, 5, 3, 3, 2), (2, 1, 1))],
)
def test_max_pool_by_slices_has_the_native_gradient_ties_included(shape, window):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, shape).astype(np.float32)  # few values, so most maxima are tied

    y, pull_back = jax.vjp(lambda x: native.max_pool(x, window), x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(max_pool(x, window), y)
    np.testing.assert_array_equal(max_pool_gradient_by_slices(window, x, dy), pull_back(dy)[0])
    np.testing.assert_array_equal(jax.vjp(lambda x: max_pool(x, window), x)[1](dy)[0], pull_back(dy)[0])


def test_pooled_values_go_back_to_their_pixels_in_one_pass_as_by_stacks():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((2, 3, 5, 4)).astype(np.float32)
    which = rng.integers(0, 4, y.shape, np.uint8)
    found = np.asarray(native.unpool(y, which))
    np.testing.assert_array_equal(found, unpool(y, which))
    for corner in range(4):
        i, j = divmod(corner, 2)
        np.testing.assert_array_equal(found[:, i::2, j::2], np.where(which == corner, y, 0))
