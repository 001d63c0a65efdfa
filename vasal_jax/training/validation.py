"""The validation of a training: the terms of its loss, averaged over all frames of the validation videos."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from vasal_jax.batch import Batch
from vasal_jax.errors import InputError
from vasal_jax.training.run_log import RunLog
from vasal_jax.training.sharding import Parallelism, parallelise, place
from vasal_jax.training.step import Params, Training


class Validator:
    """Validates weights, compiled once.

    Args:
      training: what is trained.
      mesh: the devices.
      parallelism: how a batch is spread over them.
      overlays: clips that the log shows as pictures.
    """

    def __init__(self, training: Training, mesh: Mesh, parallelism: Parallelism, overlays: int):
        self._training, self._mesh, self._overlays = training, mesh, overlays
        self._evaluate = parallelise(training.evaluate, mesh, parallelism)
        self._forward = jax.jit(training.forward)

    def __call__(self, params: Params, batches: Iterator[Batch], log: RunLog, number: int) -> dict[str, float]:
        """The means of the loss's terms over all frames that are annotated, logged as those after a step.

        Args:
          params: the weights, the same on every device.
          batches: this process's part of the batches.
          log: takes them down.
          number: of the step.

        Raises:
          InputError: no frame has fixations.
        """
        sums, counts, shown = {}, {}, 0
        for batch in batches:
            fields = {name: batch[name] for name in self._training.fields}
            added = jax.device_get(self._evaluate(params, place(fields, self._mesh)))
            for total, part in zip((sums, counts), added, strict=True):
                for name, value in part.items():
                    total[name] = total.get(name, 0.0) + float(value)
            if shown < self._overlays and jax.process_index() == 0:
                here = jax.tree.map(lambda x: x.addressable_data(0), params)
                logits, _ = self._forward(here, {name: value[:1] for name, value in fields.items()})
                log.overlay(number, shown, batch, np.asarray(logits))
                shown += 1
        terms = {name: sums[name] / counts[name] for name in sums if counts[name]}
        if "kl" not in terms:
            raise InputError("validation: expected frames with fixations, found none; prepare the dataset anew")
        log.validation(number, terms)
        return terms
