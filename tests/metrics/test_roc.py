"""Pair counting against the definition, written out: every positive beside every negative."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vasal_jax.metrics import roc

AWKWARD = np.array([-np.inf, -3e38, -1, -1e-38, -3e-45, -0.0, 0, 1e-45, 3e-45, 1e-38, 1, 1 + 2**-23, 3e38, np.inf])
AWKWARD = AWKWARD.astype(np.float32)

wins = jax.jit(lambda p, p_mask, n, n_mask: roc.wins(roc.ordered(p), p_mask, roc.ordered(n), n_mask))
wins_over_lower = jax.jit(lambda p, p_mask, n: roc.wins_over_lower(roc.ordered(p), p_mask, roc.ordered(n)))


def counted(p, p_mask, n, n_mask):
    p, n = p.astype(np.float64)[..., :, None], n.astype(np.float64)[..., None, :]
    return ((2 * (p > n) + (p == n)) * (p_mask[..., :, None] & n_mask[..., None, :])).sum((-2, -1))


def total(parts):
    assert parts.dtype == np.int32
    return np.asarray(parts).astype(np.int64).sum(-1)


def test_keys_order_as_the_values_do():
    keys = np.asarray(roc.ordered(AWKWARD))
    assert keys.dtype == np.int32
    np.testing.assert_array_equal(keys[:, None] < keys, AWKWARD.astype(np.float64)[:, None] < AWKWARD)


def few(shape):
    return arrays.arrays(np.float32, shape, elements=st.sampled_from(list(AWKWARD)))


def masks(shape):
    return arrays.arrays(bool, shape)


@settings(max_examples=100, deadline=None)
@given(few((2, 5)), masks((2, 5)), few((2, 9)), masks((2, 9)))
def test_wins_equal_the_definition(p, p_mask, n, n_mask):
    found = wins(p, p_mask, n, n_mask)
    np.testing.assert_array_equal(total(found), counted(p, p_mask, n, n_mask))
    area = roc.area(found, p_mask.sum(-1), n_mask.sum(-1))
    with np.errstate(invalid="ignore"):
        expected = counted(p, p_mask, n, n_mask) / (2 * p_mask.sum(-1) * n_mask.sum(-1))
    np.testing.assert_allclose(area, expected, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(few((2, 5)), masks((2, 5)), few((2, 9)))
def test_wins_over_lower_equal_the_definition(p, p_mask, n):
    below = np.float64(-np.inf), -1  # under -inf itself
    expected = np.zeros(len(p), int)
    for row in range(len(p)):
        real = [(np.float64(x), 0) for x in p[row][p_mask[row]]]
        lowered = [max([x for x in real if x[0] <= negative] + [below]) for negative in n[row]]
        for k in np.flatnonzero(p_mask[row]):
            key = np.float64(p[row, k]), 0
            expected[row] += sum(2 * (key > x) + (key == x) for x in lowered)
    np.testing.assert_array_equal(total(wins_over_lower(p, p_mask, n)), expected)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("count", [1, 3, 4, 64, 65, 127, 128, 129, 300])
def test_any_leading_axes_and_counts_compared_or_looked_up(lead, count):
    rng = np.random.default_rng(count)
    p, n = (rng.integers(0, 40, (*lead, size)).astype(np.float32) for size in (count, 50))
    p_mask, n_mask = (rng.random(x.shape) < 0.7 for x in (p, n))
    np.testing.assert_array_equal(total(wins(p, p_mask, n, n_mask)), counted(p, p_mask, n, n_mask))


def test_counts_beyond_float32_are_exact():
    """2^24 + 2 wins and a tie: an odd number of more than 24 bits."""
    negatives = np.zeros(2**23 + 2, np.float32)
    negatives[0] = 1
    found = wins(np.ones(1, np.float32), np.ones(1, bool), negatives, np.ones(negatives.shape, bool))
    assert total(found) == 2**24 + 3


def test_totals_beyond_int32_are_exact():
    positives, negatives = np.ones(5000, np.float32), np.zeros(300_001, np.float32)
    negatives[7] = 1
    everywhere = np.ones(5000, bool), np.ones(300_001, bool)
    found = wins(positives, everywhere[0], negatives, everywhere[1])
    assert total(found) == 2 * 5000 * 300_000 + 5000
    np.testing.assert_allclose(roc.area(found, 5000, 300_001), 1 - 0.5 / 300_001, rtol=1e-7)
    found = wins_over_lower(positives, everywhere[0], negatives)
    assert total(found) == 2 * 5000 * 300_000 + 5000


def test_no_pairs_have_no_area():
    none = np.zeros((3, 4), np.int32)
    area = roc.area(none, np.array([0, 4, 0]), np.array([9, 0, 0]))
    assert area.dtype == np.float32
    assert np.isnan(area).all()
    empty = np.zeros(0, np.float32), np.zeros(0, bool)
    assert total(wins(*empty, np.ones(3, np.float32), np.ones(3, bool))) == 0
    assert total(wins_over_lower(*empty, np.ones(3, np.float32))) == 0
    assert total(wins(np.ones(2, np.float32), np.ones(2, bool), *empty)) == 0
