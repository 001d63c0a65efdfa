"""Scores split up by what is known of the frames, scores over time, and how a model's face weights follow the gaze."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vasal_jax.evaluation.clips import Arrays
from vasal_jax.evaluation.ground_truth import GroundTruth
from vasal_jax.evaluation.scores import Scores
from vasal_jax.metrics.face_shares import fixation_shares
from vasal_jax.metrics.saliency import METRICS

Notes = Mapping[str, Arrays]
"""By video, what `scores.frame_notes` says of its frames."""

FACES = ("no face", "1 face", "2 faces", "3 faces", "4 faces", "5 faces", "6 faces or more")
SPEAKING = ("nobody speaks", "one person speaks", "several speak")


@dataclass(frozen=True)
class Group:
    """Frames that have something in common.

    Attributes:
      name: what that is.
      frames, videos: how many.
      means: by row and metric the mean over the frames that have a score; None where none has.
    """

    name: str
    frames: int
    videos: int
    means: Mapping[str, Mapping[str, float | None]]


def split_by(scores: Scores, notes: Notes, note: str, names: Sequence[str]) -> list[Group]:
    """Scores by a number that is known of frames.

    Args:
      scores: of `Evaluation.run`.
      notes: of the same videos.
      note: "faces" or "speaking"; videos that lack it are left out.
      names: of the groups of 0, 1, ...; the last one holds all higher numbers as well.

    Returns:
      The groups that have frames; none where no video has the note.
    """
    videos = [video for video in notes if note in notes[video]]
    if not videos:
        return []
    numbers = np.concatenate([np.minimum(notes[video][note], len(names) - 1) for video in videos])
    owners = np.repeat(np.arange(len(videos)), [len(notes[video][note]) for video in videos])
    joined = {
        row: {metric: np.concatenate([frames[video][metric] for video in videos]) for metric in METRICS}
        for row, frames in scores.items()
    }

    def group(number: int) -> Group:
        inside = numbers == number
        means = {row: {metric: _mean(values[inside]) for metric, values in of.items()} for row, of in joined.items()}
        return Group(names[number], int(inside.sum()), len(set(owners[inside])), means)

    return [group(int(number)) for number in np.unique(numbers[np.isfinite(numbers)])]


def windowed_means(values: np.ndarray, window: int) -> np.ndarray:
    """Means of (F,) values over `window` frames at a time, (ceil(F / window),); NaN stands for no value."""
    starts = np.arange(0, len(values), window)
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(int), starts)
    sums = np.add.reduceat(np.where(finite, values, 0).astype(float), starts)
    return np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)


@dataclass(frozen=True)
class Agreement:
    """How face weights follow where people look, over frames with two faces or more that somebody looks at.

    Attributes:
      name: of which frames.
      frames: how many.
      same_face: share of them in which no face has more fixations than the face of the largest weight.
      chance: the same of a face drawn at random.
      divergence: mean Kullback-Leibler divergence (nats) of the shares of the fixations from the weights.
      weight_on_speakers, gaze_on_speakers: mean weight, and share of fixations, on the faces that talk, over the
        frames in which somebody does; None without any.
    """

    name: str
    frames: int
    same_face: float
    chance: float
    divergence: float
    weight_on_speakers: float | None
    gaze_on_speakers: float | None


def face_agreement(truths: Sequence[GroundTruth], weights: Mapping[str, np.ndarray]) -> list[Agreement]:
    """Compares a model's face weights with the shares of the fixations (`metrics.fixation_shares`).

    Args:
      truths: of the videos.
      weights: by video that has face tracks, what `Evaluation.face_weights` gives.

    Returns:
      For all frames and by number of faces; nothing where no frame has two faces that somebody looks at.
    """
    known = [_frame_agreements(truth, weights[truth.video.id]) for truth in truths if truth.video.id in weights]
    rows = np.concatenate([np.zeros(0, _FRAME), *known])
    faces = rows["faces"]
    groups = {"all": faces > 0} | {name: faces == number for number, name in enumerate(FACES[:-1])}
    groups[FACES[-1]] = faces >= len(FACES) - 1
    return [_agreement(name, rows[inside]) for name, inside in groups.items() if inside.any()]


def gaze_on_faces(truth: GroundTruth) -> np.ndarray:
    """Shares of the fixations on each face and on none, float32 (F, N+1); N is 0 where a video has no face tracks."""
    none = np.zeros((len(truth.points), 0, 4)), np.zeros((len(truth.points), 0), bool)
    return _gaze_on(truth, *(truth.video.tracks() or none))


def _gaze_on(truth: GroundTruth, boxes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    batch = {"fixations": truth.points, "face_boxes": boxes, "face_mask": mask}
    return np.asarray(fixation_shares({name: value[None] for name, value in batch.items()}, truth.video.grid)[0])


_FRAME = np.dtype([("faces", int), *[(name, float) for name in ("same", "chance", "divergence", "weight", "gaze")]])


def _frame_agreements(truth: GroundTruth, weights: np.ndarray) -> np.ndarray:
    """A record a frame that counts; `weight` and `gaze` are NaN where nobody talks or not all is known."""
    tracks = truth.video.tracks()
    if tracks is None or tracks[1].shape[1] < 2:
        return np.zeros(0, _FRAME)
    mask, shares = tracks[1], _gaze_on(truth, *tracks)
    talking, talking_known = truth.video.talking(), truth.video.talking_known()
    speaks = np.zeros_like(mask) if talking is None else talking.T & mask
    known = talking_known is not None and (talking_known.T | ~mask).all(1)
    found = np.zeros(len(mask), _FRAME)
    found["faces"] = mask.sum(1)
    favourite = mask & (shares[:, :-1] == shares[:, :-1].max(1, keepdims=True))  # several where they draw
    heaviest = np.where(mask, weights[:, :-1], -1).argmax(1)
    found["same"] = favourite[np.arange(len(mask)), heaviest]
    found["chance"] = favourite.sum(1) / np.maximum(found["faces"], 1)
    logs = np.log(np.maximum(shares, 1e-12)) - np.log(np.maximum(weights, 1e-12))
    found["divergence"] = (shares * logs).sum(1)
    for name, of in (("weight", weights), ("gaze", shares)):
        found[name] = np.where(speaks.any(1) & known, (of[:, :-1] * speaks).sum(1), np.nan)
    return found[(found["faces"] > 1) & (shares[:, :-1].sum(1) > 0)]


def _agreement(name: str, rows: np.ndarray) -> Agreement:
    same, chance, divergence = (float(rows[column].mean()) for column in ("same", "chance", "divergence"))
    return Agreement(name, len(rows), same, chance, divergence, _mean(rows["weight"]), _mean(rows["gaze"]))


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean(dtype=float)) if len(values) else None
