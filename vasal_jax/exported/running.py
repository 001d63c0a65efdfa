"""A video through an exported program: the streaming way of `predict`, so that people see how a program is fed."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.exported.files import load
from vasal_jax.exported.program import Arrays, Program
from vasal_jax.inputs.clips import Clip, VideoClips
from vasal_jax.inputs.faces.sources import FaceSource
from vasal_jax.inputs.video import VideoInfo
from vasal_jax.outputs.frame_map import FrameMap
from vasal_jax.prediction.inference import ClipResults
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.prediction.streaming import clip_length, frame_maps
from vasal_jax.system.background import prefetch

Artifact = str | os.PathLike | Program
"""A file that `vasal export` wrote, or what `load` made of it."""


def run(artifact: Artifact, video: str | os.PathLike | VideoInfo, **options: Any) -> np.ndarray:
    """Saliency maps of all frames of a video: float32 (n,32,32), each summing to 1. Options as in `stream`."""
    return np.stack([frame.map for frame in stream(artifact, video, **options)])


def stream(
    artifact: Artifact,
    video: str | os.PathLike | VideoInfo,
    *,
    sound: str | os.PathLike | None = None,
    sound_track: int | None = None,
    faces: FaceSource = "auto",
    memory: Memory | str | None = None,
) -> Iterator[FrameMap]:
    """Saliency of a video, frame by frame as it is computed, by an exported program.

    Args:
      artifact: a file that `vasal export` wrote, or what `load` made of it.
      video, sound, sound_track, faces, memory: as of `vasal_jax.stream`.

    Raises:
      InputError: as `vasal_jax.stream` and `load`; or the program was exported for several videos at once, for clips
        that do not divide the memory, or for fewer faces than there are.
    """
    program = artifact if isinstance(artifact, Program) else load(artifact)
    sizes, config = program.description.sizes, program.description.config
    memory = Memory.chosen(memory, program.description.memory)
    length = sizes.get("T", clip_length(memory))
    if memory.period % length:
        raise InputError(f"memory {memory} needs clips that divide {memory.period} frames, the program's have {length}")
    if sizes.get("B", 1) != 1:
        raise InputError(f"the program takes {sizes['B']} videos at once; export one for a single video")
    clips = VideoClips(video, length, sound=sound, sound_track=sound_track, faces=faces, face_branch=bool(config.face))
    slots, count = _slots(program, clips.slots or 0), 0
    state = RecurrentState(memory, program.initial_carry(1, slots))
    with prefetch(iter(clips), depth=1) as ready:
        for clip in ready:
            if (needed := _slots(program, clip.slots)) != slots:
                slots = needed
                state.widen(program.initial_carry(1, slots))
            inputs = _inputs(clip, slots)

            def results_of(carry: Arrays, inputs: Arrays = inputs) -> tuple[Arrays, Arrays]:
                results = program(inputs | carry)
                return results, {name: results[name.replace("carry_", "next_", 1)] for name in carry}

            results = state(np.array([count]), results_of)
            count += length
            found = ClipResults(results["maps"], results.get("face_weights"), results.get("face_talking"))
            yield from frame_maps(clip.frames, clip.faces, found)


def _slots(program: Program, slots: int) -> int:
    """How many face slots a program is given: its own number, and never none."""
    most = program.description.sizes.get("N")
    if most is not None and slots > most:
        raise InputError(f"expected at most {most} faces at a time, found {slots}; export a program for more")
    return most or max(1, slots)


def _inputs(clip: Clip, slots: int) -> Arrays:
    """The clip's arrays with so many face slots; those that are new are empty."""

    def widened(name: str, array: np.ndarray) -> np.ndarray:
        if name not in ("face_crops", "face_boxes", "face_mask"):
            return array
        return np.pad(array, [(0, 0), (0, 0), (0, slots - array.shape[2])] + [(0, 0)] * (array.ndim - 3))

    batch: Mapping[str, np.ndarray] = clip.batch  # type: ignore[assignment]
    return {name: widened(name, array) for name, array in batch.items()}
