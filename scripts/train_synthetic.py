"""What each sense is worth: trains the tiny model with and without sound and faces on synthetic videos, and tells.

    python scripts/train_synthetic.py FOLDER --seeds 3

For each seed the script writes videos of talking faces, prepares them, trains four models alike (the face branch of
those that have one first alone, which is cheap and takes many passes) and evaluates them on videos that none of them
saw, the one with all senses also with another video's sound. Over all seeds it then prints, and writes to FOLDER, a
table over all frames and over the hard ones, where somebody moves the mouth in silence among at least three faces, and
a table of what the scores claim, with intervals and tests (`scripts.synthetic_claims`). Two models at a time are
trained, each in a process of its own. Everything lies in FOLDER, a folder a seed, and is gone on with by the same
command.
"""

import csv
import dataclasses
import itertools
import math
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data, configs, train

from configs import synthetic_tiny
from configs.train_config import TrainConfig
from data import builder, synthetic
from data.datasets import open_dataset
from data.splits import canonical
from scripts.blind_baseline import baseline
from scripts.speaker_share import hard_frames, speaker_frames
from scripts.synthetic_claims import SeedResult, tell
from train import train
from vasal_jax import weights
from vasal_jax.ablations import OTHER_SOUND, SENSES
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior
from vasal_jax.evaluation.people import half_row
from vasal_jax.evaluation.rows import ModelRow, baseline_rows, model_row
from vasal_jax.evaluation.scores import Evaluation, Scores
from vasal_jax.models import ModelConfig
from vasal_jax.scenes import Scene
from vasal_jax.system.files import naming_file_errors
from vasal_jax.system.processes import finished_side_by_side
from vasal_jax.system.terminal import progress_bar, run
from vasal_jax.training.losses import FACE_TERMS, LossWeights

ROOT = Path(__file__).parents[1]

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
    videos: int = 120
    """How many to write for a seed, with those that are validated and tested on."""
    tested: int = 20
    """How many of them are tested on."""
    validated: int = 4
    """How many of them are validated on."""
    seconds: float = 8.0
    """Length of each."""
    face_updates: int = 400
    """Steps of the face branch alone."""
    updates: int = synthetic_tiny.config().updates
    """Steps of each training."""
    rounds: int = 1
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


def prove(args: ProofArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if args.only:
        return learn(args.only, args)
    results = []
    for of_seed in args.each_seed():
        prepare(of_seed)
        learn_all(of_seed)
        results.append(result_of(of_seed))
    share, frames = baseline(200, version=args.version)
    blind = f"The timing of mouths alone, without picture or sound, names the speaker in {share:.1%} of {frames} "
    tell(args.folder / "proof.md", results, blind + "frames with a mime; chance is 50%.")
    return 0


def result_of(args: ProofArgs) -> SeedResult:
    """All scores of a seed."""
    evaluation = evaluation_of(args)
    prior, *_ = baseline_rows(evaluation.truths, evaluation.prior, evaluation.conventions)
    scores = evaluation.run([prior, half_row(evaluation.conventions)])
    for name in VARIANTS:
        scores |= score(name, evaluation, args)
    videos = [truth.video for truth in evaluation.truths]
    hard = {video.id: hard_frames(args.place / "faces", video) for video in videos}
    found = {}
    for name in ("visual, faces", "all"):
        row, *_ = rows_of(name, args)
        found[name] = {video.id: speaker_frames(video, evaluation.face_weights(row, video)) for video in videos}
    return SeedResult(args.seed, scores, hard, found)


def prepare(args: ProofArgs) -> None:
    """Writes the videos and prepares them."""
    faces = args.place / "faces"
    with naming_file_errors(args.place):
        args.place.mkdir(parents=True, exist_ok=True)
    synthetic.generate(
        synthetic.SyntheticArgs(faces, videos=args.videos, seconds=args.seconds, seed=args.seed, version=args.version)
    )
    builder.build(builder.BuilderArgs(faces, args.place / "prepared", split=split_rule(args)))


def split_rule(args: ProofArgs) -> str:
    """The rule by which the videos are split."""
    ids = [canonical(video) for video in synthetic.video_ids(args.videos)]
    test, validation = ids[: args.tested], ids[args.tested : args.tested + args.validated]
    return f"test={','.join(test)} validation={','.join(validation)}"


def learn_all(args: ProofArgs) -> None:
    """Trains and scores all variants, each in a process of its own. Raises `InputError`."""
    runs = args.place / "runs"
    with naming_file_errors(runs):
        runs.mkdir(exist_ok=True)
    same = ("videos", "tested", "validated", "seconds", "face_updates", "updates", "rounds", "seed", "version")
    options = [word for name in same for word in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
    command = ["scripts/train_synthetic.py", args.folder.resolve(), *options, "--only"]
    names = list(reversed(VARIANTS))  # those with faces, which take the longest, first
    commands = {run_of(name, args).name: [*command, name] for name in names}
    with progress_bar() as progress:
        trainings = {}
        for name in names:
            configs = [*stages(name, args), *further_rounds(name, args)]
            task = progress.add_task(name, start=False, total=sum(config.updates for config in configs))
            trainings[task] = [config.run for config in configs]

        def show() -> None:
            for task, folders in trainings.items():
                if done := sum(map(steps_done, folders)):
                    progress.start_task(task)
                    progress.update(task, completed=done)

        # Where there is a GPU the processes share it, which needs that none takes all of its memory at once.
        finished_side_by_side(commands, runs, ROOT, args.at_once, show, XLA_PYTHON_CLIENT_PREALLOCATE="false")


def steps_done(run_folder: Path) -> int:
    """Steps that a training has taken down."""
    try:
        return int((run_folder / "steps.csv").read_text().splitlines()[-1].partition(",")[0])
    except (FileNotFoundError, IndexError, ValueError):
        return 0


def learn(name: str, args: ProofArgs) -> int:
    """Trains and scores a variant; returns the exit code. Raises `InputError`."""
    first = stages(name, args)
    for config in first:
        if code := trained(config):
            return code
    for before, config in itertools.pairwise([first[-1], *further_rounds(name, args)]):
        if not gained(before):
            break
        if code := trained(config):
            return code
    score(name, evaluation_of(args), args)
    return 0


def trained(config: TrainConfig) -> int:
    """Trains to the end; returns the exit code, which is not 0 where a signal stopped it. Raises `InputError`."""
    code = train(config)
    return 0 if exported(config).exists() else code or 128 + signal.SIGTERM


def exported(config: TrainConfig) -> Path:
    """Where the weights of a training go."""
    assert config.export is not None  # each of this script's trainings exports
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
        run_folder = args.place / "runs" / f"{run_of(name, args).name}_round_{number}"
        config = dataclasses.replace(
            config,
            run=run_folder,
            export=run_folder / "weights.safetensors",
            init=config.export,
            seed=config.seed + 1000,
        )
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
    run_folder = run_of(name, args)
    return dataclasses.replace(
        preset, data=args.place / "prepared", run=run_folder, export=run_folder / "weights.safetensors",
        model=model, without=lacking, loss=loss, updates=args.updates, seed=args.seed, memory=str(MEMORY),
        optimizer=dataclasses.replace(preset.optimizer, warmup=min(preset.optimizer.warmup, args.updates // 4)),
        loop=dataclasses.replace(preset.loop, overlays=0),
    )  # fmt: skip


def faces_first(config: TrainConfig, updates: int) -> TrainConfig:
    """The training of the face branch alone that comes before."""
    run_folder = config.run.with_name(config.run.name + FACES_FIRST)
    return dataclasses.replace(
        config,
        run=run_folder,
        export=run_folder / "weights.safetensors",
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


def evaluation_of(args: ProofArgs) -> Evaluation:
    """Of the videos that are tested on."""
    conventions = Conventions()
    dataset, splits = open_dataset(args.place / "faces", split=split_rule(args))
    truths = [GroundTruth.of(video) for video in splits.select(dataset.records, "test")]
    prior = centre_prior(splits.select(dataset.records, "training"), conventions)
    return Evaluation(truths, conventions, prior, args.place / "scores")


def score(name: str, evaluation: Evaluation, args: ProofArgs) -> Scores:
    """The scores of a variant's rows."""
    return evaluation.run(rows_of(name, args), model=weights.load(best_weights(name, args)))


def rows_of(name: str, args: ProofArgs) -> list[ModelRow]:
    """The row of a variant, without the senses that it lacks; of the one with all also that with another's sound."""
    path = best_weights(name, args)
    settings = {"variant": name, "weights": [path.stat().st_size, path.stat().st_mtime_ns]}
    _, lacking = VARIANTS[name]
    rows = [model_row(name, settings, tuple(SENSES[sense] for sense in lacking), MEMORY)]
    if name == "all":
        rows.append(model_row(f"{name}, {OTHER_SOUND.name}", settings, (OTHER_SOUND,), MEMORY))
    return rows


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(lambda: prove(tyro.cli(ProofArgs, prog="python scripts/train_synthetic.py", args=args)))


if __name__ == "__main__":
    sys.exit(main())
