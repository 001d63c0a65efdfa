"""Clips of a prepared dataset as batches of NumPy arrays, read, decoded and augmented by tf.data.

What a batch holds is a function of the seed and the step alone, whatever the number of processes: process p of P
takes every P-th clip of the same global batch. So a position to go on from is a step, shards are disjoint, and a
training may go on with more or fewer processes.

A batch's fields are those of `vasal_jax.batch.Batch`, as NumPy arrays.
"""

import atexit
import os
import weakref
from collections.abc import Callable, Collection, Generator, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data.clips import (
    PLAN_FIELDS,
    ClipOptions,
    ClipPlan,
    evaluation_lanes,
    evaluation_parts,
    ordered_clip,
    sampled_clip,
    training_parts,
)
from data.decoding import assemble, coloured
from data.prepared import PreparedSplit
from vasal_jax.batch import Batch
from vasal_jax.errors import InputError

tf.config.set_visible_devices([], "GPU")  # those are for the training

_open: weakref.WeakSet[Generator] = weakref.WeakSet()


@atexit.register
def _close_open() -> None:
    """Ends what is still read ahead. Else Python's end waits for TensorFlow's threads, and those for Python."""
    for batches in list(_open):
        batches.close()


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
) -> Iterator[Batch]:
    """Batches without end, each epoch in another order, each clip changed at random as `options` says.

    Args:
      folder: a prepared dataset.
      batch_size: clips in the global batch, a multiple of `processes`.
      seed: the same seed gives the same batches.
      options: size of the clips and what happens to them.
      start: the step of the first batch: to go on where a training stopped.
      fields: names of the arrays wanted, beside `video`; what is left out is not decoded either. None: all.
      process, processes: which share of each global batch to give, `batch_size / processes` clips.

    Raises:
      InputError: no such dataset, or a shard of it can no longer be read.
    """
    split = PreparedSplit(folder, "training")
    parts = training_parts(split.videos, options)
    share = _share_of(batch_size, process, processes)

    def choose(place: int) -> ClipPlan:
        return sampled_clip(parts, place, seed, options)

    numbers = tf.data.Dataset.counter(start * share.clips, dtype=tf.int64)
    return _opened(_batches(split, choose, numbers, share, options, fields))


def evaluation_batches(
    folder: str | os.PathLike,
    split_name: str,
    batch_size: int,
    options: ClipOptions,
    *,
    lanes: bool = False,
    process: int = 0,
    processes: int = 1,
) -> Iterator[Batch]:
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
    numbers = tf.data.Dataset.range(rounds * share.clips)
    return _opened(_batches(split, choose, numbers, share, options))


def _opened(batches: Generator[Batch, None, None]) -> Iterator[Batch]:
    _open.add(batches)
    return batches


def _share_of(batch_size: int, process: int, processes: int) -> "_Share":
    if not 0 <= process < processes:
        raise InputError(f"process {process}: expected 0 to {processes - 1}")
    if batch_size < 1 or batch_size % processes:
        raise InputError(f"batch size {batch_size}: expected a multiple of the number of processes, {processes}")
    return _Share(batch_size, process, processes)


class _LookUp:
    """Plans the clips of one process and reads their examples, called by tf.data with the numbers of the clips.

    Attributes:
      failures: what went wrong. Raised in a call, it would reach the terminal by way of TensorFlow, with two
        tracebacks; so the clips end there, and the reader of the batches raises it.
    """

    def __init__(self, split: PreparedSplit, choose: Callable[[int], ClipPlan], share: "_Share"):
        self._split, self._choose, self._share = split, choose, share
        self.failures: list[InputError] = []

    def __call__(self, number: tf.Tensor) -> tuple[tf.Tensor, ClipPlan]:
        """The serialized examples of a clip, none where they cannot be read, and its plan."""
        types = [tf.string, *(tf.as_dtype(PLAN_FIELDS[name][0]) for name in ClipPlan._fields)]
        serialized, *fields = tf.numpy_function(self._read, [number], types)
        named = zip(ClipPlan._fields, fields, strict=True)
        plan = ClipPlan(**{name: tf.ensure_shape(value, PLAN_FIELDS[name][1]) for name, value in named})
        return tf.ensure_shape(serialized, (None,)), plan

    def _read(self, number: np.int64) -> tuple:
        plan = self._choose(self._share.place_of(int(number)))
        try:
            examples = self._split.read(plan.examples)
        except InputError as error:
            self.failures.append(error)
            examples = []
        return np.array(examples, object), *plan


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


def _batches(
    split: PreparedSplit,
    choose: Callable[[int], ClipPlan],
    numbers: tf.data.Dataset,
    share: _Share,
    options: ClipOptions,
    fields: Collection[str] | None = None,
) -> Generator[Batch, None, None]:
    look_up, subjects = _LookUp(split, choose, share), max(video.subjects for video in split.videos)

    def make(serialized: tf.Tensor, plan: ClipPlan) -> dict[str, tf.Tensor]:
        clip = assemble(serialized, plan, options, subjects)
        # TensorFlow does not run what leads to no result.
        return {name: clip[name] for name in (clip if fields is None else {*fields, "video", "colour"})}

    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    looked_up = numbers.map(look_up, **parallel)
    # TensorFlow's types know no more than that the elements are pairs; it hands them over as two arguments.
    clips = looked_up.take_while(lambda serialized, _: tf.size(serialized) > 0)  # pyright: ignore[reportArgumentType]
    batches = clips.map(make, **parallel).batch(share.clips, drop_remainder=True).map(coloured, **parallel)
    for batch in batches.prefetch(2).as_numpy_iterator():
        yield batch | {"video": batch["video"].astype(str)}
    if look_up.failures:
        raise look_up.failures[0]
