"""Trains a model: `python train.py PRESET --data PREPARED --run FOLDER`."""

from vasal_jax.system import memory

if __name__ == "__main__":
    memory.tune("train")  # before the libraries are loaded

import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import tyro
from flax import nnx
from rich.console import Console
from rich.table import Table

from vasal_jax import __version__, weights
from vasal_jax.ablations import without_senses
from vasal_jax.batch import Batch
from vasal_jax.errors import InputError
from vasal_jax.models import VASal
from vasal_jax.system.compilation_cache import use_compilation_cache
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.terminal import end_without, run
from vasal_jax.training.sharding import initialise_distributed
from vasal_jax.training.step import Training
from vasal_jax.weights.parameters import Arrays, arrays

try:
    from configs import PRESETS
    from configs.train_config import TrainConfig
    from data.pipeline import evaluation_batches, training_batches
    from data.prepared import PreparedSplit
    from vasal_jax.training.loop import export, fit
except ModuleNotFoundError as error:
    end_without("train", error)

CONFIG_FILE = "config.json"


def train(config: TrainConfig) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    use_compilation_cache()
    initialise_distributed(**dataclasses.asdict(config.distributed))
    settings = PreparedSplit(config.data, "training").settings
    PreparedSplit(config.data, "validation")  # now, rather than after the first thousand steps
    training = Training(config.model, config.loss, config.optimizer, config.updates, config.live_frames)
    if jax.process_index() == 0:
        _enter(config, settings)
        _print(config, settings)
    share = {"process": jax.process_index(), "processes": jax.process_count()}

    def batches(start: int) -> Iterator[Batch]:
        fields = training.step_fields
        drawn = training_batches(
            config.data, config.batch_size, config.seed, config.clips, start=start, fields=fields, **share
        )
        return (without_senses(batch, config.without) for batch in drawn)

    def validation() -> Iterator[Batch]:
        ordered = evaluation_batches(config.data, "validation", config.batch_size, config.clips, **share)
        return (without_senses(batch, config.without) for batch in ordered)

    stopped = fit(
        training, lambda: first_weights(config), config.run, batches, validation, config.loop, config.checkpoints
    )
    if stopped:
        print(f"stopped by {stopped.name} and saved; the same command goes on from here", file=sys.stderr)
        return 130 if stopped == signal.SIGINT else 0
    if config.export is not None:
        export(training, config.run, config.export)
        print(f"wrote {config.export}")
    return 0


def first_weights(config: TrainConfig) -> Arrays:
    """Drawn from the seed, or as `config.init` has them with the rest drawn.

    Raises:
      InputError: the weights to start from are of another size, or have what the model has not.
    """
    drawn = arrays(VASal(config.model, rngs=nnx.Rngs(config.seed)))
    if config.init is None:
        return drawn
    _, given = weights.read(config.init)
    problems = [f"{name} is unknown" for name in given if name not in drawn]
    problems += [
        f"{name} is {given[name].shape} and not {value.shape}"
        for name, value in drawn.items()
        if name in given and given[name].shape != value.shape
    ]
    problems += [f"{name} is missing" for name in drawn if name not in given and not name.startswith("face.")]
    if problems:
        listed = "; ".join(problems[:5]) + (" ..." if len(problems) > 5 else "")
        raise InputError(f"{config.init}: does not fit the model of the config: {listed}")
    return drawn | given


def _enter(config: TrainConfig, settings: dict) -> None:
    """Makes the run folder and saves the config in it; refuses one in which something else was trained."""
    path = config.run / CONFIG_FILE
    now = json.loads(json.dumps(config.learning() | {"dataset": settings}))
    with naming_file_errors(config.run):
        config.run.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _check_same(path, now)
    content = {"version": __version__, "learning": now, "config": dataclasses.asdict(config)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")


def _check_same(path: Path, now: dict) -> None:
    try:
        before, now = _flat(json.loads(path.read_text())["learning"]), _flat(now)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise InputError(f"{path}: damaged, expected the config of a run; choose another --run") from None
    changed = [f"{n} was {before.get(n)}, is {now.get(n)}" for n in before | now if before.get(n) != now.get(n)]
    if changed:
        raise InputError(
            f"{path.parent}: holds a run with another config ({'; '.join(changed)}); choose another --run or the same"
        )


def _print(config: TrainConfig, settings: dict) -> None:
    table = Table("setting", "value", title="config", title_justify="left", box=None)
    for name, value in (_flat(dataclasses.asdict(config)) | _flat({"dataset": settings})).items():
        table.add_row(name, str(value))
    Console().print(table)


def _flat(tree: dict, prefix: str = "") -> dict:
    """Nested dicts as one, by dotted name as on the command line."""
    flat = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    presets = {name: (module.__doc__, module.config()) for name, module in PRESETS.items()}

    def command() -> int:
        return train(tyro.extras.overridable_config_cli(presets, prog="python train.py", args=args))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
