"""Exact counting of the pairs that an area under the ROC curve is made of.

The area is the share of (positive, negative) pairs where the positive has the higher value, a tie being half a win.
Only the few positives are sorted; the many negatives are looked up among them and counted. That takes a tenth of the
time of sorting the pixels of a map, and hardly depends on the number of positives.

Wins are counted twice, so that half of one is an integer, and for each positive apart: up to 2^30 negatives fit an
int32, where the total of a few thousand positives over a large map would not.

All arrays share their leading axes.
"""

import math

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

ABOVE_ALL = jnp.iinfo(jnp.int32).max  # a key that no number has
COMPARED = 16  # parts of a table told apart by comparison: with more of them, that takes longer than to look up


def ordered(values: ArrayLike) -> Array:
    """Keys that compare as the values do: int32 of the same shape.

    Ties are exact: only -0 and 0 share a key. Infinities have their place, NaN has none. Unlike the values themselves,
    keys tell subnormal numbers apart on processors set to take those for zero.

    Args:
      values: float32 of any shape.
    """
    bits = lax.bitcast_convert_type(jnp.asarray(values, jnp.float32), jnp.int32)
    return jnp.where(bits < 0, jnp.iinfo(jnp.int32).min - bits, bits)  # a float is a sign and a magnitude


def wins(positives: Array, positives_mask: ArrayLike, negatives: Array, negatives_mask: ArrayLike) -> Array:
    """Twice the number of negatives below each positive, plus one for each tied with it: int32 (..., K).

    Args:
      positives: int32 (..., K) keys from `ordered`.
      positives_mask: bool (..., K), the real ones; the others win nothing.
      negatives: int32 (..., L) keys, L up to 2^30.
      negatives_mask: bool (..., L).
    """
    negatives = jnp.where(negatives_mask, negatives, ABOVE_ALL)
    below, up_to = jnp.split(_up_to(jnp.concatenate([positives - 1, positives], -1), negatives), 2, -1)
    return jnp.where(positives_mask, below + up_to, 0)


def wins_over_lower(positives: Array, positives_mask: ArrayLike, negatives: Array) -> Array:
    """As `wins`, each negative first lowered to the highest positive that is not above it: int32 (..., K).

    This is what a ROC curve with thresholds at the positives alone sees. A negative below all positives stays there.

    Args:
      positives: int32 (..., K) keys from `ordered`.
      positives_mask: bool (..., K), the real ones; the others win nothing and lower nothing.
      negatives: int32 (..., L) keys, L up to 2^30.
    """
    below = _up_to(positives - 1, negatives)
    # Lowered, the negatives up to a positive are those below the next higher one.
    higher = (positives[..., None, :] > positives[..., :, None]) & jnp.asarray(positives_mask)[..., None, :]
    up_to = jnp.where(higher, below[..., None, :], negatives.shape[-1]).min(-1, initial=negatives.shape[-1])
    return jnp.where(positives_mask, below + up_to, 0)


def area(wins: Array, n_positives: ArrayLike, n_negatives: ArrayLike) -> Array:
    """Area under the ROC curve, float32 (...): the share of pairs won, NaN where there are none.

    Args:
      wins: int32 (..., K) from `wins` or `wins_over_lower`.
      n_positives: int (...), how many positives are real.
      n_negatives: int (...), how many negatives are.
    """
    return (wins / (2 * jnp.asarray(n_negatives))[..., None]).sum(-1) / n_positives


def _up_to(thresholds: Array, values: Array) -> Array:
    """How many values are at most each threshold: int32 (..., K) for thresholds (..., K) and values (..., L).

    All rows share one flat table, each with a stretch of it: XLA's batched gather and scatter take several times as
    long as plain ones. Stretches are powers of two, so that halving steps find a place in them.
    """
    *lead, count = shape = thresholds.shape
    rows, stretch = math.prod(lead), 1 << count.bit_length()
    thresholds, values = thresholds.reshape(rows, count), values.reshape(rows, values.shape[-1])
    table = jnp.pad(thresholds, ((0, 0), (0, stretch - count)), constant_values=ABOVE_ALL)
    table = jnp.sort(table)
    flat = table.ravel()
    start = jnp.arange(rows)[:, None] * stretch

    def place(keys):
        """Index into the table: a row's start, plus how many of its thresholds are below the key."""
        # The first steps as comparisons with all they could look up, which are vectorised as lookups are not.
        step = max(stretch // COMPARED, 1)
        passed = (jnp.where(table[:, i - 1, None] < keys, step, 0) for i in range(step, stretch, step))
        index = sum(passed, jnp.broadcast_to(start, keys.shape))
        index, step = lax.optimization_barrier(index), step // 2
        while step:
            index += jnp.where(flat.at[index + step - 1].get(mode="promise_in_bounds") < keys, step, 0)
            step //= 2
        return index

    counts = jnp.zeros(rows * stretch, jnp.int32).at[place(values)].add(1, mode="promise_in_bounds")
    counts = counts.reshape(rows, stretch).cumsum(-1).ravel()
    return counts[place(thresholds)].reshape(shape)
