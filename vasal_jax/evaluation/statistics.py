"""Scores of frames to the numbers of a table: means and confidence intervals.

The headline is the mean per video, then over videos: every video counts the same, however long. The mean over frames
is given beside it. Frames that cannot be scored (nobody looked anywhere, a missing map) are left out and counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from vasal_jax.evaluation.ground_truth import ALL, HALF
from vasal_jax.evaluation.people import EXTRAPOLATED, extrapolated
from vasal_jax.evaluation.scores import Scores, VideoScores
from vasal_jax.metrics.saliency import METRICS

RESAMPLES = 9999  # of bootstrap and permutation test


def summarise(
    scores: Scores,
    settings: Mapping[str, Any],
    truths: Mapping[str, str] | None = None,
    viewers: Mapping[int, VideoScores] | None = None,
) -> dict[str, Any]:
    """The content of a file of results.

    Args:
      scores: of `Evaluation.run`.
      settings: what the numbers mean and what made them.
      truths: by line, which truth its maps were held against; `ALL` for those not named.
      viewers: scores of n people against half of the subjects, by n, to be extrapolated.

    Returns:
      `settings`, and `rows`, a list of: `name`; `truth`; `mean_over_videos`, `mean_over_frames` and, by ID, `videos`,
      each a mapping from metric to a number; `ci95`, from metric to [low, high], the 95% bootstrap interval of the mean
      over videos; `frames`, by video which frames were scored, as `frame_ranges` writes it; `frames_scored` and
      `frames_skipped`. Where there is nothing to average, None stands for the number. An interval takes two videos.
    """
    truths = truths or {}
    rows = [_row(name, truths.get(name, ALL), videos) for name, videos in scores.items()]
    first = rows[0]["truth"]
    rows.sort(key=lambda row: row["truth"] != first)  # like stands beside like
    if viewers:
        rows.append(_extrapolated_row(viewers))
    return {"settings": dict(settings), "rows": rows}


def _row(name: str, truth: str, videos: VideoScores) -> dict[str, Any]:
    by_video = np.array([_means(frames) for frames in videos.values()])
    joined = {metric: np.concatenate([of[metric] for of in videos.values()]) for metric in METRICS}
    over_frames = np.array(_means(joined))
    return _described(name, truth, by_video, over_frames, {video: _scored(frames) for video, frames in videos.items()})


def _extrapolated_row(viewers: Mapping[int, VideoScores]) -> dict[str, Any]:
    """On the frames that every number of people has a score on."""
    numbers, each = list(viewers), list(viewers.values())
    shared = {video: np.logical_and.reduce([_scored(videos[video]) for videos in each]) for video in each[0]}
    common = [
        {video: {m: np.where(shared[video], values[m], np.nan) for m in METRICS} for video, values in videos.items()}
        for videos in each
    ]
    by_video = np.array([[_means(frames) for frames in videos.values()] for videos in common])
    over_frames = np.array(
        [_means({m: np.concatenate([of[m] for of in videos.values()]) for m in METRICS}) for videos in common]
    )
    limits = extrapolated(numbers, by_video), extrapolated(numbers, over_frames)
    means = [_by_metric(map(_mean, of_number.T)) for of_number in by_video]
    row = _described(EXTRAPOLATED, HALF, *limits, shared)
    return row | {"extrapolated_from": {str(n): mean for n, mean in zip(numbers, means, strict=True)}}


def _described(
    name: str, truth: str, by_video: np.ndarray, over_frames: np.ndarray, scored: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    frames = np.concatenate(list(scored.values()))
    return {
        "name": name,
        "truth": truth,
        "mean_over_videos": _by_metric(_mean(column) for column in by_video.T),
        "mean_over_frames": _by_metric(over_frames),
        "ci95": dict(zip(METRICS, map(interval, by_video.T), strict=True)),
        "videos": {video: _by_metric(numbers) for video, numbers in zip(scored, by_video, strict=True)},
        "frames": {video: frame_ranges(of) for video, of in scored.items()},
        "frames_scored": int(frames.sum()),
        "frames_skipped": int((~frames).sum()),
    }


def _scored(frames: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which frames have a score in any metric, bool (F,)."""
    return np.any(np.isfinite(np.stack([frames[metric] for metric in METRICS])), axis=0)


def _means(frames: Mapping[str, np.ndarray]) -> list[float]:
    """The mean of each metric, NaN where no frame has a score."""
    return [np.nan if (mean := _mean(frames[metric])) is None else mean for metric in METRICS]


def frame_ranges(frames: np.ndarray) -> str:
    """Which of bool (F,) are true, as in "0,5-119"."""
    edges = np.flatnonzero(np.diff(np.pad(frames.astype(np.int8), 1)))
    runs = zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def frames_in(ranges: str) -> set[int]:
    """The frames that `frame_ranges` wrote down. Raises `ValueError` for another text."""
    runs = [tuple(map(int, run.split("-"))) for run in ranges.split(",") if run]
    return {frame for run in runs for frame in range(run[0], run[-1] + 1)}


def interval(values: np.ndarray) -> list[float] | None:
    """The 95% percentile bootstrap interval of the mean of (V,) values over videos; None for fewer than two."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    drawn = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return [float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)]


def interval_over_seeds(seeds: Sequence[np.ndarray]) -> list[float] | None:
    """The 95% percentile bootstrap interval of the mean, over seeds and over the videos of each.

    Seeds are drawn with replacement, then as many videos of each as it has. That of one seed is its videos' alone.

    Args:
      seeds: (V,) of each seed, a number a video; those that are not finite are left out.

    Returns:
      [low, high], or None for fewer than two videos.
    """
    finite = [values for seed in seeds if len(values := np.asarray(seed, float)[np.isfinite(seed)])]
    if sum(map(len, finite)) < 2:
        return None
    rng = np.random.default_rng(0)
    sums = np.empty((len(finite), RESAMPLES, len(finite)))  # of each seed's videos, for each place of each draw
    for index, values in enumerate(finite):
        sums[index] = values[rng.integers(len(values), size=(RESAMPLES, len(finite), len(values)))].sum(-1)
    drawn = rng.integers(len(finite), size=(RESAMPLES, len(finite)))
    totals = np.take_along_axis(sums, drawn[None], 0)[0].sum(1)
    means = totals / np.array([len(values) for values in finite])[drawn].sum(1)
    return [float(edge) for edge in np.percentile(means, (2.5, 97.5))]


def _mean(values: np.ndarray) -> float | None:
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _by_metric(values: Iterable[float | None]) -> dict[str, float | None]:
    finite = (None if value is None or not np.isfinite(value) else float(value) for value in values)
    return dict(zip(METRICS, finite, strict=True))
