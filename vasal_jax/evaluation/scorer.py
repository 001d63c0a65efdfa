"""Rows scored on several videos at once, each video in a lane of its own, the lanes shared out over all devices."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from math import ceil
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vasal_jax import metrics
from vasal_jax.ablations import OTHER_MEL
from vasal_jax.batch import Batch
from vasal_jax.errors import InputError
from vasal_jax.evaluation.clips import Arrays, ClipReader, ScoredClip
from vasal_jax.evaluation.ground_truth import GroundTruth, Video
from vasal_jax.evaluation.rows import Row
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.models.layers import for_inference
from vasal_jax.models.vasal import VASal
from vasal_jax.prediction.inference import clip_features, clip_results
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.system.background import prefetch

_ALONG_VIDEOS, _EVERYWHERE = PartitionSpec("videos"), PartitionSpec()


class Result(NamedTuple):
    """What a row gives for a video; JAX arrays (lanes, T, ...) while it is made."""

    scores: dict[str, Arrays]
    """By truth the `METRICS`, float32 (F,) each, NaN where a frame cannot be scored."""
    kept: Arrays
    """Of a model's rows `maps`, float32 (F, 32, 32), and `face_weights`, float32 (F, slots+1), with a face branch."""


def score_videos(
    reader: ClipReader,
    truths: Sequence[GroundTruth],
    rows: Sequence[Row],
    prior: np.ndarray,
    model: VASal | None,
    batch: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[Video, dict[str, Result]]]:
    """Scores of each video as soon as all of its frames are scored.

    Args:
      reader: of the rows' inputs.
      truths: of the videos to score.
      rows: those that `reader` was made for.
      prior: float32 (H, W), the baseline of the information gain; its size is the truth's resolution.
      model: for the model's rows.
      batch: videos at once on a device.
      advance: called with the number of frames that were scored since its last call.

    Yields:
      A video, and its results by row.

    Raises:
      InputError: an input cannot be read or a model's map is not finite.
    """
    devices = jax.devices()[: ceil(len(truths) / batch)]
    lanes = batch * len(devices)
    step = _LaneScorer(rows, prior, model, Mesh(np.array(devices), ("videos",)), lanes, reader.slots)
    waiting = iter(truths)  # whichever lane is free takes the next video
    whole = _VideoScores(advance)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(prefetch(reader.clips(waiting), depth=1)) for _ in range(lanes)]
        ready = None
        for clips in zip_longest(*readers):
            results = step(clips)
            # JAX computes in the background: what it computed before is taken in meanwhile.
            if ready:
                yield from whole.add(*ready)
            ready = clips, results
        if ready:
            yield from whole.add(*ready)


class _VideoScores:
    """Puts the scores of a video's clips together."""

    def __init__(self, advance: Callable[[int], None]):
        self._advance = advance
        self._parts: dict[str, list[dict[str, Result]]] = {}

    def add(
        self, clips: Sequence[ScoredClip | None], results: dict[str, Result]
    ) -> Iterator[tuple[Video, dict[str, Result]]]:
        """Takes in one step of all lanes, and gives out the videos that end with it."""
        arrays = jax.device_get(results)
        for lane, clip in enumerate(clips):
            if clip is None:
                continue
            video, count = clip.truth.video, len(clip.frames)
            part = jax.tree.map(lambda value: value[lane, :count], arrays)  # noqa: B023, called at once
            _check_finite(part, video, clip.frames)
            parts = self._parts.setdefault(video.id, [])
            parts.append(part)
            self._advance(count)
            if clip.is_last:
                del self._parts[video.id]
                yield video, jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _check_finite(part: dict[str, Result], video: Video, frames: range) -> None:
    for row, result in part.items():
        finite = np.isfinite(result.kept.get("maps", 0.0))
        if not finite.all():
            frame = frames[int(np.argmin(finite.all((1, 2))))]
            raise InputError(
                f"{row}: the map of frame {frame} of video {video.id} is not finite; the weights are damaged or of "
                "another model"
            )


class _LaneScorer:
    """Runs model and metrics on one clip of each lane; remembers the model's state."""

    def __init__(self, rows: Sequence[Row], prior: np.ndarray, model: VASal | None, mesh: Mesh, lanes: int, slots: int):
        self._rows, self._mesh = rows, mesh
        self._sharding = NamedSharding(mesh, _ALONG_VIDEOS)
        self._prior = jax.device_put(prior, NamedSharding(mesh, _EVERYWHERE))
        if model is not None:
            self._graph, parameters = nnx.split(for_inference(model))
            self._parameters = jax.device_put(parameters, NamedSharding(mesh, _EVERYWHERE))
            start = jax.device_put(model.initial_carry(lanes, slots), self._sharding)
            self._states = {row.name: RecurrentState(row.memory, start) for row in rows if row.needs_model}

    def __call__(self, clips: Sequence[ScoredClip | None]) -> dict[str, Result]:
        """The results by row; lanes without a clip hold anything."""
        filler = next(clip for clip in clips if clip is not None)
        clips = [clip or filler for clip in clips]
        targets = self._together([clip.targets for clip in clips])
        batch = self._together([clip.batch for clip in clips])
        run = partial(self._run, batch, np.array([clip.frames.start for clip in clips]))
        results = {}
        for row in self._rows:
            maps, kept = row.outputs(self._together([clip.given[row.name] for clip in clips]), run)
            scores = {truth: _score(maps, targets[truth], self._prior, self._mesh) for truth in row.truths}
            results[row.name] = Result(scores, kept)
        return results

    def _together(self, trees: list) -> Any:
        joined = jax.tree.map(lambda *parts: np.concatenate(parts), *trees)
        return jax.device_put(joined, self._sharding)

    def _run(self, batch: Batch, starts: np.ndarray, row: str, change: Callable[[Batch], Batch]) -> Arrays:
        inputs = Batch(**{name: value for name, value in change(batch).items() if name != OTHER_MEL})
        features = clip_features(self._graph, self._parameters, inputs, mesh=self._mesh)
        results = partial(clip_results, self._graph, self._parameters, features, inputs, mesh=self._mesh)
        found = self._states[row](starts, results)
        return {"maps": found.maps} | ({} if found.weights is None else {"face_weights": found.weights})


@partial(jax.jit, static_argnames="mesh")
def _score(maps: jax.Array, target: dict[str, jax.Array], prior: jax.Array, mesh: Mesh) -> dict[str, jax.Array]:
    def run(maps, target, prior):
        size = prior.shape
        maps = maps if maps.shape[-2:] == size else metrics.resized(maps, size)
        scores = metrics.score(maps, baseline=prior, **target)
        return {name: scores[name] for name in METRICS}

    specs = (_ALONG_VIDEOS, _ALONG_VIDEOS, _EVERYWHERE)
    return jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=_ALONG_VIDEOS)(maps, target, prior)
