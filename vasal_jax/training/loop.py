"""The loop of a training: batches in, checkpoints and logs out, stopped and gone on with at any time."""

import contextlib
import dataclasses
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vasal_jax import weights
from vasal_jax.batch import Batch, PackedBatch, held
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.system import stopping
from vasal_jax.training.checkpoints import CheckpointConfig, Checkpoints
from vasal_jax.training.run_log import RunLog
from vasal_jax.training.sharding import Parallelism, make_mesh, parallelise, place, replicate
from vasal_jax.training.step import Training, TrainState
from vasal_jax.training.unpacking import unpacker
from vasal_jax.training.validation import Criterion, Validation, Validator, score
from vasal_jax.weights.parameters import Arrays, parameter_shapes

_MAX_SKIPPED = 3  # batches in a row that may give a loss or gradient that is not finite


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """What goes on around the steps. None of it changes what is learnt."""

    parallelism: Parallelism = "shard_map"
    """How the step is spread over devices; pmap gives the same numbers."""
    log_every: int = 10
    """Steps from one line of the log (`steps.csv`, TensorBoard) to the next."""
    validate_every: int = 500
    """Steps from one validation, with a checkpoint, to the next; the last step is always validated."""
    overlays: int = 4
    """Clips of the validation that TensorBoard shows with predicted and true density over the picture."""
    profile: str = ""
    """Steps to write a profiler trace of, such as 100..110, for TensorBoard or Perfetto."""

    def __post_init__(self) -> None:
        for name, least in (("log_every", 1), ("validate_every", 1), ("overlays", 0)):
            if getattr(self, name) < least:
                raise InputError(f"loop: {name} must be an integer from {least} on, found {getattr(self, name)}")
        if self.profile and self.profiled is None:
            raise InputError(f"loop: profile must be steps such as 100..110, found {self.profile!r}")

    @property
    def profiled(self) -> tuple[int, int] | None:
        """First and last step of the profiler trace."""
        found = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", self.profile)
        return (int(found[1]), int(found[2])) if found and int(found[1]) <= int(found[2]) else None


def fit(
    training: Training,
    params: Callable[[], Arrays],
    folder: Path,
    batches: Callable[[int], Iterator[Batch | PackedBatch]],
    validation: Validation,
    config: LoopConfig,
    checkpointing: CheckpointConfig,
) -> signal.Signals | None:
    """Trains, or goes on from the last whole checkpoint in the folder, up to `training.updates` steps.

    With several processes all of them call it; each gets its own part of every batch, and the first one writes.

    Args:
      training: what is trained and how.
      params: makes the weights to start from; called only where there is no checkpoint.
      folder: of the run.
      batches: this process's part of the global batches from a step on, without end.
      validation: what is measured in between.
      config, checkpointing: the rest.

    Returns:
      The signal (SIGINT, SIGTERM or SIGHUP) that ended it early, with all that was done saved.

    Raises:
      InputError: the data cannot be read, three batches in a row are not finite, or something cannot be written. What
        was trained before is saved where that is possible.
    """
    mesh = make_mesh()
    checkpoints = Checkpoints(folder / "checkpoints", checkpointing)
    state = _start(training, params, checkpoints, mesh)
    first = int(state.step)
    with RunLog(folder, first, training.updates, config.log_every) as log, _Signals() as signals:
        run = _Run(training, state, folder, config, mesh, checkpoints, log, validation)
        coming = batches(first)
        try:
            for number in range(first + 1, training.updates + 1):
                with log.waiting():
                    batch = next(coming)
                run.step(number, batch)
                stopped = signals.received(number)
                if number % config.validate_every == 0 or number == training.updates:
                    run.validate_and_save(number, validation.batches())
                elif stopped or checkpoints.due(number):
                    run.save(number)
                if stopped:
                    break
            run.log_last_step()
        except InputError:
            run.save_unsaved()
            raise
        finally:
            checkpoints.wait()
        return signals.caught


def export(training: Training, folder: Path, path: Path, memory: Memory) -> None:
    """Writes the running mean of the weights with the best score in validation, or of the last ones where none has any.

    Args:
      training: what was trained.
      folder: of the run.
      path: the weights file to write.
      memory: what the weights were trained with, for the file to say.

    Raises:
      InputError: there is no whole checkpoint, or the file cannot be written.
    """
    checkpoints = Checkpoints(folder / "checkpoints", CheckpointConfig())
    like = abstract_state(training, make_mesh())
    found = checkpoints.restore_best(like) or checkpoints.restore_latest(like)
    if found is None:
        raise InputError(f"{folder}: expected a checkpoint to export, found none; train first")
    if jax.process_index() == 0:
        values = {name: np.asarray(value) for name, value in found[0].ema.items()}
        weights.write(training.model, values, path, memory)


def _start(training: Training, params: Callable[[], Arrays], checkpoints: Checkpoints, mesh: Mesh) -> TrainState:
    restored = checkpoints.restore_latest(abstract_state(training, mesh))
    return replicate(training.initial_state(params()), mesh) if restored is None else restored[0]


def compiled_step(training: Training, mesh: Mesh, parallelism: Parallelism = "shard_map") -> Any:
    """The step on all devices of the mesh, which may use the memory of the state it is given."""
    return parallelise(training.step, mesh, parallelism, donate=True)


def abstract_state(training: Training, mesh: Mesh) -> TrainState:
    """The state's shapes, on all devices alike."""
    shapes = {name: jax.ShapeDtypeStruct(s, np.float32) for name, s in parameter_shapes(training.model).items()}
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
        jax.eval_shape(training.initial_state, shapes),
    )


class _Run:
    """A training under way: its state, and what is logged and saved of it."""

    def __init__(
        self,
        training: Training,
        state: TrainState,
        folder: Path,
        config: LoopConfig,
        mesh: Mesh,
        checkpoints: Checkpoints,
        log: RunLog,
        validation: Validation,
    ):
        self._training, self._state, self._folder, self._config = training, state, folder, config
        self._mesh, self._checkpoints, self._log = mesh, checkpoints, log
        self._unpack = unpacker(mesh)
        self._step = compiled_step(training, mesh, config.parallelism)
        self._best: Criterion = validation.best
        self._validator = Validator(training, mesh, validation.memory, config.overlays)
        self._saved = int(state.step)
        self._pending: tuple | None = None  # a step whose scalars the devices may still be computing

    def step(self, number: int, batch: Batch | PackedBatch) -> None:
        """Begins a step and logs the one before: by now its scalars are there, and the devices have the next to do."""
        _profile(self._config, number, self._folder)
        fields = held(batch, self._training.step_fields)
        self._state, scalars = self._step(self._state, self._unpack(place(fields, self._mesh)))
        self.log_last_step()
        self._pending = number, scalars, batch["video"], batch["valid"].shape

    def log_last_step(self) -> None:
        """Logs a step that is done. Raises `InputError` where batches keep being skipped."""
        if self._pending is None:
            return
        (number, scalars, videos, (clips, frames)), self._pending = self._pending, None
        scalars = {name: float(value) for name, value in scalars.items()}
        self._log.step(number, scalars, clips * jax.process_count(), frames)
        if scalars["skipped_in_a_row"] >= _MAX_SKIPPED:
            raise InputError(
                f"step {number}: loss or gradient was not finite {_MAX_SKIPPED} times in a row, the last time on "
                f"videos {', '.join(sorted(set(map(str, videos))))}; look at these, or lower the learning rate"
            )

    def validate_and_save(self, number: int, batches: Iterator[Batch | PackedBatch]) -> None:
        """Validates the running mean of the weights and saves the state with its score."""
        self.log_last_step()
        terms = self._validator(self._state.ema, batches, self._log, number)
        self.save(number, score(terms, self._best, self._training.weights))

    def save(self, number: int, score: float | None = None) -> None:
        """Saves the state after a step, with the score that it has in validation."""
        self._checkpoints.save(self._state, {"step": number}, score)
        self._saved = number

    def save_unsaved(self) -> None:
        """Logs the last step and saves the state if steps were done since it was saved last."""
        with contextlib.suppress(InputError):  # another mistake has ended the run
            self.log_last_step()
        number = int(self._state.step)
        if number > self._saved:
            self.save(number)


def _profile(config: LoopConfig, number: int, folder: Path) -> None:
    if config.profiled is None:
        return
    if number == config.profiled[0]:
        jax.profiler.start_trace(str(folder / "profile"))
    elif number == config.profiled[1] + 1:
        jax.profiler.stop_trace()


class _Signals:
    """SIGTERM (preemption), Ctrl-C and a terminal that is closed, heard during a block, acted on between two steps."""

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None

    def __enter__(self) -> "_Signals":
        usual = {which: signal.getsignal(which) for which in stopping.SIGNALS}
        # Behind nohup the program was started to ignore one of them.
        self._usual = {which: before for which, before in usual.items() if before not in (signal.SIG_IGN, None)}
        for which in self._usual:
            signal.signal(which, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for which, handler in self._usual.items():
            signal.signal(which, handler)

    def received(self, number: int) -> bool:
        """Whether to stop after this step; the same in every process."""
        if jax.process_count() == 1:
            return self.caught is not None
        if multihost_utils.reached_preemption_sync_point(number):
            self.caught = self.caught or signal.SIGTERM
            return True
        return False

    def _catch(self, which: int, _: FrameType | None) -> None:
        if self.caught == signal.SIGINT == which:
            raise KeyboardInterrupt  # asked for twice: do not finish the step
        self.caught = signal.Signals(which)
