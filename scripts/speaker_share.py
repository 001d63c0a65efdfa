"""How often the face with the highest weight is that of the speaker, and where it is not.

Asked are the frames of synthetic videos that have one speaker among at least three faces.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.synthetic_files import read_truth
from vasal_jax.evaluation.ground_truth import Video


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
    silent = ~talking[frames, speaker]
    # Up to each frame, the last one in which that frame's speaker was silent.
    last_silent = np.maximum.accumulate(np.where(talking, -1, frames[:, None]), 0)[frames, speaker]
    since = np.where(silent, 0, frames - last_silent - 1) / video.fps
    return SpeakerFrames(right[asked], (1 / np.maximum(mask.sum(1), 1))[asked], since[asked])


def hard_frames(root: Path, video: Video) -> np.ndarray:
    """bool (F,): one face moves its mouth in silence while another speaks, and there are at least three."""
    moving, (mask, talking) = read_truth(root, video.id).mouth_moving, _seen_and_talking(video)
    return (moving & ~talking.T).any(0) & talking.any(1) & (mask.sum(1) >= 3)


def _seen_and_talking(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """Which faces are there and which talk, bool (F, N) each."""
    tracks, talking = video.tracks(), video.talking()
    assert tracks is not None  # every synthetic video has both
    assert talking is not None
    return tracks[1], talking.T
