"""A visitor's video to files: what `vasal predict` writes of it, in a folder of the visitor's."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from rich.progress import TaskID

from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.commands.predict_video import predict_video
from vasal_jax.inputs.video import VideoInfo, probe
from vasal_jax.outputs.prediction_files import Outputs
from vasal_jax.web.limits import Limits
from vasal_jax.web.models import Models
from vasal_jax.web.rooms import Example

Report = Callable[[float, str], object]
"""Told how much is done, 0..1, and in words what is."""

_REPORT_PERIOD = 0.2  # seconds; a report is sent to the browser


class Moment(NamedTuple):
    """One row of the table of weights: a face of one frame, or no face, whose track is None."""

    frame: int
    time: float
    track: int | None
    weight: float
    talking: float | None  # probability


@dataclass(frozen=True)
class Prediction:
    """A video that was predicted on, and what was made of it.

    Attributes:
      info: of the video.
      weights: their name among the models.
      outputs: the files; without explanation for weights without a face branch.
      faces: where the faces are known from, as `vasal_jax.stream` takes it.
    """

    info: VideoInfo
    weights: str
    outputs: Outputs
    faces: str

    @property
    def folder(self) -> Path:
        assert self.outputs.overlay is not None  # there always is one
        return self.outputs.overlay.parent

    def moments(self) -> list[Moment]:
        """The weights of the faces by frame; empty for weights without a face branch."""
        path = self.outputs.explanation_csv
        if path is None:
            return []
        with path.open(newline="", encoding="ascii") as file:
            return [_moment(row) for row in csv.DictReader(file)]


def predict(
    models: Models, limits: Limits, example: Example, video: Path, weights: str, folder: Path, report: Report
) -> Prediction:
    """Predicts on a video into a folder.

    Raises:
      InputError: the video cannot be read or is beyond the limits, or there are no such weights.
    """
    predictor, info = models[weights], probe(video)
    limits.check(info)
    face_branch = predictor.model.config.face
    is_example = cmp(video, example.video, shallow=False)
    explanation = folder / "explanation.mp4" if face_branch else None
    tracks = folder / "tracks.npy" if face_branch and not is_example else None
    outputs = Outputs(folder / "overlay.mp4", maps=folder / "maps.npz", explanation=explanation, tracks=tracks)
    faces = str(example.tracks) if is_example else "auto"
    args = PredictArgs(
        video, weights=models.files[weights], faces=faces, overlay=outputs.overlay, maps=outputs.maps,
        explain=explanation, save_tracks=tracks,
    )  # fmt: skip
    predict_video(args, info, outputs, predictor, _Progress(info, limits, report))
    return Prediction(info, weights, outputs, str(tracks or faces))


class _Progress:
    """One line of progress, which counts frames against the limits too."""

    def __init__(self, info: VideoInfo, limits: Limits, report: Report):
        self._info, self._limits, self._report = info, limits, report
        self._count, self._reported = 0, 0.0

    def add_task(self, description: str, *, total: float | None, **fields: Any) -> TaskID:
        self._report(0.0, "reading and compiling")
        return TaskID(0)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        self._count += fields.get("advance", 0)
        self._limits.check_count(self._count, self._info.path.name)
        if monotonic() - self._reported > _REPORT_PERIOD:
            self._reported = monotonic()
            total = self._info.frames or self._limits.frames
            self._report(min(self._count / total, 1.0), f"{self._count} of {total} frames")


def _moment(row: dict[str, str]) -> Moment:
    track = None if row["track"] == "none" else int(row["track"])
    talking = float(row["talking_probability"]) if row["talking_probability"] else None
    return Moment(int(row["frame"]), float(row["time"]), track, float(row["weight"]), talking)
