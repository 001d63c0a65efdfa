"""What people reach: half of the subjects against the other half, and how far infinitely many would come.

The first half of a video's subjects predicts the second (`GroundTruth.halves`); a model's line against the second half
is the one to hold beside it. A density of few people is rough, and a rough prediction scores less than what it is an
estimate of. So n people of the first half predict the second, for four n, and the scores are extrapolated to
infinitely many. The mean of n independent densities has a variance of 1/n, which gives for each metric what is linear
in 1/n:

  CC, SIM, NSS    1 / s^2: the deviation of the prediction's map, which CC and NSS divide by, is sqrt(v + w/n)
  AUCs, KL, IG    s itself: what a small error of the prediction costs on average is its variance

The second holds once n people look everywhere that people look. With fewer the limit errs on the side of too little.

Drawn gaze tells how good that is, for its law is known (docs/reference/conventions.md has the figures). A power law
s + a n^b, as of Judd et al. (MIT-CSAIL-TR-2012-001), put CC above 1 there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from vasal_jax.evaluation.ground_truth import HALF, UNIFORM_SHARE, Conventions, GroundTruth
from vasal_jax.evaluation.rows import MapRow, ReadMaps
from vasal_jax.metrics.saliency import METRICS

HALVES, EXTRAPOLATED = "half against half", "people, extrapolated"  # names of lines
FEWEST = 8  # subjects in the first half of every video, for an extrapolation


class _Linear(NamedTuple):
    """A score to what is linear in 1/n, and back; NaN where the score has none."""

    of: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


_INVERSE_SQUARE = _Linear(
    lambda scores: np.where(scores > 0, scores, np.nan) ** -2.0,
    lambda values: np.where(values > 0, values, np.nan) ** -0.5,
)
_IDENTITY = _Linear(lambda scores: scores, lambda values: values)
_LINEAR = {metric: _INVERSE_SQUARE if metric in ("CC", "SIM", "NSS") else _IDENTITY for metric in METRICS}


def half_row(conventions: Conventions) -> MapRow:
    """The density of the first half of the subjects against the second half."""
    return MapRow(
        name=HALVES,
        truths=(HALF,),
        settings={"row": "half"},
        open_maps=partial(_open, lambda truth: truth.halves(conventions)[0], conventions),
    )


def viewer_rows(truths: Sequence[GroundTruth], conventions: Conventions) -> dict[int, MapRow]:
    """Rows of n subjects of the first half against the second half, by n; none where a half has fewer than `FEWEST`.

    They are for `extrapolate` and no lines of the table.
    """
    most = min(len(truth.first_half(conventions)) for truth in truths)
    numbers = [most // 8, most // 4, most // 2, most] if most >= FEWEST else []

    def row(n: int) -> MapRow:
        return MapRow(
            name=f"{n} of the first half",
            truths=(HALF,),
            settings={"row": "viewers", "n": n},
            open_maps=partial(_open, lambda truth: truth.of_subjects(truth.first_half(conventions)[:n]), conventions),
        )

    return {n: row(n) for n in numbers}


def _open(choose: Callable[[GroundTruth], GroundTruth], conventions: Conventions, truth: GroundTruth) -> ReadMaps:
    """The density of some subjects, 1% spread over the picture."""
    people = choose(truth)

    def read(frames: Sequence[int]) -> np.ndarray:
        density = people.density(frames, conventions)
        spread = (1 - UNIFORM_SHARE) * density + np.float32(UNIFORM_SHARE / np.prod(conventions.size))
        # Where none of them looked anywhere they predict nothing, rather than a uniform map.
        return np.where(density.any((1, 2), keepdims=True), spread, np.float32(np.nan))

    return read


def extrapolated(numbers: Sequence[int], scores: np.ndarray) -> np.ndarray:
    """The scores that infinitely many people would reach.

    A least-squares line through what is linear in 1/n, in which each point counts as much as it has people.

    Args:
      numbers: n of each row of scores.
      scores: float (len(numbers), ..., len(METRICS)), means over many frames.

    Returns:
      float64 (..., len(METRICS)), NaN where a score is missing, or where one of CC, SIM and NSS is not above 0.
    """
    n = np.asarray(numbers, float)
    design = np.stack([np.ones_like(n), 1 / n], 1)
    limit = np.linalg.pinv(design * n[:, None])[0] * n  # the weights with which the points make the limit
    scores = np.asarray(scores, float)
    found = np.empty(scores.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        for index, metric in enumerate(METRICS):
            linear = _LINEAR[metric]
            found[..., index] = linear.back(np.tensordot(limit, linear.of(scores[..., index]), 1))
    return found
