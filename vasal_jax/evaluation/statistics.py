"""Scores of frames to the numbers of a table: means, confidence intervals, comparisons, and the files that keep them.

The headline is the mean per video, then over videos: every video counts the same, however long. The mean over frames
is given beside it. Frames that cannot be scored (nobody looked anywhere, a missing map) are left out and counted.
"""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from vasal_jax.errors import InputError
from vasal_jax.evaluation import tables
from vasal_jax.evaluation.scores import Scores
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.system.files import replacing

RESAMPLES = 9999  # of bootstrap and permutation test
MAX_BYTES = 64 * 2**20  # of a file of results; one of 343 videos and 10 rows has 1e6

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


def _by_metric(values) -> dict[str, float | None]:
    return dict(zip(METRICS, values, strict=True))


def write_all(
    path: Path, results: Mapping[str, Any], scores: Scores, notes: Mapping[str, Mapping[str, np.ndarray]]
) -> list[Path]:
    """Writes `R.json` and beside it the tables `R.md` and `R.tex`, `R_videos.csv` and `R_frames.csv`.

    Args:
      path: `R.json`.
      results: of `summarise`.
      scores: of `Evaluation.run`.
      notes: by video, what `frame_notes` says of its frames.

    Returns:
      All paths written.

    Raises:
      InputError: the file system refused.
    """
    paths = [
        path,
        path.with_suffix(".md"),
        path.with_suffix(".tex"),
        beside(path, "_videos.csv"),
        beside(path, "_frames.csv"),
    ]
    json_text = json.dumps(results, indent=1, allow_nan=False)
    for target, text in zip(paths, (json_text, tables.markdown(results), tables.latex(results)), strict=False):
        with replacing(target) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    _write_csv(paths[3], _video_lines(results))
    _write_csv(paths[4], _frame_lines(scores, notes))
    return paths


def beside(path: Path, ending: str) -> Path:
    """The name of something that belongs to a file of results: `R.json`, "_work" to `R_work`."""
    return path.with_name(path.stem + ending)


def _write_csv(path: Path, lines: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def _video_lines(results: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """For each row and video the means over its frames."""
    yield ["row", "video", *METRICS]
    for row in results["rows"]:
        for video, numbers in row["videos"].items():
            yield [row["name"], video, *numbers.values()]


def _frame_lines(scores: Scores, notes: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Sequence[Any]]:
    """For each row and frame its scores, empty where it has none, after what is known of it."""
    names = list(dict.fromkeys(chain.from_iterable(notes.values())))
    yield ["row", "video", "frame", *names, *METRICS]
    for row, videos in scores.items():
        for video, frames in videos.items():
            known = [notes[video].get(name, [""] * len(frames[METRICS[0]])) for name in names]
            columns = [*known, *(frames[metric] for metric in METRICS)]
            for index, values in enumerate(zip(*columns, strict=True)):
                yield [row, video, index, *map(_cell, values)]


def _cell(value: Any) -> Any:
    if not isinstance(value, np.floating):
        return value
    return f"{value:.6g}" if np.isfinite(value) else ""


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a file of results.

    Raises:
      InputError: the file is missing, or is none.
    """
    path = Path(path)
    expected = f"{path}: expected results written by evaluate.py --out"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{expected}, at most {MAX_BYTES} bytes")
        results = json.loads(content)
        for row in results["rows"]:
            for numbers in chain([row["mean_over_videos"], row["mean_over_frames"]], row["videos"].values()):
                if not all(_is_number(numbers[metric]) for metric in METRICS):
                    raise TypeError("no number")
        if not results["rows"] or not all(isinstance(row["name"], str) for row in results["rows"]):
            raise TypeError("no rows")
        dict(results["settings"])
    except OSError as error:
        raise InputError(f"{expected}, cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{expected}, found something else or a damaged file") from None
    return results


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
