"""Exact counting of the pairs that an area under the ROC curve is made of.

The area is the share of (positive, negative) pairs where the positive has the higher value, a tie being half a win.
The many negatives are compared with the few positives, or looked up among them, and never sorted: that takes a tenth
of the time. Each negative's own number of pairs is all that is needed, so nothing is scattered either.

Wins are counted twice, so that half of one is an integer, and totals are given in as many parts as fit an int32.

All arrays share their leading axes.
"""

import math

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float32, Int, Int32

ABOVE_ALL = jnp.iinfo(jnp.int32).max  # a key that no number has
FEW = 128  # thresholds that are compared with every value: with more of them, looking up takes less
COMPARED = 16  # parts of a table told apart by comparison before that


def ordered(values: Float32[ArrayLike, "*shape"]) -> Int32[Array, "*shape"]:
    """Keys that compare as the values do: int32 of the same shape.

    Ties are exact: only -0 and 0 share a key. Infinities have their place, NaN has none. Unlike the values themselves,
    keys tell subnormal numbers apart on processors set to take those for zero.

    Args:
      values: float32 of any shape.
    """
    bits = lax.bitcast_convert_type(jnp.asarray(values, jnp.float32), jnp.int32)
    return jnp.where(bits < 0, jnp.iinfo(jnp.int32).min - bits, bits)  # a float is a sign and a magnitude


def wins(
    positives: Int32[Array, "*b k"],
    positives_mask: Bool[ArrayLike, "*b k"],
    negatives: Int32[Array, "*b l"],
    negatives_mask: Bool[ArrayLike, "*b l"],
) -> Int32[Array, "*b parts"]:
    """Twice the number of pairs where the negative is below the positive, plus one for each tie: int32 (..., parts).

    Args:
      positives: int32 (..., K) keys from `ordered`.
      positives_mask: bool (..., K), the real ones; the others win nothing.
      negatives: int32 (..., L) keys.
      negatives_mask: bool (..., L).
    """
    real = jnp.asarray(positives_mask).sum(-1, keepdims=True)
    positives = jnp.where(positives_mask, positives, ABOVE_ALL)
    lost = _below(jnp.concatenate([positives - 1, positives], -1), negatives)  # a tie is above one of the two
    return _sum_in_parts(jnp.where(negatives_mask, 2 * real - lost, 0), 2 * positives.shape[-1])


def wins_over_lower(
    positives: Int32[Array, "*b k"], positives_mask: Bool[ArrayLike, "*b k"], negatives: Int32[Array, "*b l"]
) -> Int32[Array, "*b parts"]:
    """`wins` with thresholds at the positives only: each negative is rounded down to the next positive.

    A negative below all positives stays there. Returns int32 (..., parts).

    Args:
      positives: int32 (..., K) keys from `ordered`.
      positives_mask: bool (..., K), the real ones; the others win nothing and lower nothing.
      negatives: int32 (..., L) keys.
    """
    real = jnp.asarray(positives_mask).sum(-1, keepdims=True)
    positives = jnp.sort(jnp.where(positives_mask, positives, ABOVE_ALL))
    # What a negative loses that lies above so many: twice those, less its ties with the highest of them.
    lower = (positives[..., None, :] < positives[..., :, None]).sum(-1)
    lost = jnp.pad(jnp.arange(1, positives.shape[-1] + 1) + lower, [(0, 0)] * (real.ndim - 1) + [(1, 0)])
    above = _below(positives - 1, negatives)
    return _sum_in_parts(2 * real - jnp.take_along_axis(lost, above, -1), 2 * positives.shape[-1])


def area(
    wins: Int32[Array, "*b parts"], n_positives: Int[ArrayLike, "*b"], n_negatives: Int[ArrayLike, "*b"]
) -> Float32[Array, "*b"]:
    """Area under the ROC curve, float32 (...): the share of pairs won, NaN where there are none.

    Args:
      wins: int32 (..., parts) from `wins` or `wins_over_lower`.
      n_positives: int (...), how many positives are real.
      n_negatives: int (...), how many negatives are.
    """
    most = jnp.broadcast_to(2 * jnp.asarray(n_negatives)[..., None], wins.shape)
    # Whole positives apart, so that all pairs won are exactly 1.
    return (lax.div(wins, most) + lax.rem(wins, most) / most).sum(-1) / n_positives


def _sum_in_parts(counts: Array, most: int) -> Array:
    """Sums int32 (..., L) counts of at most `most` each, in as many parts as keep below 2^31: int32 (..., parts)."""
    *lead, length = counts.shape
    part = jnp.iinfo(jnp.int32).max // max(most, 1)
    parts = max(-(-length // part), 1)
    counts = jnp.pad(counts, [(0, 0)] * len(lead) + [(0, -length % parts)])
    return lax.optimization_barrier(counts).reshape(*lead, parts, -1).sum(-1)


def _below(thresholds: Array, values: Array) -> Array:
    """How many thresholds (..., K) are below each value (..., L): int32 (..., L)."""
    if thresholds.shape[-1] > FEW:
        return _looked_up(thresholds, values)
    compared = (jnp.where(thresholds[..., i, None] < values, 1, 0) for i in range(thresholds.shape[-1]))
    return sum(compared, jnp.zeros(values.shape, jnp.int32))


def _looked_up(thresholds: Array, values: Array) -> Array:
    """`_below` by halving steps through the sorted thresholds.

    All rows share one flat table, each with a stretch of it: XLA's batched gather takes several times as long as a
    plain one. Stretches are powers of two, so that halving steps find a place in them.
    """
    *lead, count = thresholds.shape
    rows, stretch = math.prod(lead), 1 << count.bit_length()
    keys = values.reshape(rows, -1)
    table = jnp.pad(thresholds.reshape(rows, count), ((0, 0), (0, stretch - count)), constant_values=ABOVE_ALL)
    table = jnp.sort(table)
    flat, start = table.ravel(), jnp.arange(rows)[:, None] * stretch
    # The first steps as comparisons with all they could look up, which are vectorised as lookups are not.
    step = stretch // COMPARED
    passed = (jnp.where(table[:, i - 1, None] < keys, step, 0) for i in range(step, stretch, step))
    index = lax.optimization_barrier(sum(passed, jnp.broadcast_to(start, keys.shape)))
    while step := step // 2:
        index += jnp.where(flat.at[index + step - 1].get(mode="promise_in_bounds") < keys, step, 0)
    return (index - start).reshape(values.shape)
