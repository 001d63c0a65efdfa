"""The trainings of the proof on synthetic videos (`scripts.train_synthetic`): its settings, and what follows what."""

import csv
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from configs import synthetic_tiny
from configs.train_config import TrainConfig
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.scenes import Scene
from vasal_jax.training.losses import FACE_TERMS, LossWeights

# What a model gets nothing of is missing in its training and in its evaluation.
VARIANTS = {
    "visual": (ModelConfig.tiny(), ("sound", "faces")),
    "visual, sound": (ModelConfig.tiny(), ("faces",)),
    "visual, faces": (ModelConfig.tiny_full(), ("sound",)),
    "all": (ModelConfig.tiny_full_audio_faces(), ()),
}
FACES_FIRST = "_face_branch"  # how the run of the face branch alone ends
MEMORY = Memory("overlap", 32)  # of all that is validated and scored; from an endless one speakers are not told so well
GAIN = 0.005  # of the validation's KL, that a further round of training must bring to be followed by another


@dataclasses.dataclass(frozen=True)
class ProofArgs:
    """Train on synthetic videos with and without sound and faces, and compare."""

    folder: Positional[Path]
    """Where everything goes: the tables and, in a folder for each seed, videos, prepared dataset, runs, scores."""
    seeds: int = 1
    """How many seeds, from --seed on: each draws other videos and other first weights."""
    videos: int = 240
    """How many to write for a seed, with those that are validated and tested on."""
    tested: int = 20
    """How many of them are tested on."""
    validated: int = 6
    """How many of them are validated on."""
    seconds: float = 8.0
    """Length of each."""
    face_updates: int = 600
    """Steps of the face branch alone."""
    updates: int = 120
    """Steps of each training."""
    rounds: int = 2
    """How many trainings, at most, follow one another, each from the best weights of the one before: as long as the
    validation gains."""
    seed: int = 0
    """The first seed, of videos and trainings."""
    version: Literal[1, 2] = Scene.VERSION
    """Law of the scenes; 1 is that of release 0.1.0."""
    at_once: int = 2
    """Models trained at a time, each on its share of the CPU's cores, which small models use better so."""
    only: Literal["", "visual", "visual, sound", "visual, faces", "all"] = ""
    """The one to train and score, of videos that are prepared; without it all, and the table."""

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("tested", 2), ("validated", 1), ("rounds", 1), ("at_once", 1)):
            if getattr(self, name) < least:
                found = getattr(self, name)
                raise InputError(f"--{name.replace('_', '-')} must be an integer from {least} on, found {found}")
        if self.videos <= self.tested + self.validated:
            raise InputError(
                f"--videos must leave some to train on, beside {self.tested} to test on and {self.validated} to "
                f"validate on, found {self.videos}"
            )

    @property
    def place(self) -> Path:
        """The folder of the first seed."""
        return self.folder / f"seed-{self.seed}"

    def each_seed(self) -> "Iterator[ProofArgs]":
        """The arguments of the proof on each seed alone."""
        for seed in range(self.seed, self.seed + self.seeds):
            yield dataclasses.replace(self, seed=seed, seeds=1)


def in_folder(config: TrainConfig, folder: Path, **changes: Any) -> TrainConfig:
    """The training, changed, with its run and the weights that it exports in a folder."""
    return dataclasses.replace(config, run=folder, export=folder / "weights.safetensors", **changes)


def exported(config: TrainConfig) -> Path:
    """Where the weights of a training go."""
    assert config.export is not None  # `in_folder` has each export
    return config.export


def best_kl(config: TrainConfig) -> float:
    """The lowest KL in the validations of a training; infinite before the first."""
    try:
        with (config.run / "validation.csv").open() as file:
            return min((float(row["kl"]) for row in csv.DictReader(file)), default=math.inf)
    except FileNotFoundError:
        return math.inf


def gained(config: TrainConfig) -> bool:
    """Whether a training brought the KL down by `GAIN` from that of the weights that it started from."""
    before = config.init.parent if config.init else None
    if before is None or before.name.endswith(FACES_FIRST):
        return True
    return best_kl(config) < best_kl(dataclasses.replace(config, run=before)) * (1 - GAIN)


def stages(name: str, args: ProofArgs) -> list[TrainConfig]:
    """The trainings of a variant, one after the other."""
    config = variant(name, args)
    if not config.model.face:
        return [config]
    first = faces_first(config, args.face_updates)
    slower = dataclasses.replace(config.optimizer, face_factor=0.1)  # so that what it knows is not overrun
    return [first, dataclasses.replace(config, init=first.export, optimizer=slower)]


def further_rounds(name: str, args: ProofArgs) -> list[TrainConfig]:
    """The trainings that may follow, each from the best weights of the one before."""
    *_, config = stages(name, args)
    rounds = []
    for number in range(2, args.rounds + 1):
        run_folder = run_of(name, args).with_name(f"{run_of(name, args).name}_round_{number}")
        config = in_folder(config, run_folder, init=config.export, seed=config.seed + 1000)
        rounds.append(config)
    return rounds


def best_weights(name: str, args: ProofArgs) -> Path:
    """The weights of a variant with the lowest KL in validation, of all rounds that there were."""
    *_, first = stages(name, args)
    done = [config for config in (first, *further_rounds(name, args)) if exported(config).exists()]
    return exported(min(done, key=best_kl, default=first))


def run_of(name: str, args: ProofArgs) -> Path:
    """The run folder of a variant."""
    return args.place / "runs" / name.replace(", ", "_")


def variant(name: str, args: ProofArgs) -> TrainConfig:
    """The preset with another model."""
    preset = synthetic_tiny.config()
    model, lacking = VARIANTS[name]
    loss = preset.loss if model.face else dataclasses.replace(preset.loss, **dict.fromkeys(FACE_TERMS, 0.0))
    return in_folder(
        preset, run_of(name, args), data=args.place / "prepared",
        model=model, without=lacking, loss=loss, updates=args.updates, seed=args.seed, memory=str(MEMORY),
        optimizer=dataclasses.replace(preset.optimizer, warmup=min(preset.optimizer.warmup, args.updates // 4)),
        loop=dataclasses.replace(preset.loop, overlays=0),
    )  # fmt: skip


def faces_first(config: TrainConfig, updates: int) -> TrainConfig:
    """The training of the face branch alone that comes before."""
    return in_folder(
        config,
        config.run.with_name(config.run.name + FACES_FIRST),
        clips=dataclasses.replace(config.clips, length=MEMORY.frames),  # affordable here, and speakers change in it
        memory=None,  # that of its clips
        batch_size=3,
        updates=updates,
        # Without `faces` the share for "no face" falls to 0, also where all look at the middle of the picture.
        loss=LossWeights(kl=0.0, faces=1.0, talking=1.0, speaker=1.0),
        optimizer=dataclasses.replace(
            config.optimizer, warmup=min(20, updates // 4), freeze=("visual.*", "audio.*", "fusion.*")
        ),
        loop=dataclasses.replace(config.loop, validate_every=updates),
    )
