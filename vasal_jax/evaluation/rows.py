"""The rows of a table: whose maps are scored, and against what.

A model's row says what is changed in the model's inputs. Any other row brings its maps itself.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import UNIFORM_SHARE, Conventions, GroundTruth, Video, resized_to
from vasal_jax.evaluation.map_folders import VideoMaps

logger = logging.getLogger(__name__)

Batch = dict[str, jax.Array]
Read = Callable[[Sequence[int]], np.ndarray]  # frames to their maps, float32 (T, H, W) at the truth's resolution

OTHER_MEL = "mel_of_another"  # the entry of a batch with the sound of another video

CENTRE_PRIOR, UNIFORM, PEOPLE = "centre prior", "uniform map", "half of the subjects"  # names of the baselines


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """A line of the table.

    Attributes:
      name: unique in the table.
      settings: all that its scores depend on, besides the truth; anything JSON can hold.
      stamp: changes when the files do that a video's maps depend on.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    stamp: Callable[[Video], Any] = lambda video: None


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelRow(Row):
    """Maps of the model, after `change` of its inputs."""

    change: Callable[[Batch], Batch] = dict

    @property
    def hears_another(self) -> bool:
        """Whether the sound of another video is needed."""
        return self.change is _shuffle_sound


@dataclass(frozen=True, eq=False, kw_only=True)
class MapRow(Row):
    """Maps from elsewhere: `open` gives a reader of a video's maps, and the truth they are held against."""

    open: Callable[[GroundTruth], tuple[Read, GroundTruth]]


def _mute(batch: Batch) -> Batch:
    return batch | {"mel": jnp.zeros_like(batch["mel"])}


def _shuffle_sound(batch: Batch) -> Batch:
    return batch | {"mel": batch[OTHER_MEL]}


def _drop_faces(batch: Batch) -> Batch:
    return {name: jnp.zeros_like(value) if name.startswith("face_") else value for name, value in batch.items()}


def _freeze_motion(batch: Batch) -> Batch:
    return batch | {"frames_past": batch["frames"]}


ABLATIONS: dict[str, Callable[[Batch], Batch]] = {
    "muted": _mute,
    "another video's sound": _shuffle_sound,
    "no faces": _drop_faces,
    "no motion": _freeze_motion,
}
"""What is taken from the model, by the name that its row has after the model's. Silence is zeros everywhere, no motion
is a frame before that equals the frame."""

_SENSES = {"sound": _mute, "faces": _drop_faces}


def without(batch: Batch, senses: Sequence[str]) -> Batch:
    """A model's inputs as one gets them who lacks some of the senses, "sound" and "faces"."""
    for sense in senses:
        batch = _SENSES[sense](batch)
    return batch


def model_rows(name: str, settings: Mapping[str, Any], ablations: Sequence[str]) -> list[ModelRow]:
    """The row of a model and one for each of the named `ABLATIONS`; `settings` tell the model from any other."""
    changes = {name: dict, **{f"{name}, {ablation}": ABLATIONS[ablation] for ablation in ablations}}
    return [
        ModelRow(name=row, settings={**settings, "row": change.__name__}, stamp=_inputs_of, change=change)
        for row, change in changes.items()
    ]


def baseline_rows(truths: Sequence[GroundTruth], prior: np.ndarray, conventions: Conventions) -> list[MapRow]:
    """What every model is to be compared with: centre prior, uniform map and, where subjects are known, people."""
    rows = [
        _constant(CENTRE_PRIOR, prior),
        _constant(UNIFORM, np.full(conventions.size, 1 / np.prod(conventions.size), np.float32)),
    ]
    if all(truth.video.knows_subjects for truth in truths):
        rows.append(MapRow(name=PEOPLE, settings={"row": "half"}, open=_other_people(conventions)))
    return rows


def folder_row(folder: Path, maps: Mapping[str, VideoMaps], conventions: Conventions, allow_missing: bool) -> MapRow:
    """Maps made elsewhere, from `find_maps`, brought to the truth's resolution; that they have another is logged once.

    A frame whose map is missing or not finite gets NaN, and so no scores, if `allow_missing`; else it is an error.
    """
    told = []

    def open_video(truth: GroundTruth) -> tuple[Read, GroundTruth]:
        video = maps.get(truth.video.id)
        read = video and video.open()

        def maps_of(frames: Sequence[int]) -> np.ndarray:
            return np.stack([frame_map(frame) for frame in frames])

        def frame_map(frame: int) -> np.ndarray:
            found = read(frame) if video and frame in video.frames else np.full((1, 1), np.nan, np.float32)
            if not np.isfinite(found).all():
                if not allow_missing:
                    raise InputError(
                        f"{video.path}: the map of frame {frame} of video {truth.video.id} has values that are not "
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

        return maps_of, truth

    def stamp(video: Video) -> str | None:
        return maps[video.id].stamp() if video.id in maps else None

    settings = {"row": "maps", "folder": str(folder), "allow_missing": allow_missing}
    return MapRow(name=folder.name, settings=settings, stamp=stamp, open=open_video)


def _constant(name: str, array: np.ndarray) -> MapRow:
    def open_video(truth: GroundTruth) -> tuple[Read, GroundTruth]:
        return (lambda frames: np.broadcast_to(array, (len(frames), *array.shape))), truth

    return MapRow(name=name, settings={"row": name}, open=open_video)


def _other_people(conventions: Conventions) -> Callable[[GroundTruth], tuple[Read, GroundTruth]]:
    """The density of half of the subjects, 1% spread over the picture, against the others."""

    def open_video(truth: GroundTruth) -> tuple[Read, GroundTruth]:
        half, others = truth.halves(conventions)

        def read(frames: Sequence[int]) -> np.ndarray:
            density = half.density(frames, conventions)
            spread = (1 - UNIFORM_SHARE) * density + np.float32(UNIFORM_SHARE / np.prod(conventions.size))
            # Where none of them looked anywhere they predict nothing, rather than a uniform map.
            return np.where(density.any((1, 2), keepdims=True), spread, np.float32(np.nan))

        return read, others

    return open_video


def _inputs_of(video: Video) -> list:
    """What changes when a model's inputs do."""
    files = [path for path in (video.video, video.sound) if path is not None]
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    tracks = hashlib.sha256(b"".join(array.tobytes() for array in video.tracks() or ()))
    return [*stats, video.n_frames, tracks.hexdigest()]
