"""The validation of a training: the terms of its loss, averaged over all frames of the validation videos."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np
from jax.sharding import Mesh

from vasal_jax.batch import OF_A_CLIP, Batch, PackedBatch, held
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.training.losses import LossWeights, weighted
from vasal_jax.training.run_log import RunLog
from vasal_jax.training.sharding import parallelise_stateful, place, split
from vasal_jax.training.step import Params, Training
from vasal_jax.training.unpacking import unpacker

Criterion = Literal["kl", "cc", "nss", "loss"]


@dataclass(frozen=True)
class Validation:
    """What is measured between the steps of a training."""

    batches: Callable[[], Iterator[Batch | PackedBatch]]
    """This process's part of the batches of one validation. Each place of them holds the clips of a video one after the
    other, unless the memory starts afresh at every clip."""
    memory: Memory
    """What the model remembers of the validation videos."""
    best: Criterion = "kl"
    """By which term the best weights are chosen; `loss` is the weighted sum that is trained."""


def score(terms: dict[str, float], best: Criterion, weights: LossWeights) -> float:
    """How good weights are by their means of the loss's terms; lower is better, NaN where nothing was annotated."""
    if best == "loss":
        return weighted(terms, weights)
    return terms.get(best, math.nan) * (1 if best == "kl" else -1)


class Validator:
    """Validates weights, compiled once.

    Args:
      training: what is trained.
      mesh: the devices.
      memory: what the model remembers of the validation videos.
      overlays: clips that the log shows as pictures.
    """

    def __init__(self, training: Training, mesh: Mesh, memory: Memory, overlays: int):
        self._training, self._mesh, self._memory, self._overlays = training, mesh, memory, overlays
        self._unpack = unpacker(mesh)
        self._evaluate = parallelise_stateful(training.evaluate, mesh)

    def __call__(
        self, params: Params, batches: Iterator[Batch | PackedBatch], log: RunLog, number: int
    ) -> dict[str, float]:
        """The means of the loss's terms over all frames that are annotated, logged as those after a step.

        Args:
          params: the weights, the same on every device.
          batches: of one validation, see `Validation`.
          log: takes them down.
          number: of the step.

        Raises:
          InputError: no frame has fixations.
        """
        sums, counts, shown = {}, {}, 0
        state = None
        for batch in batches:
            state = state or self._start(batch)
            *added, logits = self._run(params, batch, state)
            for total, part in zip((sums, counts), added, strict=True):
                for name, value in part.items():
                    total[name] = total.get(name, 0.0) + value
            if shown < self._overlays and jax.process_index() == 0:
                log.overlay(number, shown, batch, logits)
                shown += 1
        terms = {name: sums[name] / counts[name] for name in sums if counts[name]}
        if "kl" not in terms:
            raise InputError("validation: expected frames with fixations, found none; prepare the dataset anew")
        log.validation(number, terms, str(self._memory))
        return terms

    def _start(self, batch: Batch | PackedBatch) -> RecurrentState:
        slots = batch["face_mask"].shape[2] if self._training.model.face else 0
        start = self._training.initial_carry(len(batch["valid"]), slots)
        put = partial(split, mesh=self._mesh)
        return RecurrentState(self._memory, put(start), put if jax.process_count() > 1 else None)

    def _run(
        self, params: Params, batch: Batch | PackedBatch, state: RecurrentState
    ) -> tuple[dict[str, float], dict[str, float], np.ndarray]:
        """Sums and counts over a batch, and the logits of its first clip; in parts between the memory's borders."""
        steps = batch["valid"].shape[1]
        length = math.gcd(steps, self._memory.period)
        fields = held(batch, self._training.fields)
        found = []
        for begin in range(0, steps, length):
            frames = slice(begin, begin + length)
            cut = {name: x if name in OF_A_CLIP else x[:, frames] for name, x in fields.items()}
            part = self._unpack(place(cut, self._mesh))
            found.append(state(batch["frame"][:, 0] + begin, partial(self._evaluate, params, part)))
        sums, counts = (
            {name: sum(float(part[kind][name]) for part in found) for name in found[0][kind]} for kind in (0, 1)
        )
        return sums, counts, np.concatenate([part[2].addressable_data(0)[:1] for part in found], axis=1)
