"""What each sense is worth: trains the tiny model with and without sound and faces on drawn videos, and tells.

    python scripts/train_synthetic.py FOLDER

Draws talking-faces videos, prepares them, trains four models alike (the face branch of those that have one first alone,
which is cheap and takes many passes) and evaluates them on videos that none of them saw, the one with all senses also
with another video's sound. Prints one table over all frames and over the hard ones, where somebody moves the mouth in
silence among at least three faces. Everything lies in FOLDER and is gone on with by the same command. It takes about
40 minutes on two CPU cores.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data, configs, train

from configs import synthetic_tiny
from configs.train_config import TrainConfig
from data import builder, synthetic
from data.datasets import open_dataset
from data.records import VideoRecord
from data.splits import canonical
from train import train
from vasal_jax import weights
from vasal_jax.commands import console, run
from vasal_jax.evaluation import Evaluation, Scores
from vasal_jax.losses import FACE_TERMS, LossWeights
from vasal_jax.models import ModelConfig
from vasal_jax.rows import CENTRE_PRIOR, PEOPLE, ModelRow, baseline_rows, model_rows, without
from vasal_jax.truth import Scoring, Truth, centre_prior

# What a model gets nothing of is missing in its training and in its evaluation.
VARIANTS = {
    "visual": (ModelConfig.tiny(), ("sound", "faces")),
    "visual, sound": (ModelConfig.tiny(), ("faces",)),
    "visual, faces": (ModelConfig.tiny_full(), ("sound",)),
    "all": (ModelConfig.tiny_full_audio_faces(), ()),
}
OTHER_SOUND = "another video's sound"
METRICS = ("KL", "CC", "NSS")


@dataclasses.dataclass(frozen=True)
class ProofArgs:
    """Train on drawn videos with and without sound and faces, and compare."""

    folder: Positional[Path]
    """Where everything goes: videos, prepared dataset, runs, scores."""
    videos: int = 104
    """How many to draw; six of them are tested on and two validated on."""
    seconds: float = 8.0
    """Length of each."""
    face_updates: int = 400
    """Steps of the face branch alone."""
    updates: int = synthetic_tiny.config().updates
    """Steps of each training."""
    seed: int = 0
    """Of videos and trainings."""


def prove(args: ProofArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    rule = prepare(args)
    for name in reversed(VARIANTS):  # the one with all senses first
        config = variant(name, args)
        if config.model.face:
            first = faces_first(config, args.face_updates)
            slower = dataclasses.replace(config.optimizer, face_factor=0.1)  # so that what it knows is not overrun
            stages = [first, dataclasses.replace(config, init=first.export, optimizer=slower)]
        else:
            stages = [config]
        for stage in stages:
            code = train(stage)
            if not stage.export.exists():  # stopped by a signal, and saved
                return code
    dataset, splits = open_dataset(args.folder / "faces", split=rule)
    videos, training = splits.select(dataset.records, "test"), splits.select(dataset.records, "training")
    print_tables(*score(args.folder, videos, training), args.folder / "faces", videos)
    return 0


def prepare(args: ProofArgs) -> str:
    """Draws the videos and prepares them; returns the rule by which they are split."""
    faces = args.folder / "faces"
    synthetic.generate(synthetic.SyntheticArgs(faces, videos=args.videos, seconds=args.seconds, seed=args.seed))
    ids = [canonical(video) for video in synthetic.video_ids(args.videos)]
    rule = f"test={','.join(ids[:6])} validation={','.join(ids[6:8])}"
    builder.build(builder.BuilderArgs(faces, args.folder / "prepared", split=rule))
    return rule


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


def score(folder: Path, videos: list[VideoRecord], training: list[VideoRecord]) -> tuple[Scores, dict[str, np.ndarray]]:
    """Scores of all variants and baselines, and the face weights of the one with all senses by video."""
    scoring = Scoring()
    truths = [Truth.of(video) for video in videos]
    evaluation = Evaluation(truths, scoring, centre_prior(training, scoring), folder / "scores")
    scores, face_weights = {}, {}
    rows = [row for row in baseline_rows(truths, evaluation.prior, scoring) if row.name in (CENTRE_PRIOR, PEOPLE)]
    scores |= evaluation.run(rows)
    with Progress(console=console) as progress:
        for name in VARIANTS:
            frames = sum(video.n_frames for video in videos)
            task = progress.add_task(f"evaluating {name}", total=frames)
            model = weights.load(run_of(name, folder) / "weights.safetensors")
            rows = rows_of(name, folder)
            scores |= evaluation.run(rows, model=model, advance=lambda n, task=task: progress.advance(task, n))
            if name in ("visual, faces", "all"):
                face_weights[name] = {video.id: evaluation.face_weights(rows[0], video) for video in videos}
    return scores, face_weights


def rows_of(name: str, folder: Path) -> list[ModelRow]:
    """The row of a variant, without the senses that it lacks; of the one with all also that with another's sound."""
    path = run_of(name, folder) / "weights.safetensors"
    settings = {"variant": name, "weights": [path.stat().st_size, path.stat().st_mtime_ns]}
    row, *others = model_rows(name, settings, [OTHER_SOUND] if name == "all" else [])
    _, lacking = VARIANTS[name]
    return [dataclasses.replace(row, change=lambda batch: without(batch, lacking)), *others]


def print_tables(scores: Scores, face_weights: dict, root: Path, videos: list[VideoRecord]) -> None:
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
    for name, weights_of in face_weights.items():
        right, chance, frames = speaker_found(videos, weights_of)
        print(
            f"{name}: the speaker has the highest weight in {right:.1%} of {frames} frames with one speaker among at "
            f"least 3 faces; chance {chance:.1%}"
        )


def hard_frames(root: Path, video: VideoRecord) -> np.ndarray:
    """bool (F,): one face moves its mouth in silence while another speaks, and there are at least three."""
    moving, talking = synthetic.read_truth(root, video.id).mouth_moving, video.talking()
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
