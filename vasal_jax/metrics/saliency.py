"""Saliency metrics: how well a predicted map agrees with where people looked.

Every metric is a pure function of arrays, batched over leading axes and free to be jitted. All maps of a call have the
truth's size: bring the prediction there with `resized`, and scale the fixations' coordinates, never a map of them.

  prediction  float (..., H, W), finite, magnitudes up to 1e30; in the AUCs any number, even infinite
  density     float (..., H, W), 0..1e30; need not sum to 1
  fixations   int (..., K, 2), x and y of pixels of the map, with `mask` bool (..., K) marking the real ones. A point
              outside the map counts as masked. One that occurs twice counts twice.

Results are float32 (...). A frame without truth (no fixation, or a density that is zero everywhere) scores NaN, so it
can be left out and counted, never taken for a zero; so does a prediction with NaN in it. A constant prediction says
nothing and scores what chance does: CC 0, NSS 0, every AUC 0.5.

All arithmetic is float32 (float64 input is rounded to it first). Means are corrected by the mean of what they leave,
and counts are integers, so results agree with float64 to 1e-6 of max(1, result); CC near 1 and -1 to 2e-6. Subnormal
numbers (below 1.2e-38) count as zero, except in the AUCs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Float32, Int, Int32

from vasal_jax.metrics import roc
from vasal_jax.metrics.moments import Moments, inverse, pairwise_sum

METRICS = ("CC", "SIM", "KL", "NSS", "AUC-J", "AUC-B", "sAUC", "IG")  # those of a table, in its order
Map = Float[ArrayLike, "*b h w"]
Points = Int[ArrayLike, "*b k 2"]
Mask = Bool[ArrayLike, "*b k"]
Score = Float32[Array, "*b"]

EPSILON = 2.2204e-16  # the MIT benchmark's regulariser of KL and IG


def score(
    prediction: Map,
    density: Map,
    fixations: Points,
    mask: Mask,
    negatives: Int[ArrayLike, "*b m 2"],
    negatives_mask: Bool[ArrayLike, "*b m"],
    baseline: Float[ArrayLike, "*#b h w"],
    seeds: Int[ArrayLike, "*b"],
) -> dict[str, Score]:
    """All metrics at once, under the names used in tables; jitted, they share what they have in common.

    On a CPU a few frames a call (four of 360x640) take half the time a frame that a dozen do: maps put aside stay in
    the cache.

    Args: as in the functions below.

    Returns:
      CC, SIM (plain), SIM-MIT (min-max first), KL, NSS, AUC-J, AUC-B, sAUC and IG: float32 (...) each.
    """
    points = (fixations, mask)
    return {
        "CC": cc(prediction, density),
        "SIM": sim(prediction, density),
        "SIM-MIT": sim(prediction, density, min_max=True),
        "KL": kl(prediction, density),
        "NSS": nss(prediction, *points),
        "AUC-J": auc_judd(prediction, *points),
        "AUC-B": auc_borji(prediction, *points, seeds),
        "sAUC": shuffled_auc(prediction, *points, negatives, negatives_mask),
        "IG": information_gain(prediction, baseline, *points),
    }


def resized(prediction: Map, size: tuple[int, int]) -> Float32[Array, "*b h2 w2"]:
    """A map at the truth's size: float32 (..., *size), bilinear between pixel centres.

    Enlarged, it equals OpenCV's INTER_LINEAR. Shrunk, each pixel is a triangle-weighted mean of all it covers, where
    OpenCV would skip some.
    """
    prediction = jnp.asarray(prediction, jnp.float32)
    rows, columns = (_shares(*pair) for pair in zip(prediction.shape[-2:], size, strict=True))
    return jnp.einsum("yh,...hw,xw->...yx", rows, prediction, columns, precision="highest")


def cc(prediction: Map, density: Map) -> Score:
    """Linear correlation coefficient: Pearson's correlation of the two maps over all pixels.

    -1..1, higher is better. 0 where either map is constant. Source: Bylinskii et al., "What do different evaluation
    metrics tell us about saliency models?" (TPAMI 2019); as pysaliency's CC.
    """
    p, q = Moments.of(prediction), Moments.of(density)
    shared = pairwise_sum(p.centred(prediction) * q.centred(density)) / p.pixels - p.rest * q.rest
    spread = p.deviation * q.deviation
    return _where_truth(q, shared * inverse(spread))


def sim(prediction: Map, density: Map, min_max: bool = False) -> Score:
    """Similarity (histogram intersection): the sum over all pixels of min(P, Q), each summing to 1.

    0..1, higher is better. A map with negative values is lifted to a minimum of 0; one that is 0 everywhere counts as
    uniform. Source: Bylinskii et al. (TPAMI 2019).

    Args:
      min_max: stretch each map from its minimum..maximum to 0..1 before making it sum to 1, as the MIT benchmark's
        code does; a constant map then counts as uniform. False is pysaliency's SIM.
    """
    p, q = Moments.of(prediction), Moments.of(density)
    pair = p.distribution(prediction, min_max), q.distribution(density, min_max)
    # XLA may return the number for min(number, NaN).
    return _where_truth(q, jnp.where(jnp.isnan(p.rise), jnp.nan, pairwise_sum(jnp.minimum(*pair))))


def kl(prediction: Map, density: Map) -> Score:
    """Kullback-Leibler divergence: the sum of Q log(eps + Q / (P + eps)), natural logarithm, eps = `EPSILON`.

    From 0 up to about 36 (maps that share no pixel), lower is better. Each map sums to 1 as in `sim`. Source: the MIT
    benchmark (Bylinskii et al., TPAMI 2019); as pysaliency's MIT_KLDiv.
    """
    moments = Moments.of(density)
    p, q = Moments.of(prediction).distribution(prediction), moments.distribution(density)
    return _where_truth(moments, pairwise_sum(q * jnp.log(EPSILON + q / (p + EPSILON))))


def nss(prediction: Map, fixations: Points, mask: Mask) -> Score:
    """Normalised scanpath saliency: the mean over fixations of (P - mean) / standard deviation (of the population).

    Unbounded, 0 is chance, higher is better. Source: Peters et al. (Vision Research 2005); as the mean of pysaliency's
    NSS.
    """
    p = Moments.of(prediction)
    values, mask = _values_at(prediction, fixations, mask)
    values = p.centred(values, axes=1) - p.rest[..., None]
    return _mean(values, mask) * inverse(p.deviation)


def information_gain(prediction: Map, baseline: Float[ArrayLike, "*#b h w"], fixations: Points, mask: Mask) -> Score:
    """Information gain over a baseline map B: the mean over fixations of log2(eps + P) - log2(eps + B).

    In bits per fixation, unbounded, 0 is the baseline's own score, higher is better. Each map sums to 1 as in `sim`;
    eps = `EPSILON` keeps a fixation where P is 0 from costing infinitely much. Source: Kümmerer et al. (PNAS 2015) with
    the eps of Bylinskii et al. (TPAMI 2019); pysaliency's information_gain has none.

    Args:
      baseline: float (..., H, W) or (H, W), usually the centre prior: the density of other videos' fixations.
    """
    values, mask = _values_at(prediction, fixations, mask)
    maps = jnp.broadcast_to(baseline, (*values.shape[:-1], *jnp.shape(baseline)[-2:]))
    p = Moments.of(prediction).distribution(values, axes=1)
    b = Moments.of(baseline).distribution(_values_at(maps, fixations, mask)[0], axes=1)
    # One logarithm of the quotient: the difference of two near -18 would be rounded to 1e-6.
    return _mean(jnp.log2((EPSILON + p) / (EPSILON + b)), mask)


def auc_judd(prediction: Map, fixations: Points, mask: Mask, thresholds: str = "all") -> Score:
    """AUC-Judd: area under the ROC curve of fixations against all pixels without a fixation.

    0..1, 0.5 is chance, higher is better. A fixation counts as often as it occurs, its pixel is left out of the
    negatives once. Source: Judd et al. (ICCV 2009, MIT-CSAIL-TR-2012-001).

    Args:
      thresholds: "all" is the exact area: the share of (fixation, negative) pairs where the fixation has the higher
        value, ties counting half (pysaliency's AUC with nonfixations="unfixated"). "fixations" draws the curve through
        the thresholds at the fixated values alone, as the MIT benchmark's code does and pysaliency's AUC_Judd without
        jitter: a negative that lies between two fixated values counts as tied with the lower one, which adds up to
        1/(2K), and the worst possible map no longer scores 0.
    """
    if thresholds not in ("all", "fixations"):
        raise ValueError(f"thresholds must be 'all' or 'fixations', not {thresholds!r}")
    values, mask = _values_at(prediction, fixations, mask)
    positives, pixels = roc.ordered(values), roc.ordered(_flat(prediction))
    if thresholds == "all":
        wins = roc.wins(positives, mask, pixels, jnp.ones(pixels.shape, bool))
    else:
        wins = roc.wins_over_lower(positives, mask, pixels)
    first = mask & _first_of_its_pixel(fixations, mask)
    fixated = roc.wins(positives, mask, positives, first).sum(-1)
    area = roc.area(wins.at[..., 0].add(-fixated), mask.sum(-1), pixels.shape[-1] - first.sum(-1))
    return jnp.where(jnp.isnan(prediction).any((-2, -1)), jnp.nan, area)


def auc_borji(prediction: Map, fixations: Points, mask: Mask, seeds: Int[ArrayLike, "*b"], draws: int = 4096) -> Score:
    """AUC-Borji: area under the ROC curve of fixations against pixels drawn uniformly, with replacement.

    0..1, 0.5 is chance, higher is better. The exact area, ties counting half. Borji et al. (ICCV 2013) average 100
    draws of K negatives, which has the same expectation as their pooled draw, and space their thresholds by 0.1, which
    is coarser.

    Args:
      seeds: int (...), one a frame: the same seed draws the same pixels whatever batch the frame comes in.
      draws: number of negatives of a frame.
    """
    height, width = jnp.shape(prediction)[-2:]

    def draw(seed):
        return jax.random.randint(jax.random.key(seed, impl="threefry2x32"), (draws,), 0, height * width)

    seeds = jnp.asarray(seeds)
    pixels = jax.vmap(draw)(seeds.reshape(-1)).reshape(*seeds.shape, draws)
    negatives = jnp.stack([pixels % width, pixels // width], -1)
    return shuffled_auc(prediction, fixations, mask, negatives, jnp.ones(pixels.shape, bool))


def shuffled_auc(
    prediction: Map,
    fixations: Points,
    mask: Mask,
    negatives: Int[ArrayLike, "*b m 2"],
    negatives_mask: Bool[ArrayLike, "*b m"],
) -> Score:
    """Shuffled AUC: area under the ROC curve of a frame's fixations against fixations of other videos' frames.

    0..1, 0.5 is chance and also what a centre prior scores, higher is better. The exact area, ties counting half, as
    pysaliency's AUC against given nonfixations. Source: Tatler et al. (Vision Research 2005), Zhang et al. (JoV 2008).

    Args:
      negatives: int (..., M, 2) x, y of pixels of this map, from `choose_negatives`. A frame without any scores NaN.
      negatives_mask: bool (..., M).
    """
    values, mask = _values_at(prediction, fixations, mask)
    others, others_mask = _values_at(prediction, negatives, negatives_mask)
    positives, others = roc.ordered(values), roc.ordered(others)
    area = roc.area(roc.wins(positives, mask, others, others_mask), mask.sum(-1), others_mask.sum(-1))
    return jnp.where(jnp.isnan(prediction).any((-2, -1)), jnp.nan, area)


def choose_negatives(
    pool: Int[np.ndarray, "l 2"], count: int, seed: int
) -> tuple[Int32[np.ndarray, "{count} 2"], Bool[np.ndarray, "{count}"]]:
    """Draws the negatives of `shuffled_auc` from other videos' fixations, without replacement.

    Args:
      pool: int (L, 2) x, y of all fixations of other videos, on the map at hand.
      count: how many to draw: the M to be given beside the scores.
      seed: the same seed draws the same points from the same pool.

    Returns:
      int32 (count, 2) and its bool mask (count,). A pool smaller than `count` is taken whole and the rest is masked.
    """
    chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
    points = np.zeros((count, 2), np.int32)
    points[: len(chosen)] = np.asarray(pool)[chosen]
    return points, np.arange(count) < len(chosen)


def _shares(pixels: int, wanted: int) -> np.ndarray:
    """How much each pixel of a line has in each of the wanted ones: float32 (wanted, pixels).

    Worked out in float64: in float32, as `jax.image.resize` does it, the places alone cost 1e-5 of the result.
    """
    step = pixels / wanted
    distance = np.abs((np.arange(wanted)[:, None] + 0.5) * step - (np.arange(pixels) + 0.5))
    shares = np.maximum(1 - distance / max(step, 1), 0)
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def _where_truth(density: Moments, values: Array) -> Array:
    return jnp.where((density.low == 0) & (density.rise == 0), jnp.nan, values)


def _flat(x: ArrayLike) -> Array:
    x = jnp.asarray(x, jnp.float32)
    return x.reshape(*x.shape[:-2], -1)


def _values_at(x: ArrayLike, points: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
    """Values of a map (..., H, W) at points (..., K, 2), and the mask without points outside the map."""
    height, width = jnp.shape(x)[-2:]
    points = jnp.asarray(points)
    column, row = points[..., 0], points[..., 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    indices = jnp.where(inside, row * width + column, 0)
    return jnp.take_along_axis(_flat(x), indices, -1), jnp.asarray(mask) & inside


def _mean(values: Array, mask: Array) -> Array:
    """Over the real points; NaN (0 / 0) where there are none."""
    return jnp.where(mask, values, 0).sum(-1) / mask.sum(-1)


def _first_of_its_pixel(points: ArrayLike, mask: Array) -> Array:
    """Whether no real point before a point lies in the same pixel: bool (..., K)."""
    points = jnp.asarray(points)
    same = (points[..., :, None, :] == points[..., None, :, :]).all(-1) & mask[..., None, :]
    return ~jnp.tril(same, -1).any(-1)
