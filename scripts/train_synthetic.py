"""What each sense is worth: trains the tiny model with and without sound and faces on synthetic videos, and tells.

    python scripts/train_synthetic.py FOLDER

Writes videos of talking faces, prepares them, trains four models alike (the face branch of those that have one first
alone, which is cheap and takes many passes) and evaluates them on videos that none of them saw, the one with all senses
also with another video's sound. Prints one table over all frames and over the hard ones, where somebody moves the mouth
in silence among at least three faces. Two models at a time are trained, each in a process of its own. Everything lies
in FOLDER and is gone on with by the same command. It takes about 35 minutes on two CPU cores.
"""

import dataclasses
import signal
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data, configs, train

from configs import synthetic_tiny
from configs.train_config import TrainConfig
from data import builder, synthetic
from data.datasets import open_dataset
from data.records import VideoRecord
from data.splits import canonical
from data.synthetic_files import read_truth
from scripts.blind_baseline import baseline
from train import train
from vasal_jax import weights
from vasal_jax.ablations import OTHER_SOUND, SENSES
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
METRICS = ("KL", "CC", "NSS")


@dataclasses.dataclass(frozen=True)
class ProofArgs:
    """Train on synthetic videos with and without sound and faces, and compare."""

    folder: Positional[Path]
    """Where everything goes: videos, prepared dataset, runs, scores."""
    videos: int = 104
    """How many to write; six of them are tested on and two validated on."""
    seconds: float = 8.0
    """Length of each."""
    face_updates: int = 400
    """Steps of the face branch alone."""
    updates: int = synthetic_tiny.config().updates
    """Steps of each training."""
    seed: int = 0
    """Of videos and trainings."""
    version: Literal[1, 2] = Scene.VERSION
    """Law of the scenes; 1 is that of the packaged weights' data."""
    at_once: int = 2
    """Models trained at a time, each on its share of the CPU's cores, which small models use better so."""
    only: Literal["", *VARIANTS] = ""
    """The one to train and score, of videos that are prepared; without it all, and the table."""

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise InputError(f"--at-once must be an integer from 1 on, found {self.at_once}")


def prove(args: ProofArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if args.only:
        return learn(args.only, args)
    prepare(args)
    learn_all(args)
    evaluation = evaluation_of(args)
    prior, *_ = baseline_rows(evaluation.truths, evaluation.prior, evaluation.conventions)
    scores = evaluation.run([prior, half_row(evaluation.conventions)])
    for name in VARIANTS:
        scores |= score(name, evaluation, args)
    print_tables(scores, evaluation, args)
    return 0


def prepare(args: ProofArgs) -> None:
    """Writes the videos and prepares them."""
    faces = args.folder / "faces"
    synthetic.generate(
        synthetic.SyntheticArgs(faces, videos=args.videos, seconds=args.seconds, seed=args.seed, version=args.version)
    )
    builder.build(builder.BuilderArgs(faces, args.folder / "prepared", split=split_rule(args)))


def split_rule(args: ProofArgs) -> str:
    """The rule by which the videos are split."""
    ids = [canonical(video) for video in synthetic.video_ids(args.videos)]
    return f"test={','.join(ids[:6])} validation={','.join(ids[6:8])}"


def learn_all(args: ProofArgs) -> None:
    """Trains and scores all variants, each in a process of its own. Raises `InputError`."""
    runs = args.folder / "runs"
    with naming_file_errors(runs):
        runs.mkdir(exist_ok=True)
    same = ("videos", "seconds", "face_updates", "updates", "seed", "version")
    options = [word for name in same for word in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
    command = ["scripts/train_synthetic.py", args.folder.resolve(), *options, "--only"]
    names = list(reversed(VARIANTS))  # those with faces, which take the longest, first
    commands = {run_of(name, args.folder).name: [*command, name] for name in names}
    with progress_bar() as progress:
        trainings = {}
        for name in names:
            configs = stages(name, args)
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
    for stage in stages(name, args):
        code = train(stage)
        if not stage.export.exists():
            return code or 128 + signal.SIGTERM  # stopped by a signal, and saved
    score(name, evaluation_of(args), args)
    return 0


def stages(name: str, args: ProofArgs) -> list[TrainConfig]:
    """The trainings of a variant, one after the other."""
    config = variant(name, args)
    if not config.model.face:
        return [config]
    first = faces_first(config, args.face_updates)
    slower = dataclasses.replace(config.optimizer, face_factor=0.1)  # so that what it knows is not overrun
    return [first, dataclasses.replace(config, init=first.export, optimizer=slower)]


def run_of(name: str, folder: Path) -> Path:
    """The run folder of a variant."""
    return folder / "runs" / name.replace(", ", "_")


def variant(name: str, args: ProofArgs) -> TrainConfig:
    """The preset with another model."""
    preset = synthetic_tiny.config()
    model, lacking = VARIANTS[name]
    loss = preset.loss if model.face else dataclasses.replace(preset.loss, **dict.fromkeys(FACE_TERMS, 0.0))
    run_folder = run_of(name, args.folder)
    return dataclasses.replace(
        preset, data=args.folder / "prepared", run=run_folder, export=run_folder / "weights.safetensors",
        model=model, without=lacking, loss=loss, updates=args.updates, seed=args.seed,
        loop=dataclasses.replace(preset.loop, overlays=0),
    )  # fmt: skip


def faces_first(config: TrainConfig, updates: int) -> TrainConfig:
    """The training of the face branch alone that comes before."""
    run_folder = config.run.with_name(f"{config.run.name}_face_branch")
    return dataclasses.replace(
        config,
        run=run_folder,
        export=run_folder / "weights.safetensors",
        clips=dataclasses.replace(config.clips, length=32),  # affordable here, and speakers change in it
        batch_size=3,
        updates=updates,
        loss=LossWeights(kl=0.0, talking=1.0, speaker=1.0),
        optimizer=dataclasses.replace(config.optimizer, freeze=("visual.*", "audio.*", "fusion.*")),
        loop=dataclasses.replace(config.loop, validate_every=updates),
    )


def evaluation_of(args: ProofArgs) -> Evaluation:
    """Of the videos that are tested on."""
    conventions = Conventions()
    dataset, splits = open_dataset(args.folder / "faces", split=split_rule(args))
    truths = [GroundTruth.of(video) for video in splits.select(dataset.records, "test")]
    prior = centre_prior(splits.select(dataset.records, "training"), conventions)
    return Evaluation(truths, conventions, prior, args.folder / "scores")


def score(name: str, evaluation: Evaluation, args: ProofArgs) -> Scores:
    """The scores of a variant's rows."""
    model = weights.load(run_of(name, args.folder) / "weights.safetensors")
    return evaluation.run(rows_of(name, args.folder), model=model)


def rows_of(name: str, folder: Path) -> list[ModelRow]:
    """The row of a variant, without the senses that it lacks; of the one with all also that with another's sound."""
    path = run_of(name, folder) / "weights.safetensors"
    settings = {"variant": name, "weights": [path.stat().st_size, path.stat().st_mtime_ns]}
    _, lacking = VARIANTS[name]
    rows = [model_row(name, settings, tuple(SENSES[sense] for sense in lacking))]
    if name == "all":
        rows.append(model_row(f"{name}, {OTHER_SOUND.name}", settings, (OTHER_SOUND,)))
    return rows


def print_tables(scores: Scores, evaluation: Evaluation, args: ProofArgs) -> None:
    """Prints what the proof shows: the rows, by who speaks, and how often the speaker weighs most."""
    root, videos = args.folder / "faces", [truth.video for truth in evaluation.truths]
    hard = {video.id: hard_frames(root, video) for video in videos}
    everywhere = {video: np.ones_like(frames) for video, frames in hard.items()}
    table = Table(title=f"{len(videos)} videos that were not trained on, mean over frames", title_justify="left")
    table.add_column("")
    for frames, which in ((everywhere, "all frames"), (hard, "hard frames")):
        for metric in METRICS:
            table.add_column(f"{metric}, {which} ({sum(f.sum() for f in frames.values())})", justify="right")
    for name, by_video in scores.items():
        cells = [
            np.nanmean(np.concatenate([by_video[v][metric][frames[v]] for v in frames]))
            for frames in (everywhere, hard)
            for metric in METRICS
        ]
        table.add_row(name, *(f"{cell:.3f}" for cell in cells))
    Console(width=150).print(table)
    for name in ("visual, faces", "all"):
        row, *_ = rows_of(name, args.folder)
        weights_of = {video.id: evaluation.face_weights(row, video) for video in videos}
        right, chance, frames = speaker_found(videos, weights_of)
        print(
            f"{name}: the speaker has the highest weight in {right:.1%} of {frames} frames with one speaker among at "
            f"least 3 faces; chance {chance:.1%}"
        )
    share, frames = baseline(200, version=args.version)
    print(
        f"the timing of mouths alone, without picture or sound: {share:.1%} of {frames} frames with a mime; chance 50%"
    )


def hard_frames(root: Path, video: VideoRecord) -> np.ndarray:
    """bool (F,): one face moves its mouth in silence while another speaks, and there are at least three."""
    moving, talking = read_truth(root, video.id).mouth_moving, video.talking()
    faces = video.tracks()[1].sum(1)
    return (moving & ~talking).any(0) & talking.any(0) & (faces >= 3)


def speaker_found(videos: list[VideoRecord], face_weights: dict[str, np.ndarray]) -> tuple[float, float, int]:
    """How often the speaker has the highest of the faces' weights, how often by chance, and in how many frames."""
    right, chance = [], []
    for video in videos:
        mask, talking = video.tracks()[1], video.talking().T
        asked = (mask.sum(1) >= 3) & ((talking & mask).sum(1) == 1)
        heaviest = np.where(mask, face_weights[video.id][:, :-1], -1).argmax(1)
        right.append(talking[np.arange(len(mask)), heaviest][asked])
        chance.append((1 / mask.sum(1))[asked])
    right, chance = np.concatenate(right), np.concatenate(chance)
    return float(right.mean()), float(chance.mean()), len(right)


def main() -> int:
    """The command line; returns the exit code."""
    args = tyro.cli(ProofArgs, prog="python scripts/train_synthetic.py")
    return run(lambda: prove(args))


if __name__ == "__main__":
    sys.exit(main())
