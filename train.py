"""Trains a model: `python train.py PRESET --data PREPARED --run FOLDER`."""

from vasal_jax.system import address_space, memory

if __name__ == "__main__":
    address_space.end_if_starved()
    memory.tune("train")  # before the libraries are loaded

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator
from typing import Any

import jax
import tyro

from vasal_jax.ablations import without_senses
from vasal_jax.batch import PackedBatch, packed_names
from vasal_jax.system.compilation_cache import use_compilation_cache
from vasal_jax.system.locks import only_one
from vasal_jax.system.terminal import end_without, run, say
from vasal_jax.training import run_folder
from vasal_jax.training.sharding import initialise_distributed
from vasal_jax.training.step import Training
from vasal_jax.weights import initial_weights
from vasal_jax.weights.parameters import Arrays

try:
    from configs import PRESETS
    from configs.train_config import TrainConfig
    from data.pipeline import MVVA_SUBJECTS, batch_shapes, evaluation_batches, training_batches
    from data.prepared import PreparedSplit
    from vasal_jax.training.compile_only import CompileOnly
    from vasal_jax.training.loop import export, fit
    from vasal_jax.training.validation import Validation
except ModuleNotFoundError as error:
    end_without("train", error)


def train(config: TrainConfig) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if config.compile_only is not None:
        return _compile(config, config.compile_only)
    use_compilation_cache()
    initialise_distributed(**dataclasses.asdict(config.distributed))
    settings = PreparedSplit(config.data, "training").settings
    PreparedSplit(config.data, "validation")  # now, rather than after the first thousand steps
    with only_one(config.run, "training") if jax.process_index() == 0 else contextlib.nullcontext():
        return _train(config, settings)


def _compile(config: TrainConfig, topology: str) -> int:
    training = _training(config)
    known = batch_shapes(config.clips, MVVA_SUBJECTS)
    shapes = {name: known[name] for name in packed_names(training.step_fields)}
    step = CompileOnly(training, topology, shapes)
    return step.show_fit(config.fewer_live_frames) if config.fit else step.show(config.batch_size)


def _training(config: TrainConfig) -> Training:
    return Training(config.model, config.loss, config.optimizer, config.updates, config.live_frames)


def _train(config: TrainConfig, settings: dict[str, Any]) -> int:
    training = _training(config)
    if jax.process_index() == 0:
        learning = config.learning() | {"dataset": settings}
        run_folder.enter(config.run, dataclasses.asdict(config), learning)
        run_folder.print_settings(dataclasses.asdict(config) | {"dataset": settings})
    share = {"process": jax.process_index(), "processes": jax.process_count()}

    def batches(start: int) -> Iterator[PackedBatch]:
        fields = training.step_fields
        drawn = training_batches(
            config.data, config.batch_size, config.seed, config.clips, start=start, fields=fields, **share
        )
        return (without_senses(batch, config.without) for batch in drawn)

    def validation_batches() -> Iterator[PackedBatch]:
        ordered = evaluation_batches(
            config.data, "validation", config.batch_size, config.clips, lanes=config.validates_in_lanes, **share
        )
        return (without_senses(batch, config.without) for batch in ordered)

    def start() -> Arrays:
        return initial_weights(config.model, config.seed, config.init)

    validation = Validation(validation_batches, config.validation_memory, config.best)
    stopped = fit(training, start, config.run, batches, validation, config.loop, config.checkpoints)
    if stopped:
        with contextlib.suppress(OSError):  # a terminal that was closed
            print(f"stopped by {stopped.name} and saved; the same command goes on from here", file=sys.stderr)
        return 0 if stopped == signal.SIGTERM else 130
    if config.export is not None:
        export(training, config.run, config.export, config.trained_memory)
        say(f"wrote {config.export}")
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    presets = {name: (module.__doc__ or "", module.config()) for name, module in PRESETS.items()}

    def command() -> int:
        return train(tyro.extras.overridable_config_cli(presets, prog="python train.py", args=args))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
