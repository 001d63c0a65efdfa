"""A video file as the clips a model takes: frames, the frames before, sound and faces, brought together as a stream."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import HOP, SAMPLE_RATE, WINDOW, hop_at, load_spectrogram, mel_picture, window_indices
from vasal_jax.inputs.faces import FaceMaps, open_face_maps
from vasal_jax.inputs.video import Frame, VideoInfo, model_frame, probe, read_frames

logger = logging.getLogger(__name__)

FRAME_OFFSET = 5  # frames between `frames_past` and `frames`, as the released model was trained


@dataclass(frozen=True)
class Clip:
    """T consecutive frames of a video, ready for the model.

    Attributes:
      frames: the decoded frames; fewer than T at the end of a video.
      batch: `frames` and `frames_past` (1,T,256,256,3), `mel` (1,T,16,64,64,1), `face_map` (1,T,32,32,1), float32.
        Past the end of the video the last frame is repeated.
    """

    frames: list[Frame]
    batch: dict[str, np.ndarray]


def read_clips(
    video: str | os.PathLike,
    length: int,
    *,
    sound: str | os.PathLike | None = None,
    faces: str | os.PathLike | None = None,
    released: bool = False,
) -> Iterator[Clip]:
    """Reads a video clip by clip, holding two dozen frames and the track's spectrogram (80 MB an hour).

    Every frame is in one clip. For the first `FRAME_OFFSET` frames, the video's first frame is the one before.

    Args:
      video: a video file.
      length: T, frames a clip.
      sound: a sound or video file to take the sound from; by default the video itself.
      faces: as `open_face_maps`.
      released: leave out, as the released system does, the first `FRAME_OFFSET` frames and the clip that the video
        does not fill.

    Raises:
      InputError: an input cannot be read, or `released` and the video is shorter than one clip.
    """
    info = probe(video)
    if info.variable_rate:
        logger.warning("%s: the frame rate varies (%.3g a second on average); time stamps are used", video, info.fps)
    face_maps = open_face_maps(faces, info.width, info.height)
    track = load_spectrogram(video if sound is None else sound)
    coming = read_frames(video)
    held: dict[int, _Held] = {}
    waiting: dict[int, Frame] = {}  # full-size frames whose clip is not complete yet
    count, last = 0, 0.0
    first = start = FRAME_OFFSET if released else 0
    while True:
        # The sound of a frame shows the 7 frames after it, and never fewer than 16 frames at all.
        needed = max(start + length + WINDOW // 2 - 1, WINDOW)
        while count < needed and (frame := next(coming, None)) is not None:
            held[count] = _Held(model_frame(frame.image), mel_picture(track, hop_at(frame.time)))
            if count >= first:
                waiting[count] = frame
            count, last = count + 1, frame.time
        frames = [waiting.pop(i) for i in range(start, min(start + length, count))]
        if not frames or (released and len(frames) < length):
            break
        indices = [frame.index for frame in frames]
        indices += indices[-1:] * (length - len(frames))
        yield Clip(frames, _batch(indices, count, held, face_maps))
        start += length
        for index in [i for i in held if i < start - WINDOW]:
            del held[index]
    if start == first:
        raise InputError(f"{video}: the released way needs {first + length} frames or more, found {count}")
    _warn_of_short_inputs(info, track, last, faces, face_maps, count)


class _Held(NamedTuple):
    frame: np.ndarray
    picture: np.ndarray


def _batch(indices: list[int], count: int, held: dict[int, _Held], face_maps: FaceMaps) -> dict[str, np.ndarray]:
    mel = [[held[j].picture for j in window_indices(i, count)] for i in indices]
    clip = {
        "frames": np.stack([held[i].frame for i in indices]),
        "frames_past": np.stack([held[max(i - FRAME_OFFSET, 0)].frame for i in indices]),
        "mel": np.array(mel)[..., None],
        "face_map": np.stack([face_maps(i) for i in indices])[..., None],
    }
    return {name: value[None] for name, value in clip.items()}


def _warn_of_short_inputs(
    info: VideoInfo, track: np.ndarray, last: float, faces: object, face_maps: FaceMaps, count: int
) -> None:
    heard = (track.shape[1] - 1) * HOP / SAMPLE_RATE
    if track.any() and heard < last - 0.5:
        logger.warning("%s: the sound ends at %.1f s of %.1f s; silence is used after it", info.path, heard, last)
    if faces not in (None, "none") and len(face_maps) < count:
        logger.warning(
            "%s: face maps for %d of %d frames; the rest are taken as without faces", faces, len(face_maps), count
        )
