"""Videos as they are scored: clips of frames with the model's inputs, the truth, and maps made elsewhere."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from vasal_jax.ablations import OTHER_MEL
from vasal_jax.batch import Array, Batch
from vasal_jax.config import CLIP_LENGTH
from vasal_jax.errors import InputError
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, Video, derangement
from vasal_jax.evaluation.rows import Row
from vasal_jax.inputs.audio import HOP, load_spectrogram, spectrogram
from vasal_jax.inputs.clips import cut_clips
from vasal_jax.inputs.faces.slots import FaceSlots
from vasal_jax.inputs.faces.sources import Faces
from vasal_jax.inputs.sound import SAMPLE_RATE

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class ScoredClip:
    """T frames of a video; past its end the last one is repeated."""

    truth: GroundTruth
    frames: range  # the real ones
    batch: Batch | None  # inputs of the model, (1, T, ...), where a row needs it
    targets: dict[str, Arrays]  # by truth: what `metrics.score` asks for besides the prediction, (1, T, ...)
    given: dict[str, Arrays]  # by row: what it asked for, (1, T, ...)

    @property
    def is_last(self) -> bool:
        return self.frames.stop == self.truth.video.n_frames


class ClipReader:
    """Reads videos and their truth in clips, from any thread.

    Attributes:
      slots: face slots of the clips of all videos, for a model with a face branch; 0 for others.
    """

    def __init__(
        self,
        truths: Sequence[GroundTruth],
        rows: Sequence[Row],
        conventions: Conventions,
        negatives: Mapping[str, tuple[np.ndarray, np.ndarray]],
        face_branch: bool = False,
    ):
        self._conventions = conventions
        self._negatives = negatives
        self._room = max(truth.points.shape[1] for truth in truths)  # one shape for the fixations of all videos
        self._rows = rows
        self._length = _clip_length(rows)
        self._truths = sorted({truth for row in rows for truth in row.truths})
        self._needs_model = any(row.needs_model for row in rows)
        self._face_slots = {truth.video.id: slots_of(truth.video) for truth in truths} if face_branch else {}
        self.slots = max((faces.slots for faces in self._face_slots.values()), default=0)
        needs_other_sound = any(row.needs_other_sound for row in rows)
        self._partners = derangement([truth.video for truth in truths], conventions) if needs_other_sound else {}

    def clips(self, truths: Iterator[GroundTruth]) -> Generator[ScoredClip]:
        for truth in truths:
            targets = {name: self._targets(truth.seen_by(name, self._conventions)) for name in self._truths}
            readers = {row.name: row.open(truth) for row in self._rows}
            for frames, batch in self._batches(truth.video):
                padded = [min(frames.start + step, frames.stop - 1) for step in range(self._length)]
                target_arrays = {name: _as_batch(read(padded)) for name, read in targets.items()}
                given = {row: _as_batch(read(padded)) for row, read in readers.items()}
                yield ScoredClip(truth, frames, batch, target_arrays, given)

    def _targets(self, truth: GroundTruth) -> Callable[[Sequence[int]], Arrays]:
        conventions, video = self._conventions, truth.video
        pixels, mask = truth.pixels(conventions)
        spare = self._room - mask.shape[1]
        pixels, mask = np.pad(pixels, ((0, 0), (0, spare), (0, 0))), np.pad(mask, ((0, 0), (0, spare)))
        others, others_mask = self._negatives[video.id]
        seeds = np.random.default_rng(conventions.seed_of("AUC-B", video.id)).integers(2**31, size=video.n_frames)

        def target(frames: Sequence[int]) -> Arrays:
            return {
                "density": truth.density(frames, conventions),
                "fixations": pixels[frames],
                "mask": mask[frames],
                "negatives": np.broadcast_to(others, (len(frames), *others.shape)),
                "negatives_mask": np.broadcast_to(others_mask, (len(frames), *others_mask.shape)),
                "seeds": seeds[frames].astype(np.int32),
            }

        return target

    def _batches(self, video: Video) -> Iterator[tuple[range, Batch | None]]:
        if not self._needs_model:
            for start in range(0, video.n_frames, self._length):
                yield range(start, min(start + self._length, video.n_frames)), None
            return
        seen = 0
        faces = self._face_slots[video.id] if self._face_slots else faces_of(video).maps()
        for clip in cut_clips(video.frames(), self._tracks(video), faces, self._length):
            frames = range(seen, seen + len(clip.frames))
            seen = frames.stop
            yield frames, Batch(**{name: self._with_all_slots(name, value) for name, value in clip.batch.items()})
        if seen != video.n_frames:
            raise InputError(f"{video.video}: expected {video.n_frames} frames, found {seen}; check the dataset")

    def _with_all_slots(self, name: str, value: Array) -> Array:
        if not (self._face_slots and name.startswith("face_")):
            return value
        return np.pad(value, [(0, self.slots - value.shape[2] if axis == 2 else 0) for axis in range(value.ndim)])

    def _tracks(self, video: Video) -> Arrays:
        tracks = {"mel": _spectrogram(video)}
        if self._partners:
            other = _spectrogram(self._partners[video.id])
            hops = ceil(video.n_frames / video.fps * SAMPLE_RATE / HOP)
            tracks[OTHER_MEL] = np.tile(other, (1, ceil(hops / other.shape[1])))  # once more where it is shorter
        return tracks


def _clip_length(rows: Sequence[Row]) -> int:
    """The longest clips, up to 12 frames, in none of which the memory of a row's model has a border."""
    periods = [row.memory.period for row in rows]
    return next(n for n in range(CLIP_LENGTH, 0, -1) if all(period % n == 0 for period in periods))


def _as_batch(arrays: Arrays) -> Arrays:
    """(T, ...) to (1, T, ...)."""
    return {name: value[None] for name, value in arrays.items()}


def _spectrogram(video: Video) -> np.ndarray:
    return spectrogram(()) if video.sound is None else load_spectrogram(video.sound)


def faces_of(video: Video) -> Faces:
    """The faces of a video as the model takes them; none if the dataset has no face tracks."""
    return Faces(video.video, tracks_of(video))


def slots_of(video: Video) -> FaceSlots:
    """The faces of a video as a model with a face branch takes them."""
    slots = faces_of(video).slots()
    assert isinstance(slots, FaceSlots)  # the tracks are known
    return slots


def tracks_of(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (F, N, 4) and mask (F, N) of the faces; without any if the dataset has no face tracks."""
    return video.tracks() or (np.zeros((0, 0, 4), np.float32), np.zeros((0, 0), bool))
