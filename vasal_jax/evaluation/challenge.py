"""A split scored as the AIM 2024 and NTIRE 2026 video saliency challenges score submissions, in a table of its own.

The ground truth is the dataset's own maps at their own size. A model's maps are stretched to 0..255 a frame, rounded
and brought to the ground truth's size, as in the grey video of a submission, before the video's compression.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import GroundTruth
from vasal_jax.evaluation.map_folders import VideoMaps, find_maps
from vasal_jax.evaluation.rows import CENTRE_PRIOR, Row
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.metrics import challenge
from vasal_jax.metrics.challenge import METRICS
from vasal_jax.outputs.heatmap import grey_map

PROTOCOL = "AIM 2024 / NTIRE 2026 video saliency challenge"
ReadMap = Callable[[int], np.ndarray]  # a frame to its map, float (h, w), any size and range
Scores = dict[str, dict[str, np.ndarray]]  # video, metric: float64 (F,)

_FRAMES_AT_ONCE = 8  # of 1920x1080 each takes some 100 MB


def check(truths: Sequence[GroundTruth]) -> None:
    """Raises `InputError` where a video brings no maps of its own, which this protocol scores against."""
    for truth in truths:
        if not truth.has_pictures:
            raise InputError(
                f"--protocol challenge: expected a dataset with ground-truth maps of its own, found none of video "
                f"{truth.video.id}; leave the protocol out"
            )


def scores_row(row: Row) -> bool:
    """Whether a row is scored: a model or the centre prior; others only make sense at the project's own resolution."""
    return row.needs_model or row.name == CENTRE_PRIOR


def score(
    evaluation: Evaluation, rows: Sequence[Row], folders: Sequence[Path], advance: Callable[[int], None]
) -> dict[str, Scores]:
    """Scores models, submissions and the centre prior on every frame, frames side by side on all cores.

    Args:
      evaluation: which has run with `rows`.
      rows: those are scored of which `scores_row` is true.
      folders: of maps made elsewhere, each map scored at its own size.
      advance: told of frames that are through.

    Returns:
      By row and video, each of `METRICS`: float64 (F,), NaN for frames that cannot be scored.

    Raises:
      InputError: a folder lacks maps or has more than there are frames, or a file is damaged.
    """
    openers = {row.name: _of_row(evaluation, row) for row in rows if scores_row(row)}
    openers = {folder.resolve().name: _of_folder(folder, evaluation.truths) for folder in folders} | openers
    return {name: score_videos(evaluation.truths, open_maps, advance) for name, open_maps in openers.items()}


def score_videos(
    truths: Sequence[GroundTruth], open_maps: Callable[[GroundTruth], ReadMap], advance: Callable[[int], None]
) -> Scores:
    """Scores one row: `open_maps` gives a reader of its maps of a video, which is asked for frames in order."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return {truth.video.id: _score_video(truth, open_maps(truth), threads, advance) for truth in truths}


def _of_row(evaluation: Evaluation, row: Row) -> Callable[[GroundTruth], ReadMap]:
    def open_maps(truth: GroundTruth) -> ReadMap:
        read, (height, width) = evaluation.open_maps(row, truth), truth.video.grid
        return lambda frame: grey_map(read([frame])[0], width, height)

    return open_maps


def _of_folder(folder: Path, truths: Sequence[GroundTruth]) -> Callable[[GroundTruth], ReadMap]:
    lengths = {truth.video.id: truth.video.n_frames for truth in truths}
    maps, missing = find_maps(folder, lengths)
    problems = [*missing, *_surplus(maps, lengths)]
    if problems:
        listed = "; ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise InputError(f"{folder}: the challenge takes as many maps as the ground truth has frames: {listed}")
    return lambda truth: maps[truth.video.id].open()


def _surplus(maps: Mapping[str, VideoMaps], lengths: Mapping[str, int]) -> list[str]:
    found = {video: len(maps[video].frames) for video in maps}
    return [f"video {v}: expected {lengths[v]} maps, found {n}" for v, n in found.items() if n > lengths[v]]


def _score_video(
    truth: GroundTruth, read: ReadMap, threads: ThreadPoolExecutor, advance: Callable[[int], None]
) -> dict[str, np.ndarray]:
    scored: list[dict[str, float]] = []
    frames = truth.video.n_frames
    for begin in range(0, frames, _FRAMES_AT_ONCE):
        # Decoding goes frame by frame; what is decoded is scored in threads, a few frames in memory at a time.
        block = list(_frames(truth, read, range(begin, min(begin + _FRAMES_AT_ONCE, frames)), threads))
        scored += [future.result() for future in block]
        advance(len(block))
    return {name: np.array([scores[name] for scores in scored]) for name in METRICS}


def _frames(truth: GroundTruth, read: ReadMap, frames: range, threads: ThreadPoolExecutor) -> Iterator[Any]:
    for frame in frames:
        points = truth.points[frame]
        fixations = points[np.isfinite(points).all(-1)][:, ::-1].astype(np.int64)
        picture = truth.video.density_picture(frame)
        assert picture is not None  # see `check`
        yield threads.submit(challenge.score, read(frame), picture, fixations)


def summarise(rows: Mapping[str, Scores], truths: Sequence[GroundTruth]) -> dict[str, Any]:
    """The leaderboard's numbers: for each subset the mean over videos of the means over frames.

    Returns:
      `protocol`; `subsets`, the names with how many videos each has; `rows`, each with `name`, `subsets` (by subset the
      four means) and `videos` (by video the four means); None where a number cannot be had.
    """
    subsets: dict[str, list[str]] = {}
    for truth in truths:
        subsets.setdefault(truth.video.subset or "all", []).append(truth.video.id)
    listed = []
    for name, scores in rows.items():
        videos = {video: {metric: _mean(frames[metric]) for metric in METRICS} for video, frames in scores.items()}
        means = {
            subset: {metric: _mean([videos[video][metric] for video in ids]) for metric in METRICS}
            for subset, ids in subsets.items()
        }
        listed.append({"name": name, "subsets": means, "videos": videos})
    return {"protocol": PROTOCOL, "subsets": {name: len(ids) for name, ids in subsets.items()}, "rows": listed}


def _mean(values: Sequence[float | None] | np.ndarray) -> float | None:
    known = np.array([np.nan if value is None else value for value in values])
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None
