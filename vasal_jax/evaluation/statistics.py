"""Scores of frames to the numbers of a table: means, confidence intervals, comparisons.

The headline is the mean per video, then over videos: every video counts the same, however long. The mean over frames
is given beside it. Frames that cannot be scored (nobody looked anywhere, a missing map) are left out and counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from vasal_jax.errors import InputError
from vasal_jax.evaluation.scores import Scores
from vasal_jax.metrics.saliency import METRICS

RESAMPLES = 9999  # of bootstrap and permutation test

# What two tables must share for their numbers to be comparable.
CONVENTIONS = ("dataset", "density", "sigma", "truth_resolution", "negatives_per_video", "centre_prior", "seed")


def summarise(scores: Scores, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file of results.

    Returns:
      `settings`, and `rows`, a list of: `name`; `mean_over_videos`, `mean_over_frames` and, by ID, `videos`, each a
      mapping from metric to a number; `ci95`, from metric to [low, high], the 95% bootstrap interval of the mean over
      videos; `frames_scored` and `frames_skipped`. Where there is nothing to average, None stands for the number. An
      interval takes two videos.
    """
    return {"settings": dict(settings), "rows": [_row(name, videos) for name, videos in scores.items()]}


def _row(name: str, videos: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    table = [[_mean(frames[metric]) for metric in METRICS] for frames in videos.values()]
    by_video = np.array(table, float)
    frames = np.concatenate([np.stack([scores[metric] for metric in METRICS], 1) for scores in videos.values()])
    scored = np.isfinite(frames).any(1)
    return {
        "name": name,
        "mean_over_videos": _by_metric(_mean(column) for column in by_video.T),
        "mean_over_frames": _by_metric(_mean(column) for column in frames.T),
        "ci95": dict(zip(METRICS, map(interval, by_video.T), strict=True)),
        "videos": {video: _by_metric(row) for video, row in zip(videos, table, strict=True)},
        "frames_scored": int(scored.sum()),
        "frames_skipped": int((~scored).sum()),
    }


def interval(values: np.ndarray) -> list[float] | None:
    """The 95% percentile bootstrap interval of the mean of (V,) values over videos; None for fewer than two."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    drawn = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return [float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)]


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], first_row: str | None = None, second_row: str | None = None
) -> dict[str, dict[str, Any]]:
    """Compares a row of one table with a row of another, video by video.

    Args:
      first, second: contents of files of results, over the same conventions.
      first_row, second_row: names of rows; by default the first of each.

    Returns:
      By metric: `first` and `second`, means over the videos that both have; `difference`, first minus second, and its
      `ci95`; `p`, of the two-sided paired permutation test that the signs of the videos' differences are chance (exact
      up to 13 videos, not corrected for the number of metrics); `videos`, how many.

    Raises:
      InputError: no such row, other conventions, or no video in common.
    """
    settings = first["settings"], second["settings"]
    unlike = [key for key in CONVENTIONS if settings[0].get(key) != settings[1].get(key)]
    if unlike:
        found = ", ".join(f"{key} {settings[0].get(key)} and {settings[1].get(key)}" for key in unlike)
        raise InputError(f"expected results over the same conventions, found {found}; evaluate both in the same way")
    rows = _find_row(first, first_row), _find_row(second, second_row)
    shared = [video for video in rows[0]["videos"] if video in rows[1]["videos"]]
    if not shared:
        raise InputError("expected results over the same videos, found none in common; evaluate both on one split")
    return {metric: _paired(*(_column(row, shared, metric) for row in rows)) for metric in METRICS}


def _paired(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    p = None
    if len(first) > 1:
        test = stats.permutation_test(
            (first, second),
            lambda a, b, axis=-1: np.mean(a - b, axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
        )
        p = float(test.pvalue)
    return {
        "first": _mean(first),
        "second": _mean(second),
        "difference": _mean(first - second),
        "ci95": interval(first - second),
        "p": p,
        "videos": len(first),
    }


def _find_row(results: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    rows = {row["name"]: row for row in results["rows"]}
    if name is not None and name not in rows:
        raise InputError(f"expected one of the rows {', '.join(rows)}, found {name!r}")
    return rows[name] if name is not None else results["rows"][0]


def _column(row: Mapping[str, Any], videos: Sequence[str], metric: str) -> np.ndarray:
    return np.array([row["videos"][video][metric] for video in videos], float)  # None becomes NaN


def _mean(values: np.ndarray) -> float | None:
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _by_metric(values: Iterable[float | None]) -> dict[str, float | None]:
    return dict(zip(METRICS, values, strict=True))
