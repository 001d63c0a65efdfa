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

import numpy as np
import tensorflow as tf

from data.clips import Clip, ClipOptions, drawn_clip, evaluation_lanes, evaluation_parts, ordered_clip, training_parts
from data.decoding import LOOKED_UP, assemble, coloured
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
    local = _share(batch_size, process, processes)

    def choose(place: int) -> Clip:
        return drawn_clip(parts, place, seed, options)

    numbers = tf.data.Dataset.counter(start * local, dtype=tf.int64)
    return _opened(_batches(split, choose, numbers, batch_size, process, processes, options, fields))


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
    local = _share(batch_size, process, processes)

    def choose(place: int) -> Clip:
        return ordered_clip(parts, place, options)

    rounds = -(-len(parts) // batch_size)
    numbers = tf.data.Dataset.range(rounds * local)
    return _opened(_batches(split, choose, numbers, batch_size, process, processes, options))


def _opened(batches: Generator[Batch, None, None]) -> Iterator[Batch]:
    _open.add(batches)
    return batches


def _share(batch_size: int, process: int, processes: int) -> int:
    """Clips of a batch that one process takes."""
    if not 0 <= process < processes:
        raise InputError(f"process {process}: expected 0 to {processes - 1}")
    if batch_size < 1 or batch_size % processes:
        raise InputError(f"batch size {batch_size}: expected a multiple of the number of processes, {processes}")
    return batch_size // processes


def _batches(
    split: PreparedSplit,
    choose: Callable[[int], Clip],
    numbers: tf.data.Dataset,
    batch_size: int,
    process: int,
    processes: int,
    options: ClipOptions,
    fields: Collection[str] | None = None,
) -> Generator[Batch, None, None]:
    failures: list[InputError] = []
    local = batch_size // processes

    def look_up(number: np.int64) -> list:
        step, place = divmod(int(number), local)
        clip = choose(step * batch_size + process * local + place)
        try:
            examples = split.read(clip.examples)
        except InputError as error:
            # Raised here, it would reach the terminal by way of TensorFlow, with two tracebacks.
            failures.append(error)
            examples = []
        return [np.array(examples, object), *clip[1:]]

    types = [spec.dtype for spec in LOOKED_UP]
    subjects = max(video.subjects for video in split.videos)
    looked_up = numbers.map(
        lambda number: tuple(tf.numpy_function(look_up, [number], types)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )

    def make(*looked_up: tf.Tensor) -> dict[str, tf.Tensor]:
        clip = assemble(looked_up, options, subjects)
        # TensorFlow does not run what leads to no result.
        return {name: clip[name] for name in (clip if fields is None else {*fields, "video", "colour"})}

    clips = looked_up.take_while(lambda examples, *_: tf.size(examples) > 0).map(
        make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    batches = clips.batch(local, drop_remainder=True).map(
        coloured, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    for batch in batches.prefetch(2).as_numpy_iterator():
        yield batch | {"video": batch["video"].astype(str)}
    if failures:
        raise failures[0]
