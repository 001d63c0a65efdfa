"""Videos as the clips a model takes: frames, the frames before, sound and faces, brought together as a stream."""

import logging
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vasal_jax.batch import Batch
from vasal_jax.config import FRAME_OFFSET, MEL_STEPS, input_shapes
from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import HOP, hop_at, load_spectrogram, mel_picture, window_indices
from vasal_jax.inputs.faces.maps import FaceMaps
from vasal_jax.inputs.faces.sources import FaceSlots, FaceSource, open_faces
from vasal_jax.inputs.sound import SAMPLE_RATE, check_track
from vasal_jax.inputs.video import Frame, VideoInfo, model_frame, probe, read_frames

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """T consecutive frames of a video, ready for the model.

    Attributes:
      frames: the decoded frames; fewer than T at the end of a video.
      batch: NumPy arrays of this one clip: `frames`, `frames_past`, `mel`, and of the faces what the model takes,
        `face_map`, or `face_crops`, `face_boxes` and `face_mask` with the same N in all clips. Past the end of the
        video the last frame is repeated.
      slots: who is in the slots of a face branch; None where the faces are maps.
    """

    frames: list[Frame]
    batch: Batch
    slots: FaceSlots | None = None


class VideoClips:
    """A video file clip by clip, as `cut_clips` cuts it; each iteration reads it anew. What is odd about it is logged.

    Attributes:
      slots: N of a face branch's inputs, 0 without one.
    """

    def __init__(
        self,
        video: str | os.PathLike | VideoInfo,
        length: int,
        *,
        sound: str | os.PathLike | None = None,
        sound_track: int | None = None,
        faces: FaceSource = None,
        face_branch: bool = False,
        released: bool = False,
    ):
        """Opens the video and the faces.

        Args:
          video: a video file, or what `probe` found of it.
          length: T, frames a clip.
          sound: a sound or video file to take the sound from; by default the video itself.
          sound_track: which of its sound tracks, from 1; by default the one a player takes.
          faces: as `open_faces`.
          face_branch: the model takes crops and boxes of faces in place of face maps.
          released: as `cut_clips`.

        Raises:
          InputError: the video or the faces cannot be read, no such sound track, or a face branch is to get face maps.
        """
        self._info = video if isinstance(video, VideoInfo) else probe(video)
        if self._info.variable_rate:
            rate = self._info.fps
            logger.warning("%s: the frame rate varies (%.3g a second on average); time stamps are used", video, rate)
        self._faces = open_faces(faces, self._info)
        self._given = self._faces.slots() if face_branch else self._faces.maps()
        self._sound, self._sound_track = self._info.path if sound is None else sound, sound_track
        if sound_track is not None:
            check_track(self._sound, sound_track)
        self._length, self._released = length, released
        self.slots = self._given.slots if face_branch else 0

    def blank(self) -> Batch:
        """Zeros of the shapes and types that all clips' batches have. Nothing is read for them."""
        shapes = input_shapes(self.slots if isinstance(self._given, FaceSlots) else None)
        kinds = {name: bool if name == "face_mask" else np.float32 for name in shapes}
        return {name: np.zeros((1, self._length, *shape), kinds[name]) for name, shape in shapes.items()}

    def __iter__(self) -> Generator[Clip]:
        """Reads the sound, then the frames as they are asked for.

        Raises:
          InputError: one of them cannot be read, or `released` and the video is shorter than one clip.
        """
        video, track = self._info.path, load_spectrogram(self._sound, self._sound_track)
        last, clips = None, 0

        def frames() -> Iterator[Frame]:
            nonlocal last
            for frame in read_frames(video):
                last = frame
                yield frame

        for clip in cut_clips(frames(), {"mel": track}, self._given, self._length, released=self._released):
            yield clip
            clips += 1
        if not clips:
            needed = FRAME_OFFSET + self._length
            raise InputError(f"{video}: the released way needs {needed} frames or more, found {last.index + 1}")
        self._warn_of_short_inputs(track, last)

    def _warn_of_short_inputs(self, track: np.ndarray, last: Frame) -> None:
        heard = (track.shape[1] - 1) * HOP / SAMPLE_RATE
        if track.any() and heard < last.time - 0.5:
            path = self._info.path
            logger.warning("%s: the sound ends at %.1f s of %.1f s; silence is used after it", path, heard, last.time)
        count, given, source = last.index + 1, self._given, self._faces.source
        if source is not None and len(given) < count:
            kind = "face tracks" if isinstance(given, FaceSlots) else "face maps"
            logger.warning(
                "%s: %s for %d of %d frames; the rest are taken as without faces", source, kind, len(given), count
            )


def cut_clips(
    frames: Iterator[Frame],
    tracks: Mapping[str, np.ndarray],
    faces: FaceMaps | FaceSlots,
    length: int,
    *,
    released: bool = False,
) -> Iterator[Clip]:
    """Cuts a stream of frames into clips, holding two dozen frames; the tracks take 80 MB an hour each.

    Every frame is in one clip. For the first `FRAME_OFFSET` frames, the video's first frame is the one before.

    Args:
      frames: the frames of one video, from 0.
      tracks: spectrograms (128, hops) by the name that their windows have in the batch, "mel" for what is heard.
      faces: of the frames, by index: maps, or what a face branch takes.
      length: T, frames a clip.
      released: leave out, as the released system does, the first `FRAME_OFFSET` frames and the clip that the video
        does not fill.
    """
    held: dict[int, _Held] = {}
    waiting: dict[int, Frame] = {}  # full-size frames whose clip is not complete yet
    count = 0
    start = first = FRAME_OFFSET if released else 0
    while True:
        # The sound of a frame shows the 7 frames after it, and never fewer than 16 frames at all.
        needed = max(start + length + MEL_STEPS // 2 - 1, MEL_STEPS)
        while count < needed and (frame := next(frames, None)) is not None:
            hop = hop_at(frame.time)
            pictures = {name: mel_picture(track, hop) for name, track in tracks.items()}
            held[count] = _Held(model_frame(frame.image), pictures)
            if count >= first:
                waiting[count] = frame
            count += 1
        clip = [waiting.pop(i) for i in range(start, min(start + length, count))]
        if not clip or (released and len(clip) < length):
            return
        shown = clip + clip[-1:] * (length - len(clip))
        yield Clip(clip, _batch(shown, count, held, faces), faces if isinstance(faces, FaceSlots) else None)
        start += length
        for index in [i for i in held if i < start - MEL_STEPS]:
            del held[index]


class _Held(NamedTuple):
    frame: np.ndarray
    pictures: dict[str, np.ndarray]


def _batch(frames: list[Frame], count: int, held: dict[int, _Held], faces: FaceMaps | FaceSlots) -> Batch:
    indices = [frame.index for frame in frames]
    clip = {
        "frames": np.stack([held[i].frame for i in indices]),
        "frames_past": np.stack([held[max(i - FRAME_OFFSET, 0)].frame for i in indices]),
    }
    if isinstance(faces, FaceSlots):
        clip |= faces.inputs(frames)
    else:
        clip["face_map"] = np.stack([faces(i) for i in indices])[..., None]
    windows = [window_indices(i, count) for i in indices]
    for name in held[indices[0]].pictures:
        clip[name] = np.array([[held[j].pictures[name] for j in window] for window in windows])[..., None]
    return {name: value[None] for name, value in clip.items()}
