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

import itertools
import signal
import sys
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data, train

from configs.train_config import TrainConfig
from data import builder, synthetic
from data.splits import canonical
from scripts.blind_baseline import baseline
from scripts.speaker_share import hard_frames, open_test_split, speaker_frames
from scripts.synthetic_claims import SeedResult, tell
from scripts.synthetic_trainings import (
    MEMORY,
    VARIANTS,
    ProofArgs,
    best_weights,
    exported,
    further_rounds,
    gained,
    run_of,
    stages,
)
from train import train
from vasal_jax import weights
from vasal_jax.ablations import OTHER_SOUND, SENSES
from vasal_jax.evaluation.breakdowns import gaze_on_faces
from vasal_jax.evaluation.people import half_row
from vasal_jax.evaluation.rows import ModelRow, baseline_rows, model_row
from vasal_jax.evaluation.scores import Evaluation, Scores
from vasal_jax.evaluation.settings import model_settings
from vasal_jax.system.files import naming_file_errors
from vasal_jax.system.processes import finished_side_by_side
from vasal_jax.system.terminal import progress_bar, run

ROOT = Path(__file__).parents[1]


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
    people = {truth.video.id: speaker_frames(truth.video, gaze_on_faces(truth)) for truth in evaluation.truths}
    found = {"people, by their fixations": people}
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


def evaluation_of(args: ProofArgs) -> Evaluation:
    """Of the videos that are tested on."""
    return open_test_split(args.place / "faces", split_rule(args), args.place / "scores")


def score(name: str, evaluation: Evaluation, args: ProofArgs) -> Scores:
    """The scores of a variant's rows."""
    return evaluation.run(rows_of(name, args), model=weights.load(best_weights(name, args)))


def rows_of(name: str, args: ProofArgs) -> list[ModelRow]:
    """The row of a variant, without the senses that it lacks; of the one with all also that with another's sound."""
    path = best_weights(name, args)
    settings = {"variant": name, **model_settings(path, weights.load(path))}
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
