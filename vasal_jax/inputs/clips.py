"""Videos as the clips a model takes: frames, the frames before, sound and faces, brought together as a stream."""

import contextlib
import logging
import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from vasal_jax.batch import Batch
from vasal_jax.config import FRAME_OFFSET, MEL_STEPS, input_shapes
from vasal_jax.errors import InputError
from vasal_jax.inputs.audio import HOP, hop_at, load_spectrogram, mel_picture, spectrogram, window_indices
from vasal_jax.inputs.faces.found import FoundFaces
from vasal_jax.inputs.faces.slots import FaceSlots, FacesOfFrame
from vasal_jax.inputs.faces.sources import FaceSource, ModelFaces, open_faces
from vasal_jax.inputs.sound import SAMPLE_RATE, check_track
from vasal_jax.inputs.video import Frame, VideoInfo, model_frame, probe, read_frames

logger = logging.getLogger(__name__)


class ClipFaces(Protocol):
    """The faces of a video, for each of its clips.

    Attributes:
      lookahead: frames that must be seen, or the end, after those of a clip before `of_clip` can be asked.
    """

    @property
    def lookahead(self) -> int: ...

    def see(self, image: np.ndarray) -> None:
        """Takes the next frame, uint8 (H,W,3) RGB."""

    def finish(self) -> None:
        """The video is over."""

    def of_clip(self, frames: Sequence[Frame]) -> tuple[dict[str, np.ndarray], list[FacesOfFrame] | None]:
        """What the model takes of T frames, and who is in the slots of a face branch; each clip is asked for once."""
        ...


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
    faces: list[FacesOfFrame] | None = None

    @property
    def slots(self) -> int:
        """N of a face branch's inputs, 0 without one."""
        return len(self.faces[0].mask) if self.faces else 0


class VideoClips:
    """A video file clip by clip, as `cut_clips` cuts it; each iteration reads it anew and logs what is odd about it.

    Attributes:
      slots: N of a face branch's inputs, 0 without one; None where the faces are found, as each clip says.
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
          video: a video file, or what `probe` found of it or of a folder of frames.
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
            logger.warning(
                "%s: the frame rate varies (%.3g a second on average); time stamps are used", self._info.path, rate
            )
        self._faces = open_faces(faces, self._info)
        self._face_branch = face_branch
        self._known = None if self._faces.detector else self._faces.of_model(face_branch)
        # A folder of frames has no sound of its own.
        self._sound = self._info.path if sound is None and not self._info.pictures else sound
        self._sound_track = sound_track
        if sound_track is not None:
            if self._sound is None:
                raise InputError(f"{self._info.path}: a folder of frames has no sound tracks; name a file by --sound")
            check_track(self._sound, sound_track)
        self._length, self._released = length, released
        found = face_branch and self._known is None
        self.slots = self._known.slots if isinstance(self._known, FaceSlots) else None if found else 0

    def blank(self) -> Batch:
        """Zeros of the shapes and types of a clip's batch, for which nothing is read; as if the faces were known."""
        return blank_batch(self._length, (self.slots or 0) if self._face_branch else None)

    def __iter__(self) -> Generator[Clip]:
        """Reads the sound, then the frames as they are asked for.

        Raises:
          InputError: one of them cannot be read, or `released` and the video is shorter than one clip.
        """
        video, track = self._info.path, self._spectrogram()
        clips = 0
        last: deque[Frame] = deque(maxlen=1)
        faces = self._faces.of_model(self._face_branch) if self._known is None else self._known

        def frames() -> Iterator[Frame]:
            for frame in read_frames(self._info):
                last.append(frame)
                yield frame

        with contextlib.closing(faces) if isinstance(faces, FoundFaces) else contextlib.nullcontext():
            for clip in cut_clips(frames(), {"mel": track}, faces, self._length, released=self._released):
                yield clip
                clips += 1
            if not clips:
                needed = FRAME_OFFSET + self._length
                raise InputError(f"{video}: the released way needs {needed} frames or more, found {last[0].index + 1}")
            self._warn_of_short_inputs(track, faces, last[0])

    def _spectrogram(self) -> np.ndarray:
        if self._sound is None:
            logger.warning("%s: a folder of frames has no sound, silence is used", self._info.path)
            return spectrogram(())
        return load_spectrogram(self._sound, self._sound_track)

    def _warn_of_short_inputs(self, track: np.ndarray, faces: ModelFaces, last: Frame) -> None:
        heard = (track.shape[1] - 1) * HOP / SAMPLE_RATE
        if track.any() and heard < last.time - 0.5:
            path = self._info.path
            logger.warning("%s: the sound ends at %.1f s of %.1f s; silence is used after it", path, heard, last.time)
        if isinstance(faces, FoundFaces):
            faces.finish_record()
            return
        count, source = last.index + 1, self._faces.source
        if source is not None and len(faces) < count:
            kind = "face tracks" if isinstance(faces, FaceSlots) else "face maps"
            logger.warning(
                "%s: %s for %d of %d frames; the rest are taken as without faces", source, kind, len(faces), count
            )


def cut_clips(
    frames: Iterator[Frame],
    tracks: Mapping[str, np.ndarray],
    faces: ClipFaces,
    length: int,
    *,
    released: bool = False,
) -> Iterator[Clip]:
    """Cuts a stream of frames into clips, holding two dozen frames at model size and as many at full size as the faces
    look ahead; the tracks take 80 MB an hour each.

    Every frame is in one clip. For the first `FRAME_OFFSET` frames, the video's first frame is the one before.

    Args:
      frames: the frames of one video, from 0.
      tracks: spectrograms (128, hops) by the name that their windows have in the batch, "mel" for what is heard.
      faces: of the frames; told of each as it comes.
      length: T, frames a clip.
      released: leave out, as the released system does, the first `FRAME_OFFSET` frames and the clip that the video
        does not fill.
    """
    held: dict[int, _Held] = {}
    waiting: dict[int, Frame] = {}  # full-size frames whose clip is not complete yet
    count, prepared, over = 0, 0, False
    start = FRAME_OFFSET if released else 0
    while True:
        # The sound of a frame shows the 7 frames after it, and never fewer than 16 frames at all.
        needed = max(start + length + MEL_STEPS // 2 - 1, MEL_STEPS)
        while not over and count < max(needed, start + length + faces.lookahead):
            if (frame := next(frames, None)) is None:
                faces.finish()
                over = True
            else:
                faces.see(frame.image)
                waiting[count] = frame
                count += 1
        while prepared < min(needed, count):
            hop = hop_at(waiting[prepared].time)
            pictures = {name: mel_picture(track, hop) for name, track in tracks.items()}
            held[prepared] = _Held(model_frame(waiting[prepared].image), pictures)
            prepared += 1
        for index in [i for i in waiting if i < start]:
            del waiting[index]
        clip = [waiting.pop(i) for i in range(start, min(start + length, count))]
        if not clip or (released and len(clip) < length):
            return
        shown = clip + clip[-1:] * (length - len(clip))
        inputs, slots = faces.of_clip(shown)
        yield Clip(clip, _batch(shown, count, held, inputs), slots)
        start += length
        for index in [i for i in held if i < start - MEL_STEPS]:
            del held[index]


class _Held(NamedTuple):
    frame: np.ndarray
    pictures: dict[str, np.ndarray]


def _batch(frames: list[Frame], count: int, held: dict[int, _Held], faces: dict[str, np.ndarray]) -> Batch:
    indices = [frame.index for frame in frames]
    clip = {
        "frames": np.stack([held[i].frame for i in indices]),
        "frames_past": np.stack([held[max(i - FRAME_OFFSET, 0)].frame for i in indices]),
    }
    clip |= faces
    windows = [window_indices(i, count) for i in indices]
    for name in held[indices[0]].pictures:
        clip[name] = np.array([[held[j].pictures[name] for j in window] for window in windows])[..., None]
    return Batch(**{name: value[None] for name, value in clip.items()})


def blank_batch(length: int, slots: int | None) -> Batch:
    """Zeros of the shapes and types of the batch of a clip of so many frames, see `config.input_shapes`."""
    shapes = input_shapes(slots)
    kinds = {name: bool if name == "face_mask" else np.float32 for name in shapes}
    return Batch(**{name: np.zeros((1, length, *shape), kinds[name]) for name, shape in shapes.items()})
