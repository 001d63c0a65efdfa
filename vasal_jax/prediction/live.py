"""Maps of a camera's pictures as they come: each is answered before the next, and nothing that follows is known."""

from collections import deque
from functools import partial

import jax
import numpy as np

from vasal_jax.batch import Batch
from vasal_jax.config import FRAME_OFFSET, MEL_STEPS, Memory
from vasal_jax.inputs.audio import HOP, MELS, N_FFT, decibels, hop_at, mel_picture, mel_power
from vasal_jax.inputs.clips import blank_batch
from vasal_jax.inputs.faces.detection import open_detector
from vasal_jax.inputs.faces.detector import reduced
from vasal_jax.inputs.faces.maps import gaussian_mixture, normalise_face_map
from vasal_jax.inputs.faces.slots import FacesOfFrame, SlotDealer, branch_inputs
from vasal_jax.inputs.faces.tracking import TrackedFaces, intersection_over_union
from vasal_jax.inputs.sound import SAMPLE_RATE
from vasal_jax.inputs.video import Frame, model_frame
from vasal_jax.outputs.frame_map import FrameMap
from vasal_jax.prediction.recurrent_state import RecurrentState
from vasal_jax.prediction.streaming import Predictor, frame_maps, pictures_and_sound, start_of_video

FACES = 4
"""The largest faces of a picture that are weighed."""

_SLOTS = 2 * FACES  # a slot stays empty for a picture between two faces
_RATE = 25.0  # pictures a second of the videos that the models learnt from
_HEARD = 8 * SAMPLE_RATE // HOP  # hops of sound that are remembered; the loudest is what loudness is measured by
_MIN_OVERLAP = 0.2  # intersection over union of a face with itself a picture before


class LivePrediction:
    """One camera's pictures and sound, for one thread at a time.

    What a video shows later is not known here: the sound of a picture is that up to it, and faces are found in each
    picture and tied to those of the picture before. So the maps are near those of `stream` and not the same.

    Args:
      predictor: of the model.
    """

    def __init__(self, predictor: Predictor):
        self._predictor, model = predictor, predictor.model
        self._face_branch = model.face is not None
        blank = blank_batch(1, _SLOTS if self._face_branch else None)
        self._slots = _SLOTS if self._face_branch else 0
        compiling = predictor.features_program(blank), predictor.results_program(blank, self._slots)
        self._features_of, self._results_of = (program.result() for program in compiling)
        self._state = RecurrentState(Memory.chosen(None, model.memory, False), start_of_video(model, self._slots))
        self._detect, self._dealer, self._tied = open_detector("yunet"), SlotDealer(), _TiedFaces()
        self._past: deque[tuple[float, np.ndarray]] = deque()  # times and pictures at the model's size
        self._sound, self._count = _Sound(), 0

    def __call__(self, image: np.ndarray, time: float, sound: np.ndarray) -> FrameMap:
        """The map of the next picture.

        Args:
          image: uint8 (H,W,3) RGB.
          time: seconds since any moment, more than of the picture before.
          sound: float32 (samples,) mono at 22,050 Hz, what was heard since the picture before.

        Raises:
          InputError: the map is not finite.
        """
        self._sound.hear(sound)
        frame = Frame(self._count, time, image)
        batch, slots = self._batch(frame)
        features = self._features_of(self._predictor.parameters, pictures_and_sound(batch))
        run = partial(self._results_of, self._predictor.parameters, features, batch)
        results = jax.block_until_ready(self._state(np.array([self._count]), run))
        self._count += 1
        return next(frame_maps([frame], slots, results))

    def _batch(self, frame: Frame) -> tuple[Batch, list[FacesOfFrame] | None]:
        boxes, _ = self._detect(reduced(frame.image))
        faces = self._tied(boxes)
        arrays: dict[str, np.ndarray] = {"frames": model_frame(frame.image), "mel": self._sound.pictures()}
        arrays = {name: value[None] for name, value in arrays.items()}
        arrays["frames_past"] = self._picture_before(frame.time, arrays["frames"][0])[None]
        slots = None
        if self._face_branch:
            slots = [self._dealer.deal(faces).padded(self._slots)]
            arrays |= branch_inputs([frame], slots)
        else:
            everyone = gaussian_mixture(faces.boxes, np.ones(len(faces.boxes), bool))
            arrays["face_map"] = normalise_face_map(everyone)[None, ..., None]
        return Batch(**{name: value[None] for name, value in arrays.items()}), slots

    def _picture_before(self, time: float, picture: np.ndarray) -> np.ndarray:
        """The picture that was there as long ago as `FRAME_OFFSET` frames of a video are, or the first one."""
        self._past.append((time, picture))
        while len(self._past) > 1 and self._past[1][0] <= time - FRAME_OFFSET / _RATE + 1e-6:
            self._past.popleft()
        return self._past[0][1]


class _Sound:
    """What was heard of late, as the model hears it."""

    def __init__(self):
        self._rest = np.zeros(N_FFT - HOP, np.float32)  # samples whose windows are not whole yet
        self._power = np.zeros((MELS, _HEARD), np.float32)

    def hear(self, sound: np.ndarray) -> None:
        """Goes on with samples."""
        self._rest = np.concatenate([self._rest, sound])
        if len(self._rest) >= N_FFT:
            new = mel_power(self._rest)
            self._power = np.concatenate([self._power, new], axis=1)[:, -_HEARD:]
            self._rest = self._rest[new.shape[1] * HOP :]

    def pictures(self) -> np.ndarray:
        """The pictures of the sound up to now, one a frame of a video: float32 (16,64,64,1)."""
        track = decibels(self._power.copy())
        now = (track.shape[1] + 1) * HOP / SAMPLE_RATE  # the last window's centre is two hops back
        hops = [hop_at(now - back / _RATE) for back in reversed(range(MEL_STEPS))]
        return np.stack([mel_picture(track, hop) for hop in hops])[..., None]


class _TiedFaces:
    """Gives the faces of each picture the columns of those that they overlap in the picture before."""

    def __init__(self):
        self._before, self._next = TrackedFaces(np.zeros((0, 4), np.float32), np.zeros(0, int)), 0

    def __call__(self, boxes: np.ndarray) -> TrackedFaces:
        largest = TrackedFaces(boxes, np.arange(len(boxes))).largest(FACES).boxes
        overlaps = intersection_over_union(largest, self._before.boxes)
        columns = np.full(len(largest), -1)
        while overlaps.size and overlaps.max() >= _MIN_OVERLAP:
            face, other = np.unravel_index(overlaps.argmax(), overlaps.shape)
            columns[face] = self._before.columns[other]
            overlaps[face], overlaps[:, other] = 0, 0
        for face in np.flatnonzero(columns < 0):
            columns[face] = self._next
            self._next += 1
        order = columns.argsort()
        self._before = TrackedFaces(largest[order], columns[order])
        return self._before
