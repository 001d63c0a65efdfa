"""Scores of a dataset's videos, row by row of a table, kept video by video so that a stopped run can be resumed."""

import dataclasses
import hashlib
import json
import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasal_jax import __version__
from vasal_jax.errors import InputError
from vasal_jax.evaluation.clips import Arrays, ClipReader, slots_of, tracks_of
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, Video, negatives
from vasal_jax.evaluation.rows import ReadMaps, Row
from vasal_jax.evaluation.scorer import Result, score_videos
from vasal_jax.inputs.npz import open_npz
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.models.vasal import VASal
from vasal_jax.system.files import fitting_name, naming_file_errors, replacing
from vasal_jax.system.reading import parse_json

logger = logging.getLogger(__name__)

VideoScores = dict[str, Arrays]
"""Video, metric: as in `Scores`."""
Scores = dict[str, VideoScores]
"""Line of the table, video, metric: float32 (F,), NaN for frames that cannot be scored."""

FORMAT = 2
"""Of the files in the work folder; goes up when they hold something else."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A set of videos to score rows on.

    The scores of a video are written to the work folder as soon as all are there. Where they were made with the same
    settings and files, they are taken as they are: a run that was stopped goes on, and a row that is added later is
    computed alone. Scores depend neither on that nor on the number of devices. (The number of a CPU's threads, of which
    JAX has at least one for each device it simulates, moves the last bits of a model's maps.)

    Attributes:
      truths: of the videos, which have different IDs.
      conventions: the conventions.
      prior: float32 `conventions.size`, from `centre_prior`: the baseline of the information gain.
      work: the folder; made if need be.
    """

    truths: Sequence[GroundTruth]
    conventions: Conventions
    prior: np.ndarray
    work: Path
    _stamps: dict[tuple, Any] = field(default_factory=dict, init=False, repr=False)

    def run(
        self,
        rows: Sequence[Row],
        *,
        model: VASal | None = None,
        batch: int = 1,
        advance: Callable[[int], None] = lambda frames: None,
    ) -> Scores:
        """Scores every row on every frame of every video, on all devices that JAX has.

        Args:
          rows: what to score, with different names; those of a model need `model`.
          model: the model.
          batch: videos at once on a device.
          advance: called with the number of frames that were scored since its last call.

        Raises:
          InputError: an input cannot be read, a map is not finite, or the work folder cannot be written.
        """
        with naming_file_errors(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
        self._tell_of_older_files()
        scores: Scores = {line: {} for row in rows for line in row.lines}
        todo: list[GroundTruth] = []
        lacking: set[str] = set()
        for truth in self.truths:
            found = {row.name: self._load(row, truth.video, _names(row)) for row in rows}
            lacking |= (lacks := {name for name, arrays in found.items() if arrays is None})
            if lacks:
                todo.append(truth)
            else:
                advance(truth.video.n_frames)
            for row in rows:
                _enter(scores, row, truth.video, found[row.name])
        todo_rows = [row for row in rows if row.name in lacking]
        if todo:
            reader = ClipReader(
                self.truths, todo_rows, self.conventions, self.negatives, model is not None and model.face is not None
            )
            for video, results in score_videos(reader, todo, todo_rows, self.prior, model, batch, advance):
                for row in todo_rows:
                    arrays = _flat(results[row.name])
                    self._save(row, video, arrays)
                    _enter(scores, row, video, arrays)
        return scores

    def open_maps(self, row: Row, truth: GroundTruth) -> ReadMaps:
        """A reader of the maps of a video that a row was scored with in `run`."""
        return row.read_maps(truth, lambda: self._kept(row, truth.video, "maps"))

    def maps(self, row: Row, video: Video) -> np.ndarray:
        """The maps of a model's row, after `run` with it: float32 (F, 32, 32), each summing to 1."""
        return self._kept(row, video, "maps")["maps"]

    def face_weights(self, row: Row, video: Video) -> np.ndarray:
        """The face weights of a row of a model with a face branch, after `run` with it.

        Returns:
          float32 (F, N+1), of the N faces of the video's tracks, 0 where they are not there, and of "no face"; they
          sum to 1.
        """
        by_slot = self._kept(row, video, "face_weights")["face_weights"]
        _, mask = tracks_of(video)
        by_face = np.zeros((len(by_slot), mask.shape[1] + 1), np.float32)
        by_face[:, -1] = by_slot[:, -1]
        for index, slots in enumerate(slots_of(video).frames):
            held = np.flatnonzero(slots.mask)
            by_face[index, slots.column[held]] = by_slot[index, held]
        return by_face

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what scores depend on besides the maps: all truths, the prior, the shuffled AUC's negatives."""
        truth = hashlib.sha256()
        for one in self.truths:
            truth.update(f"{one.video.id} {one.points.shape} {one.video.grid}".encode())
            truth.update(one.points.tobytes())
            for frame in one.sampled_frames if one.has_pictures else ():
                truth.update(one.picture(frame).tobytes())
        others = hashlib.sha256()
        for video, (points, mask) in self.negatives.items():
            others.update(video.encode() + points.tobytes() + mask.tobytes())
        prior = hashlib.sha256(self.prior.tobytes())
        named = {"truth": truth, "centre_prior": prior, "negatives": others}
        return {f"{name}_sha256": digest.hexdigest() for name, digest in named.items()}

    @cached_property
    def negatives(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The shuffled AUC's negatives of each video, see `ground_truth.negatives`."""
        return negatives(self.truths, self.conventions)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What all scores depend on: the fixations of all videos, through the negatives."""
        return {**dataclasses.asdict(self.conventions), **self.digests, "format": FORMAT, **versions()}

    def _tell_of_older_files(self) -> None:
        older = sum(not _is_current(path) for path in self.work.glob("*.npz"))
        if older:
            logger.warning("%s: %d files of an earlier version are not used; they may be removed", self.work, older)

    def _score_path(self, row: Row, video: Video) -> tuple[Path, str]:
        """The file of one row and video, under a name that says what it depends on, and that in words."""
        key = row.stamp, video.id
        if key not in self._stamps:
            self._stamps[key] = row.stamp(video)
        settings = {
            **self._settings,
            **row.settings,
            "truths": row.truths,
            "video": video.id,
            "files": self._stamps[key],
        }
        text = json.dumps(settings, sort_keys=True)
        return self.work / fitting_name(video.id, f"-{hashlib.sha256(text.encode()).hexdigest()[:20]}.npz"), text

    def _kept(self, row: Row, video: Video, name: str) -> Arrays:
        arrays = self._load(row, video, [name])
        if arrays is None:
            raise InputError(f"{self.work}: the {name} of video {video.id} were removed meanwhile; evaluate again")
        return arrays

    def _load(self, row: Row, video: Video, names: Sequence[str]) -> Arrays | None:
        path, _ = self._score_path(row, video)
        try:
            if not path.exists():
                return None
            with open_npz(path, "kept scores") as arrays:
                return {name: arrays.read(name) for name in names}
        # A damaged archive ends in nearly any exception.
        except Exception:
            logger.warning("%s: damaged, video %s is scored again", path, video.id)
            return None

    def _save(self, row: Row, video: Video, arrays: Arrays) -> None:
        path, settings = self._score_path(row, video)
        with replacing(path) as temporary:
            np.savez(temporary, allow_pickle=False, settings=np.array(settings), **arrays)


def _is_current(path: Path) -> bool:
    """Whether a kept file is of this version's format; a damaged one counts as such."""
    try:
        with open_npz(path, "kept scores") as arrays:
            return parse_json(str(arrays.read("settings"))).get("format") == FORMAT
    # A damaged archive ends in nearly any exception; whoever needs its scores says so.
    except Exception:
        return True


def _names(row: Row) -> list[str]:
    """Names of a row's scores in its files."""
    return [f"{truth}: {metric}" for truth in row.truths for metric in METRICS]


def _flat(result: Result) -> Arrays:
    """Scores and what is kept beside them, as they are in a file."""
    scores = {f"{truth}: {metric}": values for truth, of in result.scores.items() for metric, values in of.items()}
    return {**scores, **result.kept}


def _enter(scores: Scores, row: Row, video: Video, arrays: Arrays | None) -> None:
    """Puts a video's scores in the row's lines; None keeps its place for later."""
    for line, truth in row.lines.items():
        found = {} if arrays is None else {metric: arrays[f"{truth}: {metric}"] for metric in METRICS}
        scores[line][video.id] = found


def frame_notes(video: Video) -> Arrays:
    """What may explain the scores of frames.

    Returns:
      (F,) each: `seconds`, and of datasets that know, `faces`, how many there are, and `speaking`, how many of them.
    """
    notes: Arrays = {"seconds": np.arange(video.n_frames) / video.fps}
    tracks, talking, known = video.tracks(), video.talking(), video.talking_known()
    if tracks is not None:
        notes["faces"] = tracks[1].sum(1)
        if talking is not None and known is not None:
            unknown = (tracks[1] & ~known.T).any(1)
            speaking = (talking.T & tracks[1]).sum(1)
            notes["speaking"] = np.where(unknown, np.nan, speaking) if unknown.any() else speaking
    return notes


def versions() -> dict[str, str]:
    """What computed, down to the platform."""
    numbers = {"python": platform.python_version(), "vasal_jax": __version__, "jax": jax.__version__}
    return {**numbers, "numpy": np.__version__, "platform": jax.default_backend()}
