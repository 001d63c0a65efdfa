"""Checkpoints of a training: written beside it, checked before they are trusted.

A run's checkpoints lie in one folder, on a file system that all processes see:

  00001200/state/           the training state, as Orbax writes it
  00001200/checkpoint.json  written last: the data position, the validation score, and size and SHA-256 of every file

A checkpoint without the second, or with a file that differs from it, was cut short or damaged and is passed over. So
older ones go only when a newer one is complete. Orbax's own `training.Checkpointer` knows a checkpoint by its folder
alone and reads the metrics of damaged ones too, which is why only its saving and loading are used here.
"""

import dataclasses
import json
import logging
import math
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp
from jax.experimental import multihost_utils

from vasal_jax.errors import InputError
from vasal_jax.training import seals

logger = logging.getLogger(__name__)

State = TypeVar("State")
Position = dict[str, Any]

_CLOCK_STEPS = 20  # steps between two looks of several processes at the clock of the first


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written and how many are kept."""

    every_steps: int = 1000
    """Steps from one to the next; 0: by minutes alone."""
    every_minutes: float = 15.0
    """Minutes from one to the next, if so many steps take longer; 0: by steps alone."""
    keep: int = 3
    """How many of the newest are kept; the one with the best validation score is kept besides."""

    def __post_init__(self) -> None:
        for name in ("every_steps", "every_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"checkpoints: {name} must be a finite number from 0 on, found {getattr(self, name)}")
        if self.keep < 1:
            raise InputError(f"checkpoints: keep must be an integer from 1 on, found {self.keep}")


class Checkpoints:
    """The checkpoints in a folder. With several processes, all of them call every method, in the same order."""

    def __init__(self, folder: Path, config: CheckpointConfig):
        self.folder = Path(folder).absolute()
        self.config = config
        self._last_save = time.monotonic()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def due(self, step: int) -> bool:
        """Whether a checkpoint should be written after this step. Every process gets the same answer."""
        every = self.config.every_steps
        return bool(every and step % every == 0) or self._late(step)

    def save(self, state: Any, position: Position, score: float | None = None) -> None:
        """Begins to write a checkpoint; returns once the state may change or be donated.

        If one is still being written, waits for that first.

        Args:
          state: a pytree of arrays with an integer `step`.
          position: where the data stands, JSON, the same in every process.
          score: of this state in validation, lower is better (such as KL); None or NaN where it was not measured.

        Raises:
          InputError: this or the checkpoint before cannot be written (disk full, no permission).
        """
        self.wait()
        step = int(state.step)
        home = self._home(step)
        # A step that is given the state's memory must not write into what is still to be saved.
        arrays = {name: jnp.copy(leaf) for name, leaf in _named(state).items()}
        content = {
            "step": step,
            "position": position,
            "score": None if score is None or math.isnan(score) else float(score),
            "arrays": {name: _described(array) for name, array in arrays.items()},
        }
        content = json.loads(json.dumps(content))  # the caller's own may change while the rest is written
        with self._naming_write_errors(home):
            if jax.process_index() == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                seals.remove(home)  # one of this step that was passed over
                home.mkdir(exist_ok=True)
            _meet(f"checkpoint {step}")
            response = ocp.save_async(str(home / seals.STATE), arrays)
        self._writing = self._writer.submit(self._finish, response, home, content)
        self._last_save = time.monotonic()

    def wait(self) -> None:
        """Waits until the checkpoint that is being written is complete. Raises `InputError` if it could not be."""
        writing, self._writing = self._writing, None
        if writing is not None:
            with self._naming_write_errors(self.folder):
                writing.result()

    def restore_latest(self, like: State) -> tuple[State, Position] | None:
        """The newest complete checkpoint: the state and the data position; None without one.

        Each newer one that was cut short or damaged is passed over with a warning.

        Args:
          like: a state with the same arrays, or their `jax.ShapeDtypeStruct`s; the result has its shardings, whatever
            devices the checkpoint was written on.

        Raises:
          InputError: the checkpoint is of another model or optimiser.
        """
        return self._restore(self._newest() if jax.process_index() == 0 else None, like)

    def restore_best(self, like: State) -> tuple[State, Position] | None:
        """The complete checkpoint with the best score, as in `restore_latest`; None where none was scored."""
        return self._restore(self._best() if jax.process_index() == 0 else None, like)

    def _finish(self, response: ocp.AsyncResponse[None], home: Path, content: dict[str, Any]) -> None:
        response.result()
        if jax.process_index() != 0:
            return
        seals.write(home, content)
        self._prune(content["step"])

    def _prune(self, step: int) -> None:
        """Removes all but the newest and the best. Those after `step` were passed over when it began."""
        scores = {}
        for known in self._steps():
            if known <= step:
                try:
                    scores[known] = seals.read(self._home(known))["score"]
                except seals.DamagedError:
                    continue
        kept = sorted(scores)[-self.config.keep :] + _lowest(scores)
        for known in self._steps():
            if known not in kept:
                seals.remove(self._home(known))

    def _newest(self) -> int | None:
        """The newest step whose checkpoint is whole."""
        for step in reversed(self._steps()):
            try:
                seals.check(self._home(step))
            except seals.DamagedError as reason:
                logger.warning("%s: passed over, %s", self._home(step), reason)
            else:
                return step
        return None

    def _best(self) -> int | None:
        """The step with the best score whose checkpoint is whole."""
        scores = {}
        for step in self._steps():
            try:
                scores[step] = seals.check(self._home(step))["score"]
            except seals.DamagedError as reason:
                logger.warning("%s: passed over, %s", self._home(step), reason)
        return next(iter(_lowest(scores)), None)

    def _restore(self, step: int | None, like: State) -> tuple[State, Position] | None:
        """Loads the step that process 0 chose."""
        step = int(_from_first(-1 if step is None else step))
        if step < 0:
            return None
        home = self._home(step)
        content = seals.read(home)
        wanted = _named(like)
        found = {name: _described(array) for name, array in wanted.items()}
        if found != content["arrays"]:
            name = min(name for name, _ in found.items() ^ content["arrays"].items())
            raise InputError(
                f"{home}: is of another model or optimiser: {name} is {content['arrays'].get(name, 'missing')} there "
                f"and {found.get(name, 'missing')} here; give the config it was trained with or another folder"
            )
        abstract = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for name, x in wanted.items()}
        loaded = ocp.load(str(home / seals.STATE), abstract)
        leaves = [loaded[name] for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(like), leaves), content["position"]

    def _late(self, step: int) -> bool:
        if not self.config.every_minutes:
            return False
        if jax.process_count() > 1 and step % _CLOCK_STEPS:
            return False  # asking costs a round among the hosts
        late = time.monotonic() - self._last_save >= 60 * self.config.every_minutes
        return bool(_from_first(late))

    def _home(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if re.fullmatch(r"\d{8,}", path.name))

    @contextmanager
    def _naming_write_errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError) as error:  # TensorStore reports a full disk as a ValueError
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: the checkpoint cannot be written ({reason}); free space or choose another folder"
            ) from error


def _named(state: Any) -> dict[str, Any]:
    """The leaves of a pytree by dotted path, in the tree's own order."""
    return {jax.tree_util.keystr(path, simple=True, separator="."): x for path, x in jax.tree.leaves_with_path(state)}


def _described(array: Any) -> str:
    return f"{array.dtype} {array.shape}"


def _lowest(scores: dict[int, float | None]) -> list[int]:
    """The step with the lowest score, the later of equals; none where nothing was scored."""
    scored = [(score, -step) for step, score in scores.items() if score is not None]
    return [-min(scored)[1]] if scored else []


def _meet(name: str) -> None:
    """Waits for all processes."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _from_first(value: int | bool) -> int | bool:
    """What process 0 says."""
    return value if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(np.int32(value))
