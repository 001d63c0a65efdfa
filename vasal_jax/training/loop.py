"""The loop of a training: batches in, checkpoints and logs out, stopped and gone on with at any time."""

import dataclasses
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vasal_jax import weights
from vasal_jax.batch import Batch
from vasal_jax.errors import InputError
from vasal_jax.training.checkpoints import CheckpointConfig, Checkpoints
from vasal_jax.training.run_log import RunLog
from vasal_jax.training.sharding import Parallelism, make_mesh, parallelise, place, replicate
from vasal_jax.training.step import Params, Training, TrainState
from vasal_jax.weights.parameters import parameter_shapes

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
    params: Callable[[], Params],
    folder: Path,
    batches: Callable[[int], Iterator[Batch]],
    validation: Callable[[], Iterator[Batch]],
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
      validation: this process's part of the batches of one validation.
      config, checkpointing: the rest.

    Returns:
      The signal (SIGINT or SIGTERM) that ended it early, with all that was done saved.

    Raises:
      InputError: the data cannot be read, three batches in a row are not finite, or something cannot be written. What
        was trained before is saved where that is possible.
    """
    mesh = make_mesh()
    checkpoints = Checkpoints(folder / "checkpoints", checkpointing)
    state = _start(training, params, checkpoints, mesh)
    first = saved = int(state.step)
    step = parallelise(training.step, mesh, config.parallelism, donate=True)
    score = _validator(training, mesh, config)
    with RunLog(folder, first, training.updates, config.log_every) as log, _Signals() as signals:
        coming = batches(first)
        pending = None
        try:
            for number in range(first + 1, training.updates + 1):
                with log.waiting():
                    batch = next(coming)
                _profile(config, number, folder)
                state, scalars = step(state, place({name: batch[name] for name in training.step_fields}, mesh))
                # The scalars of the step before: by now they are there, and the devices have the next to do.
                _look_at(pending, log)
                pending = number, scalars, batch["video"], batch["valid"].shape
                stopped = signals.received(number)
                last = number == training.updates or stopped
                if number % config.validate_every == 0 or number == training.updates:
                    _look_at(pending, log)
                    pending = None
                    terms = score(state.ema, validation(), log, number)
                    checkpoints.save(state, {"step": number}, terms["kl"])
                    saved = number
                elif last or checkpoints.due(number):
                    checkpoints.save(state, {"step": number})
                    saved = number
                if last:
                    break
            _look_at(pending, log)
        except InputError:
            if int(state.step) > saved:
                checkpoints.save(state, {"step": int(state.step)})
            raise
        finally:
            checkpoints.wait()
        return signals.caught


def export(training: Training, folder: Path, path: Path) -> None:
    """Writes the running mean of the weights with the best validation KL, or of the last ones where none has any.

    Raises:
      InputError: there is no whole checkpoint, or the file cannot be written.
    """
    checkpoints = Checkpoints(folder / "checkpoints", CheckpointConfig())
    like = _abstract_state(training, make_mesh())
    found = checkpoints.restore_best(like) or checkpoints.restore_latest(like)
    if found is None:
        raise InputError(f"{folder}: expected a checkpoint to export, found none; train first")
    if jax.process_index() == 0:
        weights.write(training.model, {name: np.asarray(value) for name, value in found[0].ema.items()}, path)


def _start(training: Training, params: Callable[[], Params], checkpoints: Checkpoints, mesh: Mesh) -> TrainState:
    restored = checkpoints.restore_latest(_abstract_state(training, mesh))
    return replicate(training.initial_state(params()), mesh) if restored is None else restored[0]


def _abstract_state(training: Training, mesh: Mesh) -> TrainState:
    """The state's shapes, on all devices alike."""
    shapes = {name: jax.ShapeDtypeStruct(s, np.float32) for name, s in parameter_shapes(training.model).items()}
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
        jax.eval_shape(training.initial_state, shapes),
    )


def _look_at(pending: tuple | None, log: RunLog) -> None:
    """Logs a step that is done and stops the run where batches keep being skipped."""
    if pending is None:
        return
    number, scalars, videos, (clips, frames) = pending
    scalars = {name: float(value) for name, value in scalars.items()}
    log.step(number, scalars, clips * jax.process_count(), frames)
    if scalars["skipped_in_a_row"] >= _MAX_SKIPPED:
        raise InputError(
            f"step {number}: loss or gradient was not finite {_MAX_SKIPPED} times in a row, the last time on videos "
            f"{', '.join(sorted(set(map(str, videos))))}; look at these, or lower the learning rate"
        )


def _validator(training: Training, mesh: Mesh, config: LoopConfig) -> Callable:
    """A function that validates weights, logs it and returns the means of the loss's terms."""
    evaluate = parallelise(training.evaluate, mesh, config.parallelism)
    forward = jax.jit(training.forward)

    def validate(params: Params, batches: Iterator[Batch], log: RunLog, number: int) -> dict[str, float]:
        sums, counts, shown = {}, {}, 0
        for batch in batches:
            fields = {name: batch[name] for name in training.fields}
            added = jax.device_get(evaluate(params, place(fields, mesh)))
            for total, part in zip((sums, counts), added, strict=True):
                for name, value in part.items():
                    total[name] = total.get(name, 0.0) + float(value)
            if shown < config.overlays and jax.process_index() == 0:
                here = jax.tree.map(lambda x: x.addressable_data(0), params)
                logits, _ = forward(here, {name: value[:1] for name, value in fields.items()})
                log.overlay(number, shown, batch, np.asarray(logits))
                shown += 1
        terms = {name: sums[name] / counts[name] for name in sums if counts[name]}
        if "kl" not in terms:
            raise InputError("validation: expected frames with fixations, found none; prepare the dataset anew")
        log.validation(number, terms)
        return terms

    return validate


def _profile(config: LoopConfig, number: int, folder: Path) -> None:
    if config.profiled is None:
        return
    if number == config.profiled[0]:
        jax.profiler.start_trace(str(folder / "profile"))
    elif number == config.profiled[1] + 1:
        jax.profiler.stop_trace()


class _Signals:
    """SIGTERM (preemption) and Ctrl-C, heard during a block, acted on between two steps."""

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None

    def __enter__(self) -> "_Signals":
        self._usual = {which: signal.signal(which, self._catch) for which in (signal.SIGTERM, signal.SIGINT)}
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
