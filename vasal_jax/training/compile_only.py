"""A training step compiled exactly as a training would run it, for devices that need not be there, without data."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vasal_jax.errors import InputError
from vasal_jax.hardware.chips import chip_of
from vasal_jax.hardware.cost import Cost, cost_of, over_memory
from vasal_jax.hardware.report import show_cost
from vasal_jax.hardware.topologies import devices_of
from vasal_jax.system.terminal import say
from vasal_jax.training.loop import abstract_state, compiled_step
from vasal_jax.training.sharding import AXIS, make_mesh
from vasal_jax.training.step import Training
from vasal_jax.training.unpacking import unpacked

Shapes = Mapping[str, tuple[Any, tuple[int, ...]]]
"""Type and shape of the arrays of a batch by name, without B."""


class TooLargeError(Exception):
    """The compiler found that the program takes more memory than a chip has."""


@dataclass(frozen=True)
class CompileOnly:
    """A step to compile.

    Attributes:
      training: what is trained and how.
      topology: see `hardware.topologies.devices_of`.
      shapes: of the packed arrays that the step's are made of.
    """

    training: Training
    topology: str
    shapes: Shapes

    def show(self, batch_size: int) -> int:
        """Compiles the step for a global batch and prints what it needs.

        Returns:
          0, or 1 where it does not fit.

        Raises:
          InputError: there is no such topology, or the devices cannot share the batch.
        """
        mesh = self._mesh()
        if batch_size % mesh.size:
            raise InputError(
                f"batch: {batch_size} clips for {mesh.size} chips; choose a multiple of {mesh.size} as the batch size"
            )
        clips = batch_size // mesh.size
        try:
            cost, seconds = self._compiled(self.training, mesh, clips)
        except TooLargeError as error:
            say(f"does not fit: {clips} clips a chip on {self.topology}: {error}")
            return 1
        title = f"a training step, compiled for {self.topology}"
        return 0 if show_cost(title, cost, list(mesh.devices.flat), clips, seconds) else 1

    def show_fit(self, live_frames: int) -> int:
        """Finds and prints the most clips a chip that fit, with all activations kept and with rematerialisation.

        Args:
          live_frames: of the rematerialisation.

        Returns:
          0, or 1 where none fits.
        """
        mesh, found = self._mesh(), []
        capacity = _capacity(mesh)
        for live in (0, live_frames):
            training = dataclasses.replace(self.training, live_frames=live)
            found.append(most_that_fit(lambda clips, t=training: self._memory(t, mesh, clips), capacity))
            how = f"{live} live frames" if live else "all frames live"
            say(f"{self.topology}: at most {found[-1]} clips a chip with {how}")
        return 0 if max(found) else 1

    def _mesh(self) -> Mesh:
        return make_mesh(devices_of(self.topology))

    def _memory(self, training: Training, mesh: Mesh, clips: int) -> float | None:
        """Bytes that so many clips take of a chip; None where the compiler says that they do not fit."""
        try:
            cost, seconds = self._compiled(training, mesh, clips)
        except TooLargeError:
            say(f"  {clips} clips a chip: too large")
            return None
        say(f"  {clips} clips a chip: {cost.memory / 1e9:.2f} GB, compiled in {seconds:.0f} s")
        return cost.memory

    def _compiled(self, training: Training, mesh: Mesh, clips: int) -> tuple[Cost, float]:
        """What the step needs, and the seconds that compiling took. Raises `TooLargeError`."""
        along, begin = NamedSharding(mesh, PartitionSpec(AXIS)), time.perf_counter()
        packed = {
            name: jax.ShapeDtypeStruct((clips * mesh.size, *shape), np.dtype(kind))
            for name, (kind, shape) in self.shapes.items()
        }
        fields = jax.eval_shape(unpacked, packed)
        batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=along), fields)
        try:
            compiled = compiled_step(training, mesh).lower(abstract_state(training, mesh), batch).compile()
        except jax.errors.JaxRuntimeError as error:
            if needed := over_memory(error):
                raise TooLargeError("{:.1f} GB of {:.1f} GB".format(*(x / 1e9 for x in needed))) from None
            raise
        return cost_of(compiled), time.perf_counter() - begin


def _capacity(mesh: Mesh) -> float:
    """Bytes of a chip's memory. Raises `InputError` where no data sheet is known."""
    kind = mesh.devices.flat[0].device_kind
    chip = chip_of(kind)
    if chip is None:
        raise InputError(f"fit: the memory of a {kind} is not known; name a TPU slice such as v5e:4x4")
    return chip.memory


def most_that_fit(memory: Callable[[int], float | None], capacity: float) -> int:
    """The largest number whose memory there is, 0 if there is none; few are asked for, as each takes minutes.

    Args:
      memory: bytes of so many clips, about a line; None where the compiler finds them too many.
      capacity: bytes that there are.
    """
    known: dict[int, float] = {}  # of those that fit

    def fits_with(clips: int) -> bool:
        size = memory(clips)
        if size is None or size > capacity:
            return False
        known[clips] = size
        return True

    if not fits_with(1):
        return 0
    low, high = 1, None  # the most that is known to fit, the least that is known not to
    while high is None or high - low > 1:
        guess = max(2 * low, int(capacity / known[low]) * low)  # what does not depend on the clips is there but once
        if known[low] > known[1]:  # on the line through one and the most so far
            guess = low + int((capacity - known[low]) * (low - 1) / (known[low] - known[1]))
        guess = max(low + 1, guess if high is None else min(guess, high - 1))
        low, high = (guess, high) if fits_with(guess) else (low, guess)
    return low
