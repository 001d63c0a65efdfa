"""Which frames make a clip, and what happens to them: all that is random, sampled with NumPy from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from data.prepared import PreparedVideo
from vasal_jax.config import FRAME_OFFSET, MEL_STEPS
from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import window_indices


@dataclass(frozen=True)
class ClipOptions:
    """Size of the clips and their augmentation in training."""

    length: int = 12
    """T, frames of a clip."""
    warm_up: int = 0
    """Frames at the start of a clip that no loss is taken of, unless the clip begins with its video: the state
    warms up. With half the length, an empty state means the start of a video and nothing else, as it does with the
    memory `overlap`, which shows no map of a younger state."""
    starts: float = 0.0
    """Share of the clips that begin with their video on purpose, besides those that do by chance: what people do there
    they do nowhere else."""
    faces: int = 6
    """N, faces of a clip: those that cover most of it where a video has more."""
    max_stride: int = 1
    """Largest step between a clip's frames; sampled from 1 to this. Past frames and sound keep their distances."""
    flip: bool = True
    """Mirror every other clip, left to right, with all that belongs to it."""
    reverse: bool = False
    """Let every other clip run backwards, sound too."""
    colour: float = 0.2
    """Brightness, contrast and saturation of a clip change by up to this share."""
    gain: float = 6.0
    """The sound of a clip gets louder or softer by up to this many decibels."""

    def __post_init__(self) -> None:
        for name, low, high in (("length", 1, 512), ("faces", 1, 64), ("max_stride", 1, 16)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"clips: expected {name} from {low} to {high}, found {getattr(self, name)}")
        if not 0 <= self.warm_up < self.length:
            raise InputError(f"clips: expected warm_up from 0 to {self.length - 1}, found {self.warm_up}")
        if not 0 <= self.starts <= 1:
            raise InputError(f"clips: expected starts in 0..1, found {self.starts}")
        if not 0 <= self.colour < 1 or not 0 <= self.gain <= 80:
            raise InputError(f"clips: expected colour in 0..1 and gain in 0..80, found {self.colour}, {self.gain}")

    @property
    def pictures(self) -> int:
        """P, the most pictures that a clip needs for its frames and those `FRAME_OFFSET` earlier."""

        def needed(stride: int) -> int:
            frames = stride * np.arange(self.length)
            return len(np.union1d(frames, frames - FRAME_OFFSET))

        return max(map(needed, range(1, self.max_stride + 1)))

    @property
    def sounds(self) -> int:
        """M, the most log-mel pictures that the windows of a clip's frames hold together."""
        return (self.length - 1) * self.max_stride + MEL_STEPS


class ClipPlan(NamedTuple):
    """What to read for a clip of T frames and what to do with it: arrays of NumPy."""

    examples: Any
    """Indices in the split."""
    pictures: Any
    """Which of the examples' pictures are needed, at most `ClipOptions.pictures`."""
    frame_at: Any
    """Which of those pictures is each frame's."""
    past_at: Any
    """Which of them is the one `FRAME_OFFSET` earlier."""
    own_at: Any
    """Which of the examples is each frame's."""
    sounds: Any
    """Which of the examples' log-mel pictures are needed, at most `ClipOptions.sounds`."""
    heard_at: Any
    """Which of those are around each frame, (T, 16)."""
    valid: Any
    """False on frames that only fill up the clip."""
    frame: Any
    """Index of each frame in the video."""
    video: Any
    """The video's ID, bytes."""
    flip: Any
    """Whether the clip is mirrored, left to right."""
    reverse: Any
    """Whether the clip runs backwards."""
    colour: Any
    """Factors of brightness, contrast and saturation."""
    gain: Any
    """Decibels that the sound is made louder by."""


@dataclass(frozen=True)
class Part:
    """One of the equal parts that a video is cut into, each good for one clip an epoch."""

    video: PreparedVideo
    index: int
    count: int


def training_parts(videos: Sequence[PreparedVideo], options: ClipOptions) -> list[Part]:
    """As many parts of each video as show each of its frames once an epoch, on average over epochs.

    Clips that overhang the start or the end of a video count in, see `sampled_clip`.
    """
    return _parts(videos, [-(-_places(video.frames, options, 1) // options.length) for video in videos])


def _places(frames: int, options: ClipOptions, stride: int) -> int:
    """At how many frames a clip may begin: it has one of the video's, past the start one that a loss is taken of."""
    return (options.length - 1) * stride + max(frames - options.warm_up * stride, 1)


def evaluation_parts(videos: Sequence[PreparedVideo], options: ClipOptions) -> list[Part]:
    """The clips that each video is cut into, one after the other."""
    return _parts(videos, [-(-video.frames // options.length) for video in videos])


def evaluation_lanes(videos: Sequence[PreparedVideo], options: ClipOptions, lanes: int) -> list[Part | None]:
    """The clips of `evaluation_parts`, in an order in which every `lanes`th follows the one before in its video.

    Each lane takes whole videos, the longest first, each by the lane that has the fewest clips. None stands where a
    lane has no more.
    """
    lines: list[list[Part | None]] = [[] for _ in range(lanes)]
    for video in sorted(videos, key=lambda video: -video.frames):
        min(lines, key=len).extend(evaluation_parts([video], options))
    rounds = max(map(len, lines))
    return [line[step] if step < len(line) else None for step in range(rounds) for line in lines]


def _parts(videos: Sequence[PreparedVideo], counts: Sequence[int]) -> list[Part]:
    return [Part(v, index, count) for v, count in zip(videos, counts, strict=True) for index in range(count)]


def ordered_clip(parts: Sequence[Part | None], place: int, options: ClipOptions) -> ClipPlan:
    """The clip at a place of an evaluation: as it is. One with no valid frame where there is none, or no more."""
    part = parts[place] if place < len(parts) else None
    shown = part or next(part for part in reversed(parts) if part is not None)
    indices = shown.index * options.length + np.arange(options.length)
    clip = _clip(shown.video, indices, False)
    return clip if part else clip._replace(valid=np.zeros_like(clip.valid))


def sampled_clip(parts: Sequence[Part], place: int, seed: int, options: ClipOptions) -> ClipPlan:
    """The clip at a place of a training without end: every part once an epoch, each epoch in another order.

    A clip begins at any frame alike from the first one that leaves a single frame, the video's first, inside, to the
    last one that leaves a frame to take a loss of, the video's last: so every frame of a video is in as many clips as
    any other. Of a clip that overhangs the start, the first frame is the video's, without a state from before, as in
    prediction.
    """
    epoch, index = divmod(place, len(parts))
    part = parts[_order(seed, epoch, len(parts))[index]]
    rng = np.random.default_rng([seed, place, 1])
    fitting = (part.video.frames - 1) // max(options.length - 1, 1)
    stride = int(rng.integers(1, max(1, min(options.max_stride, fitting)) + 1))
    places = _places(part.video.frames, options, stride)
    start = int((part.index + rng.random()) / part.count * places) - (options.length - 1) * stride
    if options.starts > np.random.default_rng([seed, place, 2]).random():
        start = 0
    indices = start + stride * np.arange(options.length)
    flip, reverse = rng.random(2) < 0.5
    colour = 1 + options.colour * rng.uniform(-1, 1, 3)
    gain = options.gain * rng.uniform(-1, 1)
    inside = np.count_nonzero((indices >= 0) & (indices < part.video.frames))
    clip = _clip(part.video, indices, bool(options.reverse and reverse and inside > options.warm_up))
    begins = start <= 0 and not clip.reverse
    warm = begins | (np.arange(options.length) >= options.warm_up)
    return clip._replace(
        valid=clip.valid & warm,
        flip=np.bool_(options.flip and flip),
        colour=colour.astype(np.float32),
        gain=np.float32(gain),
    )


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


def _clip(video: PreparedVideo, indices: np.ndarray, reverse: bool) -> ClipPlan:
    """The clip of those of these frames that the video has; the last one is repeated to fill it up.

    Backwards, all is mirrored.
    """
    n, length = video.frames, len(indices)
    inside = indices[(indices >= 0) & (indices < n)]
    inside = inside[::-1] if reverse else inside
    valid = np.arange(length) < len(inside)
    indices = inside[np.minimum(np.arange(length), len(inside) - 1)]
    past = np.maximum(indices - FRAME_OFFSET, 0)
    heard = window_indices(indices, n)
    if reverse:
        # Forwards in the mirrored video: what is past now came later, and the window around a frame is turned.
        past = np.minimum(indices + FRAME_OFFSET, n - 1)
        heard = n - 1 - window_indices(n - 1 - indices, n)
    examples = np.unique(np.concatenate([indices, past, heard.ravel()]))
    own, before, around = (np.searchsorted(examples, at) for at in (indices, past, heard))
    pictures, sounds = np.unique(np.concatenate([own, before])), np.unique(around)
    return ClipPlan(
        examples=video.first + examples,
        pictures=pictures.astype(np.int32),
        frame_at=np.searchsorted(pictures, own).astype(np.int32),
        past_at=np.searchsorted(pictures, before).astype(np.int32),
        own_at=own.astype(np.int32),
        sounds=sounds.astype(np.int32),
        heard_at=np.searchsorted(sounds, around).astype(np.int32),
        valid=valid,
        frame=indices.astype(np.int32),
        video=np.array(video.id.encode()),
        flip=np.bool_(False),
        reverse=np.bool_(reverse),
        colour=np.ones(3, np.float32),
        gain=np.float32(0),
    )
