"""What the JPEGs of a prepared dataset cost: a model's scores on frames as they are, and after JPEG of both kinds.

    python scripts/measure_jpeg.py DATASET --weights W --videos 2

Training sees pictures that `data.examples` stores as JPEG with halved colours (4:2:0), evaluation sees decoded frames.
"""

import copy
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data

from data.datasets import open_dataset
from data.examples import JPEG_QUALITY
from data.records import VideoRecord
from vasal_jax import weights
from vasal_jax.config import FRAME_SIZE, Memory
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior
from vasal_jax.evaluation.rows import model_row
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.inputs.video import Frame
from vasal_jax.system.terminal import run

METRICS = ("CC", "KL", "NSS")
KINDS = {
    "frames as they are": None,
    "JPEG 4:2:0, as prepared": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "JPEG 4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclasses.dataclass(frozen=True)
class JpegArgs:
    """Score a model on frames as they are, and after JPEG with and without halved colours."""

    folder: Positional[Path]
    """A dataset, such as one of data.synthetic."""
    weights: Path
    """The model."""
    videos: int = 2
    """How many videos of the test split."""


def stored(record: VideoRecord, sampling: int) -> VideoRecord:
    """The video with its frames at the model's size, encoded and decoded as the JPEG of a prepared dataset."""

    def frames() -> Iterator[Frame]:
        how = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
        for frame in record.frames():
            small = cv2.resize(frame.image, (FRAME_SIZE, FRAME_SIZE))
            _, jpeg = cv2.imencode(".jpg", small[..., ::-1], how)
            decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
            assert decoded is not None
            yield dataclasses.replace(frame, image=decoded[..., ::-1])

    video = copy.copy(record)
    object.__setattr__(video, "frames", frames)  # records are frozen
    return video


def measure(args: JpegArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    dataset, splits = open_dataset(args.folder)
    records = splits.select(dataset.records, "test")[: args.videos]
    conventions, model = Conventions(), weights.load(args.weights)
    row = model_row(args.weights.stem, {}, memory=Memory.chosen(None, model.memory))
    prior = centre_prior(splits.select(dataset.records, "training"), conventions)
    table = Table(title=f"{dataset.name}, {len(records)} videos, mean over frames", title_justify="left")
    for head in ("", *METRICS, "CC of the maps with those of frames as they are"):
        table.add_column(head, justify="right" if head else "left")
    first = None
    for kind, sampling in KINDS.items():
        videos = records if sampling is None else [stored(record, sampling) for record in records]
        with tempfile.TemporaryDirectory() as work:
            evaluation = Evaluation([GroundTruth.of(video) for video in videos], conventions, prior, Path(work))
            scores = evaluation.run([row], model=model)[row.name]
            maps = np.concatenate([evaluation.maps(row, video) for video in videos]).reshape(-1, 1024)
        first = maps if first is None else first
        means = [np.nanmean(np.concatenate([of[metric] for of in scores.values()])) for metric in METRICS]
        alike = np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(maps, first, strict=True)])
        table.add_row(kind, *(f"{mean:.4f}" for mean in means), f"{alike:.5f}")
    Console(width=120).print(table)
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(lambda: measure(tyro.cli(JpegArgs, prog="python scripts/measure_jpeg.py", args=args)))


if __name__ == "__main__":
    sys.exit(main())
