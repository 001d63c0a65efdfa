"""A video in, saliency maps out, as a stream of any length in flat memory."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from vasal_jax.config import CLIP_LENGTH
from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import Clip, VideoClips
from vasal_jax.inputs.faces.sources import FaceSlots, FacesOfFrame, FaceSource
from vasal_jax.inputs.video import Frame
from vasal_jax.models.layers import for_inference
from vasal_jax.models.vasal import Carry, FaceInputs, Features, VASal, saliency
from vasal_jax.system.background import computed_ahead, prefetch

_STREAMED = 2
"""Frames of a clip where its length changes nothing but speed and memory."""

_AT_ONCE = 2
"""Clips whose features are computed side by side: one of them alone keeps five sixths of two cores busy."""


@dataclass(frozen=True, eq=False)
class FaceWeights:
    """How a model with a face branch weighs the n faces of one frame; `weights` and `no_face` sum to 1.

    Attributes:
      track: int32 (n,), increasing: the number of each face's track, an unbroken run in a column of the face tracks,
        counted from 0 in the order in which they begin.
      column: int32 (n,), where the face stands in the face tracks.
      boxes: float32 (n,4), x1, y1, x2, y2 in 0..1.
      weights: float32 (n,), the share of gaze that each face draws.
      no_face: the share that none does.
      talking: float32 (n,), probability that the face talks.
    """

    track: np.ndarray
    column: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray
    no_face: float
    talking: np.ndarray


@dataclass(frozen=True)
class FrameMap:
    """One frame and its saliency.

    Attributes:
      index: of the frame in the video, from 0.
      time: seconds since the first frame.
      image: uint8 (H,W,3) RGB, as displayed.
      map: float32 (32,32), a probability over the picture's cells, summing to 1. (The released way: each of its
        columns sums to 1.)
      faces: where the model has a face branch: its weights of the frame's faces.
    """

    index: int
    time: float
    image: np.ndarray
    map: np.ndarray
    faces: FaceWeights | None = None


def stream(
    model: VASal,
    video: str | os.PathLike,
    *,
    sound: str | os.PathLike | None = None,
    faces: FaceSource = None,
    clip_reset: bool = False,
    released: bool = False,
) -> Iterator[FrameMap]:
    """Saliency of a video, frame by frame as it is computed; threads read and compute features ahead.

    Args:
      model: from `vasal_jax.load`.
      video: a video file.
      sound: a sound or video file; by default the video's own sound.
      faces: "auto" to find and track them first; an MVVA tracking file `.npy` in pixels of the video; arrays (boxes,
        mask), (F,N,4) x1, y1, x2, y2 in 0..1 and bool (F,N), from `vasal_jax.inputs.faces.load_tracks` for files on
        another grid; None or "none". For models without a face branch also a folder of face maps `<n>.jpg`.
      clip_reset: forget what was seen at every 12th frame, as the released system does. By default the memory is
        handed on from clip to clip.
      released: all of the released system's ways: `clip_reset`, no maps for the first 5 frames and for the last,
        incomplete clip, and a softmax over each column of the map.

    Raises:
      InputError: an input cannot be read, a face branch is to get face maps, the face detector is not installed, a
        map is not finite, or `released` and the video has under 17 frames.
    """
    graph, parameters = nnx.split(for_inference(model))
    face_branch = model.face is not None
    forgets = clip_reset or released
    length = CLIP_LENGTH if forgets else _STREAMED
    video_clips = VideoClips(video, length, sound=sound, faces=faces, face_branch=face_branch, released=released)
    start = carry = model.initial_carry(1, video_clips.slots)
    with prefetch(iter(video_clips), depth=1) as clips:
        # The sound and the first clip are read while the programs are compiled.
        blank = video_clips.blank().batch
        features_of = clip_features.lower(graph, parameters, blank)
        results_of = clip_results.lower(graph, parameters, features_of.out_info, blank, carry, by_column=released)
        features_of, results_of = features_of.compile(), results_of.compile()

        def with_features(clip: Clip) -> tuple[Clip, Features]:
            return clip, jax.block_until_ready(features_of(parameters, clip.batch))

        ready = None
        with closing(computed_ahead(with_features, clips, _AT_ONCE)) as seen_and_heard:
            for clip, features in seen_and_heard:
                carry = start if forgets else carry
                results, carry = results_of(parameters, features, clip.batch, carry)
                # JAX computes in the background: the consumer works on the clip before meanwhile.
                if ready:
                    yield from _frame_maps(*ready)
                ready = clip.frames, clip.slots, results
            if ready:
                yield from _frame_maps(*ready)


def predict(model: VASal, video: str | os.PathLike, **options: object) -> np.ndarray:
    """Saliency maps of all frames of a video: float32 (n,32,32), each summing to 1. Options as in `stream`."""
    return np.stack([frame.map for frame in stream(model, video, **options)])


def by_columns(logits: jax.Array) -> jax.Array:
    """The released system's softmax, over the rows of each column: logits (..., H, W) to the same shape."""
    return jax.nn.softmax(logits, axis=-2)


class ClipResults(NamedTuple):
    """What a model says about one clip each of B videos, float32."""

    maps: jax.Array  # (B, T, 32, 32), each summing to 1
    weights: jax.Array | None  # (B, T, N+1), of each face slot and of "no face", summing to 1; None without a branch
    talking: jax.Array | None  # (B, T, N), probability of each face talking


@partial(jax.jit, static_argnames=("graph", "mesh"))
def clip_features(
    graph: nnx.GraphDef, parameters: nnx.State, batch: dict[str, jax.Array], *, mesh: Mesh | None = None
) -> Features:
    """What `clip_results` starts from, which needs nothing of the clips before. Arguments as there."""

    def run(parameters: nnx.State, batch: dict[str, jax.Array]) -> Features:
        return nnx.merge(graph, parameters).features(batch["frames"], batch["frames_past"], batch["mel"])

    return _on_each_device(run, mesh)(parameters, batch)


@partial(jax.jit, static_argnames=("graph", "by_column", "mesh"))
def clip_results(
    graph: nnx.GraphDef,
    parameters: nnx.State,
    features: Features,
    batch: dict[str, jax.Array],
    carry: Carry,
    *,
    by_column: bool = False,
    mesh: Mesh | None = None,
) -> tuple[ClipResults, Carry]:
    """Runs the model on one clip each of B videos, compiled once for a shape.

    Args:
      graph, parameters: `nnx.split` of the model.
      features: `clip_features` of the batch.
      batch: the model's inputs, (B, T, ...) each.
      carry: of the clips before, from `VASal.initial_carry(B, N)` on.
      by_column: the released system's softmax.
      mesh: devices along an axis "videos", whose number divides B; each runs the same program on its share.

    Returns:
      The results, and the carry for the clips after.
    """

    def run(
        parameters: nnx.State, features: Features, batch: dict[str, jax.Array], carry: Carry
    ) -> tuple[ClipResults, Carry]:
        model = nnx.merge(graph, parameters)
        output = model.from_features(features, batch["mel"], FaceInputs.of(batch), carry)
        maps = (by_columns if by_column else saliency)(output.saliency_logits)
        if output.faces is None:
            return ClipResults(maps, None, None), output.carry
        weights, talking = jax.nn.softmax(output.faces.weights), jax.nn.sigmoid(output.faces.talking)
        return ClipResults(maps, weights, talking), output.carry

    return _on_each_device(run, mesh)(parameters, features, batch, carry)


def _on_each_device(run: Callable, mesh: Mesh | None) -> Callable:
    """A function of the parameters and of arrays by video, on the devices' shares of these."""
    if mesh is None:
        return run
    videos = PartitionSpec("videos")

    def sharded(parameters: nnx.State, *by_video: Any) -> Any:
        specs = PartitionSpec(), *[videos] * len(by_video)
        return jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=videos)(parameters, *by_video)

    return sharded


def _frame_maps(frames: list[Frame], slots: FaceSlots | None, results: ClipResults) -> Iterator[FrameMap]:
    maps, weights, talking = (None if array is None else np.asarray(array[0]) for array in results)
    for step, frame in enumerate(frames):  # the rest repeats the last frame
        if not np.isfinite(maps[step]).all():
            raise InputError(f"frame {frame.index}: the map is not finite; the weights are damaged or of another model")
        faces = weights if weights is None else _face_weights(slots[frame.index], weights[step], talking[step])
        yield FrameMap(frame.index, frame.time, frame.image, maps[step], faces)


def _face_weights(faces: FacesOfFrame, weights: np.ndarray, talking: np.ndarray) -> FaceWeights:
    slots = np.flatnonzero(faces.mask)
    slots = slots[np.argsort(faces.track[slots])]
    return FaceWeights(
        faces.track[slots], faces.column[slots], faces.boxes[slots], weights[slots], float(weights[-1]), talking[slots]
    )
