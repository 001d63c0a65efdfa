"""Clips of a prepared dataset as batches of NumPy arrays, read, decoded and augmented in threads.

What a batch holds is a function of the seed and the step alone, whatever the number of processes: process p of P
takes every P-th clip of the same global batch. So a position to go on from is a step, shards are disjoint, and a
training may go on with more or fewer processes.

A batch's fields are those of `vasal_jax.batch.PackedBatch`, as NumPy arrays.
"""

import itertools
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from data.clips import (
    ClipOptions,
    ClipPlan,
    evaluation_lanes,
    evaluation_parts,
    ordered_clip,
    sampled_clip,
    training_parts,
)
from data.decoding import fill
from data.prepared import PreparedSplit
from vasal_jax.batch import PackedBatch, packed_names
from vasal_jax.config import CROP_SIZE, FRAME_SIZE, MAP_SIZE, MEL_SIZE, MEL_STEPS
from vasal_jax.errors import InputError
from vasal_jax.system.background import computed_ahead
from vasal_jax.system.processor import cores

MVVA_SUBJECTS = 34
"""S, for those who make batches without a dataset that says it."""
_BATCHES_AHEAD = 2


def training_batches(
    folder: str | os.PathLike,
    batch_size: int,
    seed: int,
    options: ClipOptions,
    *,
    start: int = 0,
    fields: Collection[str] | None = None,
    process: int = 0,
    processes: int = 1,
) -> Iterator[PackedBatch]:
    """Batches without end, each epoch in another order, each clip changed at random as `options` says.

    Args:
      folder: a prepared dataset.
      batch_size: clips in the global batch, a multiple of `processes`.
      seed: the same seed gives the same batches.
      options: size of the clips and what happens to them.
      start: the step of the first batch: to go on where a training stopped.
      fields: names of the arrays wanted, beside `video`, by those of a `Batch` or a `PackedBatch`; what is left out is
        not decoded either. None: all.
      process, processes: which share of each global batch to give, `batch_size / processes` clips.

    Raises:
      InputError: no such dataset, or a shard of it can no longer be read.
    """
    split = PreparedSplit(folder, "training")
    parts = training_parts(split.videos, options)
    share = _share_of(batch_size, process, processes)

    def choose(place: int) -> ClipPlan:
        return sampled_clip(parts, place, seed, options)

    return _batches(split, choose, itertools.count(start * share.clips), share, options, fields)


def evaluation_batches(
    folder: str | os.PathLike,
    split_name: str,
    batch_size: int,
    options: ClipOptions,
    *,
    lanes: bool = False,
    process: int = 0,
    processes: int = 1,
) -> Iterator[PackedBatch]:
    """Every frame of a split once, in order, unchanged; where clips run out, frames that are not `valid` fill up.

    Args, errors: as `training_batches`. All processes get the same number of batches.
      lanes: each place of a batch takes whole videos, clip by clip, for a state to be handed on along it.
    """
    split = PreparedSplit(folder, split_name)
    parts = evaluation_lanes(split.videos, options, batch_size) if lanes else evaluation_parts(split.videos, options)
    share = _share_of(batch_size, process, processes)

    def choose(place: int) -> ClipPlan:
        return ordered_clip(parts, place, options)

    rounds = -(-len(parts) // batch_size)
    return _batches(split, choose, range(rounds * share.clips), share, options)


def _share_of(batch_size: int, process: int, processes: int) -> "_Share":
    if not 0 <= process < processes:
        raise InputError(f"process {process}: expected 0 to {processes - 1}")
    if batch_size < 1 or batch_size % processes:
        raise InputError(f"batch size {batch_size}: expected a multiple of the number of processes, {processes}")
    return _Share(batch_size, process, processes)


class _Share(NamedTuple):
    """The clips that one process takes of each global batch."""

    batch_size: int
    process: int
    processes: int

    @property
    def clips(self) -> int:
        return self.batch_size // self.processes

    def place_of(self, number: int) -> int:
        """The place among the clips of all processes of this one's clip of a number."""
        step, place = divmod(number, self.clips)
        return step * self.batch_size + self.process * self.clips + place


class _Place(NamedTuple):
    """A clip to be read, and the batch in which it goes."""

    batch: dict[str, np.ndarray]
    slot: int
    number: int


def _batches(
    split: PreparedSplit,
    choose: Callable[[int], ClipPlan],
    numbers: Iterable[int],
    share: _Share,
    options: ClipOptions,
    fields: Collection[str] | None = None,
) -> Generator[PackedBatch, None, None]:
    """Batches whose clips are written, each in its place, by as many threads as there are cores."""
    subjects = max(video.subjects for video in split.videos)
    shapes = batch_shapes(options, subjects)
    if fields is not None:
        shapes = {name: shapes[name] for name in packed_names(fields) if name != "video"}

    def places() -> Iterator[_Place]:
        batch = {}
        for number in numbers:
            slot = number % share.clips
            if slot == 0:
                batch = _empty(share.clips, shapes)
            yield _Place(batch, slot, number)

    def read(place: _Place) -> _Place:
        plan = choose(share.place_of(place.number))
        clip = {name: values[place.slot] for name, values in place.batch.items() if name != "video"}
        place.batch["video"][place.slot] = plan.video
        try:
            fill(clip, split.read(plan.examples), plan)
        except InputError as error:
            shard = split.video_of(int(plan.examples[0])).shard
            raise error if str(shard) in str(error) else InputError(f"{shard}: {error}") from None
        return place

    workers = cores()
    for place in computed_ahead(read, places(), workers, ahead=workers + _BATCHES_AHEAD * share.clips):
        if place.slot == share.clips - 1:
            yield PackedBatch(**{**place.batch, "video": place.batch["video"].astype(str)})


def _empty(clips: int, shapes: Mapping[str, tuple[type, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """The arrays of a batch, zeros, and the videos' names."""
    arrays = {name: np.zeros((clips, *shape), kind) for name, (kind, shape) in shapes.items()}
    return {**arrays, "video": np.full(clips, "", object)}


def batch_shapes(options: ClipOptions, subjects: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """The type of each array of a `PackedBatch` but `video`, and its shape without B.

    Args:
      options: of its clips.
      subjects: S.
    """
    steps, faces = options.length, options.faces
    of_slots = (steps, faces)
    return {
        "pictures": (np.uint8, (options.pictures, FRAME_SIZE, FRAME_SIZE, 3)),
        "frame_at": (np.int32, (steps,)),
        "past_at": (np.int32, (steps,)),
        "colour": (np.float32, (3,)),
        "mel_pictures": (np.uint16, (options.sounds, MEL_SIZE, MEL_SIZE)),
        "mel_at": (np.int32, (steps, MEL_STEPS)),
        "face_map": (np.float32, (steps, MAP_SIZE, MAP_SIZE, 1)),
        "face_pictures": (np.uint8, (*of_slots, CROP_SIZE, CROP_SIZE, 3)),
        "face_boxes": (np.float32, (*of_slots, 4)),
        **dict.fromkeys(("face_mask", "talking", "talking_known"), (np.bool_, of_slots)),
        "density": (np.float32, (steps, MAP_SIZE, MAP_SIZE)),
        "fixations": (np.float32, (steps, subjects, 2)),
        "valid": (np.bool_, (steps,)),
        "frame": (np.int32, (steps,)),
    }
