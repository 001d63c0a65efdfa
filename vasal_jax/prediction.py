"""A video in, saliency maps out, as a stream of any length in flat memory."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from flax import nnx

from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import Clip, read_clips
from vasal_jax.inputs.prefetch import prefetch
from vasal_jax.models.config import CLIP_LENGTH
from vasal_jax.models.convlstm import Carry
from vasal_jax.models.vasal import VASal, saliency


@dataclass(frozen=True)
class FrameMap:
    """One frame and its saliency.

    Attributes:
      index: of the frame in the video, from 0.
      time: seconds since the first frame.
      image: uint8 (H,W,3) RGB, as displayed.
      map: float32 (32,32), a probability over the picture's cells, summing to 1. (The released way: each of its
        columns sums to 1.)
    """

    index: int
    time: float
    image: np.ndarray
    map: np.ndarray


def stream(
    model: VASal,
    video: str | os.PathLike,
    *,
    sound: str | os.PathLike | None = None,
    faces: str | os.PathLike | None = None,
    clip_reset: bool = False,
    released: bool = False,
) -> Iterator[FrameMap]:
    """Saliency of a video, frame by frame as it is computed; decoding runs ahead in a thread.

    Args:
      model: from `vasal_jax.load`.
      video: a video file.
      sound: a sound or video file; by default the video's own sound.
      faces: a folder of face maps `<n>.jpg`, an MVVA tracking file `.npy`, or None.
      clip_reset: forget what was seen at every 12th frame, as the released system does. By default the memory is
        handed on from clip to clip.
      released: all of the released system's ways: `clip_reset`, no maps for the first 5 frames and for the last,
        incomplete clip, and a softmax over each column of the map.

    Raises:
      InputError: an input cannot be read, a map is not finite, or `released` and the video has under 17 frames.
    """
    graph, parameters = nnx.split(model)
    start = carry = model.initial_carry(1)
    ready = None
    clips = read_clips(video, CLIP_LENGTH, sound=sound, faces=faces, released=released)
    with contextlib.closing(prefetch(clips, depth=1)) as clips:
        for clip in clips:
            carry = start if clip_reset or released else carry
            maps, carry = _clip_maps(graph, parameters, clip.batch, carry, by_column=released)
            # JAX computes in the background: the consumer works on the clip before meanwhile.
            if ready:
                yield from _frame_maps(*ready)
            ready = clip, maps
        if ready:
            yield from _frame_maps(*ready)


def predict(model: VASal, video: str | os.PathLike, **options: object) -> np.ndarray:
    """Saliency maps of all frames of a video: float32 (n,32,32), each summing to 1. Options as in `stream`."""
    return np.stack([frame.map for frame in stream(model, video, **options)])


def by_columns(logits: jax.Array) -> jax.Array:
    """The released system's softmax, over the rows of each column: logits (..., H, W) to the same shape."""
    return jax.nn.softmax(logits, axis=-2)


@partial(jax.jit, static_argnames=("graph", "by_column"))
def _clip_maps(
    graph: nnx.GraphDef, parameters: nnx.State, batch: dict[str, jax.Array], carry: Carry, by_column: bool
) -> tuple[jax.Array, Carry]:
    logits, carry = nnx.merge(graph, parameters)(**batch, carry=carry)
    return (by_columns(logits) if by_column else saliency(logits)), carry


def _frame_maps(clip: Clip, maps: jax.Array) -> Iterator[FrameMap]:
    for frame, saliency_map in zip(clip.frames, np.asarray(maps[0]), strict=False):  # the rest repeats the last frame
        if not np.isfinite(saliency_map).all():
            raise InputError(f"frame {frame.index}: the map is not finite; the weights are damaged or of another model")
        yield FrameMap(frame.index, frame.time, frame.image, saliency_map)
