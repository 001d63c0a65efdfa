"""A dataset's table of scores: what `evaluate.py` runs, once it has opened the dataset."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import Positional, arg

from vasal_jax import weights
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.evaluation import challenge, comparison, report, result_files, statistics, tables
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, Video, centre_prior
from vasal_jax.evaluation.map_folders import find_maps
from vasal_jax.evaluation.people import half_row, viewer_rows
from vasal_jax.evaluation.rows import MapRow, Row, also_against_half, baseline_rows, folder_row, model_rows
from vasal_jax.evaluation.scores import Evaluation, Scores, frame_notes, versions
from vasal_jax.evaluation.settings import memory_settings, model_settings, truth_settings
from vasal_jax.inputs.fixations import SIGMA
from vasal_jax.models.vasal import VASal
from vasal_jax.size import Size
from vasal_jax.system import memory, stopping
from vasal_jax.system.compilation_cache import use_compilation_cache
from vasal_jax.system.files import check_writable
from vasal_jax.system.terminal import Flag, MemoryArgument, OptionalFile, SizeArgument, progress_bar, say

logger = logging.getLogger(__name__)

MAX_SIDE = 4096  # of the truth's resolution


@dataclasses.dataclass(frozen=True)
class EvaluateArgs:
    """Score a model, or maps made elsewhere, on a dataset, beside centre prior, uniform map and human observers.

    `python evaluate.py compare A.json B.json` compares two results.
    """

    folder: Positional[Annotated[Path, arg(metavar="DATASET")]]
    """Folder of MVVA, of data.synthetic, of a video saliency challenge, or in the layout of STAViS, DHF1K, Hollywood-2
    or UCF-Sports."""
    weights: OptionalFile = None
    """The model: a .safetensors file, an Orbax folder or a PyTorch checkpoint."""
    maps: Annotated[tuple[Path, ...], arg(metavar="DIR ...", help_behavior_hint="")] = ()
    """Folders of maps made elsewhere, a row each: DIR/<video>/ with a PNG or JPEG a frame, or DIR/<video>.npz with
    `maps`."""
    allow_missing: Flag = False
    """Leave out the frames that --maps lacks or that are not finite, and count them."""
    out: Annotated[Path | None, arg(metavar="R.json", help_behavior_hint="")] = None
    """Write the results here, and beside it R.md, R.tex, R_videos.csv, R_frames.csv and the folder R_work, from which
    a run that was stopped goes on."""
    report: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Write a page to look at, DIR/index.html: table, distributions, examples, curves. Needs the extra "report"."""
    dataset: str = "mvva"
    """In the STAViS layout: which of the datasets, such as DIEM."""
    protocol: Literal["own", "challenge"] = "own"
    """challenge: score as the AIM and NTIRE video saliency challenges do as well, in a table of its own."""
    split: Literal["training", "validation", "test"] = "test"
    """Which videos to score."""
    split_rule: Annotated[str | None, arg(metavar="RULE", help_behavior_hint="")] = None
    """Which video is in which split, as in "test=281-343 validation=220-280"; the default is the dataset's."""
    mute: Flag = False
    """Add a row: the model without sound."""
    shuffle_sound: Flag = False
    """Add a row: the model with the sound of another video."""
    drop_faces: Flag = False
    """Add a row: the model without faces."""
    freeze_motion: Flag = False
    """Add a row: the model with every frame standing still."""
    resolution: SizeArgument = Size(360, 640)
    """Width x height at which maps are compared with the truth."""
    sigma: float = SIGMA
    """Standard deviation of the fixation density in pixels of the fixations' grid (MVVA: 1280x720)."""
    negatives: int = 4096
    """How many fixations of other videos the shuffled AUC takes, for each video."""
    seed: int = 0
    """Of everything drawn: negatives, halves of the subjects, other videos' sound."""
    batch: int = 1
    """Videos at once on each device."""
    memory: MemoryArgument = None
    """What the model's recurrent state remembers: all frames from the start on; those since the last reset at every Nth
    frame; or the last N/2 to N frames, by two overlapping copies. By default overlap/N, where the weights say that they
    were trained on clips of N frames, else continuous."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type."""

    def check(self) -> None:
        """Raises `InputError` for what can be known to be wrong before the dataset is read."""
        self._check_numbers()
        if self.weights is None and not self.maps:
            raise InputError("expected --weights of a model or --maps to score, found neither; see --help")
        if self.weights is None and self.ablations:
            raise InputError(
                "--mute, --shuffle-sound, --drop-faces and --freeze-motion change a model's inputs: --weights"
            )
        if self.memory is not None and self.weights is None:
            raise InputError("--memory is about a model, which is not given: --weights")
        if self.memory not in (None, "reset", "overlap"):
            Memory.parse(self.memory)
        if self.allow_missing and not self.maps:
            raise InputError("--allow-missing is about --maps, which are not given")
        if self.weights is not None:
            weights.check_exists(self.weights)
        if self.out is not None and self.out.suffix != ".json":
            raise InputError(f"{self.out}: expected a name ending in .json")
        if self.out is not None:
            check_writable(self.out)
        if self.report is not None:
            report.check(self.report)

    def _check_numbers(self) -> None:
        if not all(32 <= side <= MAX_SIDE for side in self.resolution):
            raise InputError(f"--resolution: expected 32 to {MAX_SIDE} a side as in 640x360, found {self.resolution}")
        limits = {"sigma": (0.1, 1000), "negatives": (1, 10**6), "seed": (0, 2**31 - 1), "batch": (1, 256)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"--{name}: expected {low} to {high}, found {getattr(self, name)}")

    @property
    def conventions(self) -> Conventions:
        """What the numbers mean."""
        height, width = self.resolution
        return Conventions((height, width), self.sigma, self.negatives, self.seed)

    @property
    def ablations(self) -> list[str]:
        """Names of the ablations that get a row each."""
        switches = {
            "muted": self.mute,
            "another video's sound": self.shuffle_sound,
            "no faces": self.drop_faces,
            "no motion": self.freeze_motion,
        }
        return [name for name, chosen in switches.items() if chosen]


@dataclasses.dataclass(frozen=True)
class Split:
    """The videos to score, and what is known of where they come from."""

    dataset: str
    rule: str  # which video is in which split
    videos: Sequence[Video]
    training: Sequence[Video]  # for the centre prior


@dataclasses.dataclass(frozen=True)
class CompareArgs:
    """Compare two results video by video: mean difference, its 95% interval, and a paired permutation test."""

    first: Positional[Annotated[Path, arg(metavar="A.json")]]
    """Results of evaluate.py."""
    second: Positional[Annotated[Path, arg(metavar="B.json")]]
    """Results over the same conventions; may be the same file."""
    first_row: Annotated[str | None, arg(metavar="ROW", help_behavior_hint="")] = None
    """Which row of A; its first one by default."""
    second_row: Annotated[str | None, arg(metavar="ROW", help_behavior_hint="")] = None
    """Which row of B; its first one by default."""


def evaluate(args: EvaluateArgs, split: Split) -> int:
    """Runs the command on the videos that its arguments name; returns its exit code. Raises `InputError`."""
    memory.tune("evaluate")
    use_compilation_cache()
    conventions = args.conventions
    model = args.weights and weights.load(args.weights, dtype=args.dtype)
    truths = [GroundTruth.of(video) for video in split.videos]
    if args.protocol == "challenge":
        challenge.check(truths)
    prior = centre_prior(split.training, conventions)
    rows = _rows(args, truths, prior, conventions, model)
    with ExitStack() as stack:
        kept = args.out and result_files.beside(args.out, "_work")
        work = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        evaluation = Evaluation(truths, conventions, prior, work)
        viewers = _viewer_rows(truths, conventions)
        scores = _with_progress(evaluation, [*rows, *viewers.values()], model, args.batch)
        by_number = {n: scores.pop(row.name) for n, row in viewers.items()}
        lines = {line: truth for row in rows for line, truth in row.lines.items()}
        summary = statistics.summarise(scores, _settings(args, split, evaluation, model), lines, by_number)
        challenge_scores = _challenge(args, evaluation, rows) if args.protocol == "challenge" else {}
        if challenge_scores:
            summary["challenge"] = challenge.summarise(challenge_scores, truths)
        print(tables.markdown(summary))
        notes = {truth.video.id: frame_notes(truth.video) for truth in truths}
        if args.out:
            for path in result_files.write_all(args.out, summary, scores, notes, challenge_scores):
                say(f"wrote {path}")
        if args.report:
            maps = partial(evaluation.open_maps, rows[0])
            faces = _face_weights(evaluation, rows[0], split.videos) if model and model.face else {}
            say(f"wrote {report.write_report(args.report, summary, scores, notes, truths, conventions, maps, faces)}")
    return 0


def compare(args: CompareArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    first, second = result_files.read_json(args.first), result_files.read_json(args.second)
    frames = (partial(result_files.read_frames, path) for path in (args.first, args.second))
    found = comparison.compare(first, second, args.first_row, args.second_row, *frames)
    names = (row or table["rows"][0]["name"] for row, table in ((args.first_row, first), (args.second_row, second)))
    print(tables.comparison(found, *names))
    return 0


def _rows(
    args: EvaluateArgs, truths: Sequence[GroundTruth], prior: np.ndarray, conventions: Conventions, model: VASal | None
) -> list[Row]:
    if args.shuffle_sound and len(truths) < 2:
        raise InputError(f"--shuffle-sound: expected two videos or more, found {len(truths)} in split {args.split!r}")
    rows: list[Row] = []
    if model and args.weights:
        chosen = Memory.chosen(args.memory, model.memory)
        rows += model_rows(args.weights.stem, model_settings(args.weights, model), args.ablations, chosen)
    lengths = {truth.video.id: truth.video.n_frames for truth in truths}
    for folder in args.maps:
        maps, missing = find_maps(folder, lengths)
        for line in missing:
            logger.warning("%s: %s", folder, line)
        if missing and not args.allow_missing:
            raise InputError(
                f"{folder}: maps of {len(missing)} videos are missing or incomplete; make them, or leave such frames "
                "out with --allow-missing"
            )
        rows.append(folder_row(folder.resolve(), maps, conventions, args.allow_missing))
    prior_row, uniform, *gaze = baseline_rows(truths, prior, conventions)
    rows += [prior_row, *gaze]
    if _knows_subjects(truths):
        rows = [also_against_half(row) for row in rows]
        rows.append(half_row(conventions))
    rows.append(uniform)
    names = [line for row in rows for line in row.lines]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"expected rows of different names, found {twice[0]} twice; rename a folder or file")
    return rows


def _challenge(args: EvaluateArgs, evaluation: Evaluation, rows: list[Row]) -> dict[str, challenge.Scores]:
    frames = sum(truth.video.n_frames for truth in evaluation.truths)
    with progress_bar() as progress:
        scored = len(args.maps) + sum(map(challenge.scores_row, rows))
        task = progress.add_task("scoring as the challenge", total=scored * frames)
        return challenge.score(evaluation, rows, args.maps, lambda frames: progress.advance(task, frames))


def _knows_subjects(truths: Sequence[GroundTruth]) -> bool:
    return all(truth.video.knows_subjects for truth in truths)


def _viewer_rows(truths: Sequence[GroundTruth], conventions: Conventions) -> dict[int, MapRow]:
    return viewer_rows(truths, conventions) if _knows_subjects(truths) else {}


def _with_progress(evaluation: Evaluation, rows: list[Row], model: VASal | None, batch: int) -> Scores:
    with progress_bar() as progress:
        task = progress.add_task("scoring frames", total=sum(truth.video.n_frames for truth in evaluation.truths))

        def advance(frames: int) -> None:
            stopping.check()
            progress.advance(task, frames)

        return evaluation.run(rows, model=model, batch=batch, advance=advance)


def _face_weights(evaluation: Evaluation, row: Row, videos: Sequence[Video]) -> dict[str, np.ndarray]:
    return {video.id: evaluation.face_weights(row, video) for video in videos if video.tracks() is not None}


def _settings(args: EvaluateArgs, split: Split, evaluation: Evaluation, model: VASal | None) -> dict[str, Any]:
    """What the numbers mean and what made them."""
    of_model: dict[str, Any] = {}
    if model and args.weights:
        chosen = Memory.chosen(args.memory, model.memory)
        of_model = model_settings(args.weights, model) | memory_settings(model, chosen)
    return {
        "dataset": split.dataset,
        "split": args.split,
        "split_rule": split.rule,
        **truth_settings(evaluation, len(split.training)),
        **of_model,
        "maps": [str(folder) for folder in args.maps],
        "versions": versions(),
    }
