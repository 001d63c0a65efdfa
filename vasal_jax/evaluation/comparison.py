"""Compares a row of one table with a row of another: video by video, over the frames that both were scored on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from vasal_jax.errors import InputError
from vasal_jax.evaluation.clips import Arrays
from vasal_jax.evaluation.statistics import RESAMPLES, frames_in, interval
from vasal_jax.metrics.saliency import METRICS

FrameScores = Callable[[str], Mapping[str, Arrays]]
"""By name of a row, by video, each metric: float (F,), NaN where a frame has no score. Raises `InputError`."""

CONVENTIONS = (
    "dataset",
    "split",
    "split_rule",
    "density",
    "sigma",
    "truth_resolution",
    "centre_prior",
    "negatives_per_video",
    "seed",
    "truth_sha256",
    "centre_prior_sha256",
    "negatives_sha256",
)
"""Settings that two tables must share for their numbers to be comparable."""


def compare(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    first_row: str | None = None,
    second_row: str | None = None,
    first_frames: FrameScores | None = None,
    second_frames: FrameScores | None = None,
) -> dict[str, dict[str, Any]]:
    """Compares a row of one table with a row of another, video by video.

    Args:
      first, second: contents of files of results, over the same conventions.
      first_row, second_row: names of rows; by default the first of each.
      first_frames, second_frames: scores of single frames, needed where the rows were not scored on the same ones.

    Returns:
      By metric: `first` and `second`, means over the videos that both have; `difference`, first minus second, and its
      `ci95`; `p`, of the two-sided paired permutation test that the signs of the videos' differences are chance (exact
      up to 13 videos, not corrected for the number of metrics); `videos` and `frames`, how many.

    Raises:
      InputError: no such row, other conventions, another truth, no frame in common, or other frames without the scores
        of single ones.
    """
    _check_conventions(first["settings"], second["settings"])
    rows = _find_row(first, first_row), _find_row(second, second_row)
    if rows[0]["truth"] != rows[1]["truth"]:
        found = " and ".join(f"{row['name']} against {row['truth']}" for row in rows)
        raise InputError(f"expected rows held against the same truth, found {found}; choose others")
    common = _common_frames(*rows)
    if not common:
        raise InputError("expected results over the same videos, found no frame in common; evaluate both on one split")
    if all(_has_no_other(row, common) for row in rows):
        columns = [_stored_means(row, common) for row in rows]
    else:  # both from single frames, which have fewer digits
        readers = first_frames, second_frames
        columns = [_means(row, common, read) for row, read in zip(rows, readers, strict=True)]
    frames = sum(map(len, common.values()))
    return {
        metric: paired(*(column[:, index] for column in columns)) | {"frames": frames}
        for index, metric in enumerate(METRICS)
    }


def _check_conventions(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    lacking = [key for key in CONVENTIONS if key not in first or key not in second]
    if lacking:
        raise InputError(
            f"expected results that say their {lacking[0]}, found some of an earlier version; evaluate both anew"
        )
    unlike = [f"{key} {first[key]} and {second[key]}" for key in CONVENTIONS if first[key] != second[key]]
    if unlike:
        raise InputError(
            f"expected results over the same conventions, found {', '.join(unlike)}; evaluate both in the same way"
        )


def _find_row(results: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    rows = {row["name"]: row for row in results["rows"]}
    if name is not None and name not in rows:
        raise InputError(f"expected one of the rows {', '.join(rows)}, found {name!r}")
    return rows[name] if name is not None else results["rows"][0]


def _common_frames(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, set[int]]:
    """By video the frames that both rows were scored on; videos without any are left out."""
    shared = {
        video: frames_in(ranges) & frames_in(second["frames"][video])
        for video, ranges in first["frames"].items()
        if video in second["frames"]
    }
    return {video: frames for video, frames in shared.items() if frames}


def _has_no_other(row: Mapping[str, Any], common: Mapping[str, set[int]]) -> bool:
    """Whether the common frames of each video are all that the row was scored on."""
    return all(frames == frames_in(row["frames"][video]) for video, frames in common.items())


def _stored_means(row: Mapping[str, Any], common: Mapping[str, set[int]]) -> np.ndarray:
    return np.array([[row["videos"][video][metric] for metric in METRICS] for video in common], float)


def _means(row: Mapping[str, Any], common: Mapping[str, set[int]], frame_scores: FrameScores | None) -> np.ndarray:
    """Means over the common frames of each video, float (V, len(METRICS)), NaN where there is none."""
    if "extrapolated_from" in row and _has_no_other(row, common):
        return _stored_means(row, common)  # of single frames it has no scores
    if frame_scores is None:
        raise InputError(
            f"{row['name']}: was not scored on the frames of the other row; the scores of frames are needed"
        )
    by_frame = frame_scores(row["name"])
    means = np.full((len(common), len(METRICS)), np.nan)
    for place, (video, frames) in enumerate(common.items()):
        _check_same_scores(row, video, by_frame)
        scores = np.stack([by_frame[video][metric][sorted(frames)] for metric in METRICS])
        known = np.isfinite(scores).any(1)
        means[place, known] = np.nanmean(scores[known], 1)
    return means


def _check_same_scores(row: Mapping[str, Any], video: str, by_frame: Mapping[str, Arrays]) -> None:
    """The scores of frames are kept in another file, which may be of another run."""
    if video not in by_frame:
        raise InputError(f"{row['name']}: has no scores of single frames of video {video}, which comparing needs here")
    numbers = row["videos"][video]
    for metric in METRICS:
        values = by_frame[video][metric]
        own = frames_in(row["frames"][video])
        scored = set(np.flatnonzero(np.isfinite(values)).tolist())
        mean = values[sorted(scored)].mean() if scored else np.nan
        if numbers[metric] is not None and not (scored == own and np.isclose(mean, numbers[metric], 1e-4, 1e-5)):
            raise InputError(
                f"{row['name']}: the scores of the frames of video {video} are of another run; evaluate anew"
            )


def paired(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """What `compare` says of a metric, from the means (V,) of two rows over each video; NaN where there is none."""
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


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
