"""The files of results: written beside each other as JSON, tables and CSV, and the JSON read again."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.evaluation import tables
from vasal_jax.evaluation.clips import Arrays
from vasal_jax.evaluation.scores import Scores
from vasal_jax.evaluation.statistics import frames_in
from vasal_jax.inputs import limits
from vasal_jax.metrics import challenge
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.system.files import replacing
from vasal_jax.system.reading import open_regular
from vasal_jax.system.reading import read_json as read_json_file
from vasal_jax.system.text import csv_cell

MAX_FRAMES_BYTES = 2**28  # of a file of frames; one of 75 videos and 20 rows has 7e7


def write_all(
    path: Path,
    results: Mapping[str, Any],
    scores: Scores,
    notes: Mapping[str, Mapping[str, np.ndarray]],
    challenge_scores: Scores,
) -> list[Path]:
    """Writes `R.json` and beside it the tables `R.md` and `R.tex`, `R_videos.csv` and `R_frames.csv`.

    Where there are scores of the challenge's protocol, `R_challenge_frames.csv` too.

    Args:
      path: `R.json`.
      results: of `statistics.summarise`.
      scores: of `Evaluation.run`.
      notes: by video, of `scores.frame_notes`.
      challenge_scores: of `challenge.score`, or empty.

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
    if challenge_scores:
        paths.append(beside(path, "_challenge_frames.csv"))
        _write_csv(paths[5], _frame_lines(challenge_scores, {}, challenge.METRICS))
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
            yield [csv_cell(row["name"]), csv_cell(video), *numbers.values()]


def _frame_lines(
    scores: Scores, notes: Mapping[str, Mapping[str, np.ndarray]], metrics: Sequence[str] = METRICS
) -> Iterator[Sequence[Any]]:
    """For each row and frame its scores, empty where it has none, after what is known of it."""
    names = list(dict.fromkeys(chain.from_iterable(notes.values())))
    yield ["row", "video", "frame", *names, *metrics]
    for row, videos in scores.items():
        for video, frames in videos.items():
            known = [notes[video].get(name, [""] * len(frames[metrics[0]])) for name in names]
            columns = [*known, *(frames[metric] for metric in metrics)]
            for index, values in enumerate(zip(*columns, strict=True)):
                yield [csv_cell(row), csv_cell(video), index, *map(_cell, values)]


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
        results = read_json_file(path, "results written by evaluate.py --out", limits.MAX_JSON_BYTES)
        for row in results["rows"]:
            if not isinstance(row["truth"], str) or row["frames"].keys() != row["videos"].keys():
                raise TypeError("no truth or no frames")
            for ranges in row["frames"].values():
                frames_in(ranges)
            for numbers in chain([row["mean_over_videos"], row["mean_over_frames"]], row["videos"].values()):
                if not all(_is_number(numbers[metric]) for metric in METRICS):
                    raise TypeError("no number")
        if not results["rows"] or not all(isinstance(row["name"], str) for row in results["rows"]):
            raise TypeError("no rows")
        dict(results["settings"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{expected}, found something else or a damaged file") from None
    return results


def read_frames(path: str | os.PathLike, row: str) -> dict[str, Arrays]:
    """Reads the scores of single frames from `R_frames.csv`, beside `R.json`.

    Args:
      path: `R.json`.
      row: the name of a row.

    Returns:
      By video each metric: float64 (F,), NaN where a frame has no score.

    Raises:
      InputError: the file is missing, too large, or is none.
    """
    path = beside(Path(path), "_frames.csv")
    expected = f"{path}: expected the scores of frames written by evaluate.py --out, which comparing needs here"
    try:
        with (
            open_regular(path, "the scores of frames written by evaluate.py --out", MAX_FRAMES_BYTES) as content,
            io.TextIOWrapper(content, encoding="utf-8", newline="") as file,
        ):
            videos: dict[str, list[list[float]]] = {}
            for line in csv.DictReader(file):
                if line["row"] == csv_cell(row):
                    frames = videos.setdefault(_named_in(line["video"]), [])
                    if int(line["frame"]) != len(frames):
                        raise ValueError("frames are missing")
                    frames.append([float(line[metric] or "nan") for metric in METRICS])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{expected}, found something else or a damaged file") from None
    return {video: dict(zip(METRICS, np.array(frames).T, strict=True)) for video, frames in videos.items()}


def _named_in(cell: str) -> str:
    """The name that `csv_cell` put into a cell."""
    return cell[1:] if cell.startswith("'") and csv_cell(cell[1:]) == cell else cell


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
