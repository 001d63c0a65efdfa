"""How often the face with the highest weight is that of the speaker, and where it is not.

    python scripts/speaker_share.py FOLDER --weights W

Asked are the frames of videos that have one speaker among at least three faces. Beside the model stand people, by the
shares of their fixations.
"""

import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from rich.table import Table
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data

from data.datasets import open_dataset
from data.synthetic_files import read_truth
from vasal_jax import weights
from vasal_jax.ablations import SENSES
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.evaluation.breakdowns import gaze_on_faces
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, Video, centre_prior
from vasal_jax.evaluation.rows import model_row
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.system.terminal import MemoryArgument, run, say, show

SINCE = (0.0, 0.04, 0.12, 0.24, 0.8, 1.6, np.inf)
"""Seconds after which a speaker is found sooner or later, for the tables."""
HEADS = ("seconds since the speaker began", "frames", "highest weight", "of all that are wrong")


class SpeakerFrames(NamedTuple):
    """The frames of a video that are asked."""

    right: np.ndarray
    """bool (K,), whether the speaker has the highest of the faces' weights."""
    chance: np.ndarray
    """float (K,), the share of them that chance would get right."""
    since: np.ndarray
    """float (K,), seconds since the speaker began to talk, 0 in the first frame; the video's start counts as one."""


class Share(NamedTuple):
    """What some frames come to."""

    right: float
    chance: float
    frames: int


def pooled(videos: Iterable[SpeakerFrames]) -> SpeakerFrames:
    """The frames of some videos, of at least one."""
    return SpeakerFrames(*map(np.concatenate, zip(*videos, strict=True)))


def share(found: SpeakerFrames, low: float = 0.0, high: float = np.inf) -> Share:
    """Of the frames in which the speaker has talked for `low` to less than `high` seconds; NaN where there are none."""
    asked = (found.since >= low) & (found.since < high)
    if not asked.any():
        return Share(np.nan, np.nan, 0)
    return Share(float(found.right[asked].mean()), float(found.chance[asked].mean()), int(asked.sum()))


def rows_by_since(found: SpeakerFrames) -> Iterator[tuple[str, ...]]:
    """The cells below `HEADS`: how long it takes until a speaker is found."""
    for low, high in itertools.pairwise(SINCE):
        right, _, frames = share(found, low, high)
        wrong = (1 - right) * frames / max((~found.right).sum(), 1) if frames else 0
        yield f"{low:g} to {high:g}", str(frames), f"{right:.1%}", f"{wrong:.0%}"


def speaker_found(videos: Sequence[Video], face_weights: Mapping[str, np.ndarray]) -> Share:
    """The share of some videos, of whose faces the weights are given as `Evaluation.face_weights` has them."""
    return share(pooled(speaker_frames(video, face_weights[video.id]) for video in videos))


def speaker_frames(video: Video, face_weights: np.ndarray) -> SpeakerFrames:
    """Of one video, from the weights of its faces, float (F, N + 1), the last of them that of no face."""
    mask, talking = _seen_and_talking(video)
    asked = (mask.sum(1) >= 3) & ((talking & mask).sum(1) == 1)
    speaker = (talking & mask).argmax(1)
    right = np.where(mask, face_weights[:, :-1], -1).argmax(1) == speaker
    frames = np.arange(len(mask))
    # Up to each frame, the last one in which that frame's speaker was silent.
    last_silent = np.maximum.accumulate(np.where(talking, -1, frames[:, None]), 0)[frames, speaker]
    since = (frames - last_silent - 1) / video.fps
    return SpeakerFrames(right[asked], 1 / mask.sum(1)[asked], since[asked])


def hard_frames(root: Path, video: Video) -> np.ndarray:
    """bool (F,): one face moves its mouth in silence while another speaks, and there are at least three."""
    moving, (mask, talking) = read_truth(root, video.id).mouth_moving, _seen_and_talking(video)
    return (moving & ~talking.T).any(0) & talking.any(1) & (mask.sum(1) >= 3)


def _seen_and_talking(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """Which faces are there and which talk, bool (F, N) each. Raises `InputError` where the dataset does not say."""
    tracks, talking = video.tracks(), video.talking()
    if tracks is None or talking is None:
        raise InputError(f"video {video.id}: nothing says who talks; expected MVVA or a dataset of data.synthetic")
    return tracks[1], talking.T


def open_test_split(folder: Path, rule: str | None, work: Path) -> Evaluation:
    """Of a dataset's test videos, by a rule of its splits or its own; `work` keeps the scores. Raises `InputError`."""
    conventions = Conventions()
    dataset, splits = open_dataset(folder, split=rule)
    truths = [GroundTruth.of(video) for video in splits.select(dataset.records, "test")]
    prior = centre_prior(splits.select(dataset.records, "training"), conventions)
    return Evaluation(truths, conventions, prior, work)


@dataclasses.dataclass(frozen=True)
class ShareArgs:
    """How often a model's heaviest face is the speaker's, in all and by how long the speaker has talked."""

    folder: Positional[Path]
    """MVVA or a dataset of data.synthetic, which say who talks; its test split is taken."""
    weights: Path
    """The model, which must have a face branch."""
    split_rule: str | None = None
    """Which video is in which split, as in "test=281-343 validation=220-280"; the default is the dataset's."""
    mute: bool = False
    """Without sound."""
    memory: MemoryArgument = None
    """What the model remembers: continuous, reset/N, overlap/N. By default what predict.py takes for the weights."""


def measure(args: ShareArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    model, lacking = weights.load(args.weights), (SENSES["sound"],) if args.mute else ()
    if not model.config.face:
        raise InputError(f"{args.weights}: has no face branch, so no face has a weight; choose a model with one")
    row = model_row(args.weights.stem, {}, lacking, Memory.chosen(args.memory, model.memory))
    with tempfile.TemporaryDirectory() as work:
        evaluation = open_test_split(args.folder, args.split_rule, Path(work))
        evaluation.run([row], model=model)
        videos = [truth.video for truth in evaluation.truths]
        found = pooled(speaker_frames(video, evaluation.face_weights(row, video)) for video in videos)
    people = pooled(speaker_frames(truth.video, gaze_on_faces(truth)) for truth in evaluation.truths)
    right, chance, frames = share(found)
    if not frames:
        raise InputError(f"{args.folder}: no test video has one speaker among at least three faces; choose another set")
    table = Table(*HEADS, "people look there most")
    for cells, of_people in zip(rows_by_since(found), rows_by_since(people), strict=True):
        table.add_row(*cells, of_people[HEADS.index("highest weight")])
    show(table)
    say(f"the speaker has the highest weight in {right:.1%} of {frames} frames; chance is {chance:.1%}")
    say(f"people look at the speaker more than at any other face in {share(people).right:.1%}")
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(lambda: measure(tyro.cli(ShareArgs, prog="python scripts/speaker_share.py", args=args)))


if __name__ == "__main__":
    sys.exit(main())
