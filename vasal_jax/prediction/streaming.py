"""A video in, saliency maps out, as a stream of any length in flat memory."""

import dataclasses
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain
from typing import Any, TypedDict, Unpack

import jax
import numpy as np
from flax import nnx
from jax.stages import Compiled, Lowered

from vasal_jax.ablations import Ablation
from vasal_jax.batch import Batch
from vasal_jax.config import CLIP_LENGTH, Memory
from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import Clip, VideoClips
from vasal_jax.inputs.faces.slots import FacesOfFrame
from vasal_jax.inputs.faces.sources import FaceSource
from vasal_jax.inputs.video import Frame, VideoInfo
from vasal_jax.models.layers import for_inference
from vasal_jax.models.vasal import Carry, Features, VASal, carry_of_zeros
from vasal_jax.outputs.frame_map import FaceWeights, FrameMap
from vasal_jax.prediction.inference import ClipResults, clip_features, clip_results
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.system.background import computed_ahead, prefetch

_STREAMED = 2
"""Frames of a clip where its length changes nothing but speed and memory."""

_AT_ONCE = 2
"""Clips whose features are computed side by side: one of them alone keeps five sixths of two cores busy."""


class StreamOptions(TypedDict, total=False):
    """What may be said of a stream, by name, as in `stream`."""

    sound: str | os.PathLike | None
    sound_track: int | None
    faces: FaceSource
    memory: Memory | str | None
    released: bool
    ablation: Ablation | None


class Predictor:
    """A model made ready for videos: its programs are compiled once, for the first video that needs them.

    Args:
      model: from `vasal_jax.load`.

    Attributes:
      model: the model.
      parameters: what its programs take first.
    """

    def __init__(self, model: VASal):
        self.model = model
        self._graph, self.parameters = nnx.split(for_inference(model))
        self._compiled: dict[tuple, Future[Compiled]] = {}
        self._compiling = threading.Lock()  # several videos may be predicted at a time, in threads
        self._compilers = ThreadPoolExecutor(2, "compile")

    def stream(
        self,
        video: str | os.PathLike | VideoInfo,
        *,
        sound: str | os.PathLike | None = None,
        sound_track: int | None = None,
        faces: FaceSource = "auto",
        memory: Memory | str | None = None,
        released: bool = False,
        ablation: Ablation | None = None,
    ) -> Generator[FrameMap]:
        """Saliency of a video, frame by frame; arguments and errors as of the function `stream`."""
        model, parameters = self.model, self.parameters
        memory = Memory.chosen(memory, model.memory, released)
        length, face_branch = clip_length(memory, released), model.face is not None
        heard = {"sound": sound, "sound_track": sound_track}
        video_clips = VideoClips(video, length, **heard, faces=faces, face_branch=face_branch, released=released)
        slots, count, blank = video_clips.slots, 0, video_clips.blank()
        with prefetch(_ablated(iter(video_clips), ablation), depth=1) as clips:
            # While the sound and the first clip are read, the programs are compiled side by side.
            compiling = self.features_program(blank)
            if slots is None:
                first = next(clips)
                slots, blank, clips = first.slots, first.batch, chain([first], clips)
            results_of = self.results_program(blank, slots, released).result()
            features_of = compiling.result()
            state = RecurrentState(memory, start_of_video(model, slots))

            def with_features(clip: Clip) -> tuple[Clip, Features]:
                return clip, jax.block_until_ready(features_of(parameters, pictures_and_sound(clip.batch)))

            ready = None
            with closing(computed_ahead(with_features, clips, _AT_ONCE)) as seen_and_heard:
                for clip, features in seen_and_heard:
                    if clip.slots != slots:
                        slots = clip.slots
                        state.widen(start_of_video(model, slots))
                        results_of = self.results_program(clip.batch, slots, released).result()
                    results = state(np.array([count]), partial(results_of, parameters, features, clip.batch))
                    count += length
                    # JAX computes in the background: the consumer works on the clip before meanwhile.
                    if ready:
                        yield from frame_maps(*ready)
                    ready = clip.frames, clip.faces, results
                if ready:
                    yield from frame_maps(*ready)

    def features_program(self, clip: Batch) -> Future[Compiled]:
        """`clip_features` for clips like this one, being compiled."""
        return self._compiled_once(
            ("features", clip["frames"].shape[1]), lambda: lowered_features(self._graph, self.parameters, clip)
        )

    def results_program(self, clip: Batch, slots: int, released: bool = False) -> Future[Compiled]:
        """`clip_results` for clips like this one, with so many face slots, being compiled."""

        def lowered() -> Lowered:
            features = clip_features.eval_shape(self._graph, self.parameters, pictures_and_sound(clip))
            carry = start_of_video(self.model, slots)
            return lowered_results(self._graph, self.parameters, features, clip, carry, released)

        return self._compiled_once(("results", clip["frames"].shape[1], slots, released), lowered)

    def _compiled_once(self, key: tuple, lowered: Callable[[], Lowered]) -> Future[Compiled]:
        with self._compiling:
            program = self._compiled.get(key)
            if program is None or (program.done() and program.exception()):  # a lack of memory may be over
                program = self._compiled[key] = self._compilers.submit(lowered().compile)
            return program


def start_of_video(model: VASal, slots: int) -> Carry:
    """`VASal.initial_carry` of one video."""
    return carry_of_zeros(partial(model.initial_carry, 1, slots))


def lowered_features(graph: nnx.GraphDef, parameters: Any, batch: Batch) -> Lowered:
    """`clip_features` for clips like this one; the arrays may be abstract, on devices that are not there."""
    return clip_features.lower(graph, parameters, pictures_and_sound(batch))


def lowered_results(
    graph: nnx.GraphDef, parameters: Any, features: Any, batch: Batch, carry: Any, released: bool
) -> Lowered:
    """`clip_results` for clips like this one, likewise."""
    return clip_results.lower(graph, parameters, features, batch, carry, by_column=released)


def stream(
    model: VASal,
    video: str | os.PathLike | VideoInfo,
    *,
    sound: str | os.PathLike | None = None,
    sound_track: int | None = None,
    faces: FaceSource = "auto",
    memory: Memory | str | None = None,
    released: bool = False,
    ablation: Ablation | None = None,
) -> Iterator[FrameMap]:
    """Saliency of a video, frame by frame as it is computed; threads read and compute features ahead.

    Args:
      model: from `vasal_jax.load`.
      video: a video file, or what `vasal_jax.inputs.video.probe` found of it or of a folder of frames.
      sound: a sound or video file; by default the video's own sound, silence for a folder of frames.
      sound_track: which sound track of the file, from 1; by default the one a player takes.
      faces: "auto" to find and track them as the video goes by; an MVVA tracking file `.npy` in pixels of the video;
        arrays (boxes, mask), (F,N,4) x1, y1, x2, y2 in 0..1 and bool (F,N), from `vasal_jax.inputs.faces.load_tracks`
        for files on another grid; None or "none". For models without a face branch also a folder of face maps
        `<n>.jpg`.
      memory: how much of the video the recurrent state remembers, see `vasal_jax.config.Memory`: "continuous",
        "reset/12", "overlap/12"; "reset" and "overlap" take N from the weights. By default what suits the weights:
        overlap/N where they say that they were trained on clips of N frames, else continuous.
      released: all of the released system's ways: reset/12, no maps for the first 5 frames and for the last,
        incomplete clip, and a softmax over each column of the map.
      ablation: what is taken from the model's inputs, one of `vasal_jax.ablations` that needs no other sound; another
        sound is given by `sound`.

    Raises:
      InputError: an input cannot be read, a face branch is to get face maps, the faces cannot be found, a
        map is not finite, `memory` is none of the above or not the released system's where `released`, or `released`
        and the video has under 17 frames.
    """
    heard = {"sound": sound, "sound_track": sound_track}
    return Predictor(model).stream(video, **heard, faces=faces, memory=memory, released=released, ablation=ablation)


def clip_length(memory: Memory, released: bool = False) -> int:
    """Frames of a clip of a stream: as short as its memory allows, for the clips in flight are what takes memory."""
    return CLIP_LENGTH if released else memory.clip_length(CLIP_LENGTH if memory.period % _STREAMED else _STREAMED)


def predict(model: VASal, video: str | os.PathLike | VideoInfo, **options: Unpack[StreamOptions]) -> np.ndarray:
    """Saliency maps of all frames of a video: float32 (n,32,32), each summing to 1. Options as in `stream`."""
    return np.stack([frame.map for frame in stream(model, video, **options)])


def _ablated(clips: Generator[Clip], ablation: Ablation | None) -> Generator[Clip]:
    """The clips without what an ablation takes away; closing it closes them."""
    with closing(clips):
        for clip in clips:
            yield clip if ablation is None else dataclasses.replace(clip, batch=ablation.change(clip.batch))


def pictures_and_sound(batch: Batch) -> Batch:
    """What features are made of, the same in all clips; the number of face slots may grow."""
    return Batch(**{name: batch[name] for name in ("frames", "frames_past", "mel")})


def frame_maps(frames: list[Frame], slots: list[FacesOfFrame] | None, results: ClipResults) -> Iterator[FrameMap]:
    """The maps of a clip's frames, with their faces where there are slots.

    Raises:
      InputError: a map is not finite.
    """
    maps = np.asarray(results.maps[0])
    faces: list[FaceWeights | None] = [None] * len(maps)
    if slots is not None and results.weights is not None and results.talking is not None:
        weights, talking = np.asarray(results.weights[0]), np.asarray(results.talking[0])
        faces = list(map(_face_weights, slots, weights, talking))
    for frame, saliency, its_faces in zip(frames, maps, faces, strict=False):  # the rest repeats the last frame
        if not np.isfinite(saliency).all():
            raise InputError(f"frame {frame.index}: the map is not finite; the weights are damaged or of another model")
        yield FrameMap(frame.index, frame.time, frame.image, saliency, its_faces)


def _face_weights(faces: FacesOfFrame, weights: np.ndarray, talking: np.ndarray) -> FaceWeights:
    slots = np.flatnonzero(faces.mask)
    slots = slots[np.argsort(faces.track[slots])]
    return FaceWeights(
        faces.track[slots], faces.column[slots], faces.boxes[slots], weights[slots], float(weights[-1]), talking[slots]
    )
