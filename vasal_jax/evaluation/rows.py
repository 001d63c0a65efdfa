"""The rows of a table: whose maps are scored, and against what.

A model's row has the model run on changed inputs. Any other row brings its maps itself.
"""

import dataclasses
import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from vasal_jax.ablations import ABLATIONS, Ablation
from vasal_jax.batch import Array, Batch
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import ALL, HALF, Conventions, GroundTruth, Video, resized_to
from vasal_jax.evaluation.map_folders import VideoMaps

logger = logging.getLogger(__name__)

Arrays = dict[str, Array]
"""Arrays of NumPy or JAX by name."""
ReadMaps = Callable[[Sequence[int]], np.ndarray]
"""Frames to their maps, float32 (T, H, W)."""
ReadArrays = Callable[[Sequence[int]], Arrays]
"""Frames to arrays (T, ...) by name."""

CENTRE_PRIOR, UNIFORM, GAZE = "centre prior", "uniform map", "density of the gaze itself"  # names of the baselines


RowType = TypeVar("RowType", bound="Row")


def against(row: str, truth: str) -> str:
    """Name of the line of a row against another truth than its first."""
    return f"{row}, against {truth.partition(' ')[0]}"


class RunModel(Protocol):
    """Runs the model on one step of all lanes, from the state that the row's step before left."""

    def __call__(self, row: str, change: Callable[[Batch], Batch]) -> Arrays:
        """Returns `maps` (lanes, T, 32, 32) and, of a model with a face branch, `face_weights` (lanes, T, slots+1)."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Row(ABC):
    """Maps that are scored, a line of the table for each truth: says what they are made of and makes them.

    Attributes:
      name: unique in the table.
      truths: names of the truths that the maps are held against.
      settings: all that its scores depend on, besides the truth; anything JSON can hold.
      stamp: changes when the files do that a video's maps depend on.
      memory: what the model remembers of a video.
      needs_model: whether clips must hold the model's inputs.
      needs_other_sound: whether they must hold the sound of another video, under `OTHER_MEL`.
    """

    name: str
    truths: tuple[str, ...] = (ALL,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    stamp: Callable[[Video], Any] = lambda video: None
    memory: Memory = Memory()  # noqa: RUF009, frozen
    needs_model: ClassVar[bool] = False

    @property
    def lines(self) -> dict[str, str]:
        """The truth of each line by the line's name. The first line has the row's own."""
        first, *others = self.truths
        return {self.name: first} | {against(self.name, truth): truth for truth in others}

    @property
    def needs_other_sound(self) -> bool:
        return False

    @abstractmethod
    def open(self, truth: GroundTruth) -> ReadArrays:
        """A reader of what a clip of the video must hold for this row; `truth` is that of all subjects."""

    @abstractmethod
    def outputs(self, given: Arrays, run: RunModel) -> tuple[Arrays, Arrays]:
        """The maps (lanes, T, H, W) of a step and what is kept beside their scores.

        Args:
          given: what `open`'s reader gave, (lanes, T, ...).
          run: runs the model on the step.
        """

    @abstractmethod
    def read_maps(self, truth: GroundTruth, load_kept: Callable[[], Arrays]) -> ReadMaps:
        """A reader of the video's maps after they were scored; `load_kept` loads what `outputs` kept of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelRow(Row):
    """Maps of the model, after each of `ablations` of its inputs. Maps and face weights are kept."""

    ablations: tuple[Ablation, ...] = ()
    needs_model = True

    @property
    def needs_other_sound(self) -> bool:
        return any(ablation.needs_other_sound for ablation in self.ablations)

    def change(self, batch: Batch) -> Batch:
        """The model's inputs, from those of the whole model."""
        for ablation in self.ablations:
            batch = ablation.change(batch)
        return batch

    def open(self, truth: GroundTruth) -> ReadArrays:
        return lambda frames: {}

    def outputs(self, given: Arrays, run: RunModel) -> tuple[Arrays, Arrays]:
        found = run(self.name, self.change)
        return found["maps"], found

    def read_maps(self, truth: GroundTruth, load_kept: Callable[[], Arrays]) -> ReadMaps:
        maps = load_kept()["maps"]
        return lambda frames: maps[list(frames)]


@dataclass(frozen=True, eq=False, kw_only=True)
class MapRow(Row):
    """Maps from elsewhere: `open_maps` gives a reader of a video's maps from its truth of all subjects."""

    open_maps: Callable[[GroundTruth], ReadMaps]

    def open(self, truth: GroundTruth) -> ReadArrays:
        read = self.open_maps(truth)
        return lambda frames: {"maps": read(frames)}

    def outputs(self, given: Arrays, run: RunModel) -> tuple[Arrays, Arrays]:
        return given["maps"], {}

    def read_maps(self, truth: GroundTruth, load_kept: Callable[[], Arrays]) -> ReadMaps:
        return self.open_maps(truth)


def model_rows(
    name: str,
    settings: Mapping[str, Any],
    ablations: Sequence[str],
    memory: Memory = Memory(),  # noqa: B008, frozen
) -> list[ModelRow]:
    """The row of a model and one for each of the named `ABLATIONS`; `settings` tell the model from any other."""
    changes = {name: (), **{f"{name}, {ablation}": (ABLATIONS[ablation],) for ablation in ablations}}
    return [model_row(row, settings, change, memory) for row, change in changes.items()]


def model_row(
    name: str,
    settings: Mapping[str, Any],
    ablations: tuple[Ablation, ...] = (),
    memory: Memory = Memory(),  # noqa: B008, frozen
) -> ModelRow:
    """The row of a model after `ablations`; their names and the memory are a part of the row's settings."""
    names = [ablation.name for ablation in ablations]
    settings = {**settings, "row": "model", "ablations": names, "memory": str(memory)}
    return ModelRow(name=name, settings=settings, stamp=_inputs_of, ablations=ablations, memory=memory)


def baseline_rows(truths: Sequence[GroundTruth], prior: np.ndarray, conventions: Conventions) -> list[MapRow]:
    """The rows of the baselines: centre prior, uniform map and, on synthetic data, the density of the gaze itself.

    `people` has the rows of human observers.

    Args:
      truths: of the scored videos.
      prior: float32 `conventions.size`, from `ground_truth.centre_prior`.
      conventions: those of the table.
    """
    rows = [
        _constant(CENTRE_PRIOR, prior),
        _constant(UNIFORM, np.full(conventions.size, 1 / np.prod(conventions.size), np.float32)),
    ]
    if truths and all(truth.video.gaze_density([0], (9, 16), conventions.sigma) is not None for truth in truths):
        rows.append(_gaze_row(conventions))
    return rows


def _gaze_row(conventions: Conventions) -> MapRow:
    def density(video: Video, frames: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        found = video.gaze_density(frames, size, conventions.sigma)
        if found is None:
            raise InputError(f"video {video.id}: the law of its gaze is not known; write the synthetic dataset again")
        return found

    def open_video(truth: GroundTruth) -> ReadMaps:
        return lambda frames: density(truth.video, frames, conventions.size)

    def stamp(video: Video) -> str:
        frames = (0, video.n_frames // 2, video.n_frames - 1)
        return hashlib.sha256(density(video, frames, (9, 16)).tobytes()).hexdigest()

    return MapRow(name=GAZE, settings={"row": "gaze"}, stamp=stamp, open_maps=open_video)


def also_against_half(row: RowType) -> RowType:
    """The row with a line against the second half of the subjects as well, to be held beside what people reach."""
    return dataclasses.replace(row, truths=(*row.truths, HALF))


def folder_row(folder: Path, maps: Mapping[str, VideoMaps], conventions: Conventions, allow_missing: bool) -> MapRow:
    """Maps made elsewhere, from `find_maps`, brought to the truth's resolution; that they have another is logged once.

    A frame whose map is missing or not finite gets NaN, and so no scores, if `allow_missing`; else it is an error.
    """
    told = []

    def open_video(truth: GroundTruth) -> ReadMaps:
        video = maps.get(truth.video.id)
        read = video and video.open()

        def maps_of(frames: Sequence[int]) -> np.ndarray:
            return np.stack([frame_map(frame) for frame in frames])

        def frame_map(frame: int) -> np.ndarray:
            found = read(frame) if video and read and frame in video.frames else np.full((1, 1), np.nan, np.float32)
            if not np.isfinite(found).all():
                if not allow_missing:
                    path = video.path if video else folder
                    raise InputError(
                        f"{path}: the map of frame {frame} of video {truth.video.id} has values that are not "
                        "finite; mend it, or leave such frames out with --allow-missing"
                    )
                return np.full(conventions.size, np.nan, np.float32)
            if found.shape != conventions.size and not told:
                told.append(found.shape)
                (height, width), (to_height, to_width) = found.shape, conventions.size
                logger.warning(
                    "%s: maps of %dx%d are resized to the truth's %dx%d", folder, width, height, to_width, to_height
                )
            return resized_to(found, conventions.size)

        return maps_of

    def stamp(video: Video) -> str | None:
        return maps[video.id].stamp() if video.id in maps else None

    settings = {"row": "maps", "folder": str(folder), "allow_missing": allow_missing}
    return MapRow(name=folder.name, settings=settings, stamp=stamp, open_maps=open_video)


def _constant(name: str, array: np.ndarray) -> MapRow:
    def open_video(truth: GroundTruth) -> ReadMaps:
        return lambda frames: np.broadcast_to(array, (len(frames), *array.shape))

    return MapRow(name=name, settings={"row": name}, open_maps=open_video)


def _inputs_of(video: Video) -> list:
    """What changes when a model's inputs do."""
    files = [path for path in (video.video, video.sound) if path is not None]
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    tracks = hashlib.sha256(b"".join(array.tobytes() for array in video.tracks() or ()))
    return [*stats, video.n_frames, tracks.hexdigest()]
