"""The constants of a model's inputs and outputs; its sizes and its memory, as frozen, serialisable dataclasses."""

import dataclasses
import json
import re
from typing import Any, Literal

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.size import Size

CLIP_LENGTH = 12  # frames the released model was trained on and is run on at a time
FRAME_OFFSET = 5  # frames between `frames_past` and `frames`
FRAME_SIZE = 256  # side of the input frames, in pixels
MEL_SIZE = 64  # side of a log-mel picture
MEL_STEPS = 16  # log-mel pictures in the window of one frame
MAP_SIZE = 32  # side of the face map and of the saliency map
CROP_SIZE = 64  # side of a face's crop, in pixels
_MAX_TEXT = 2**16  # characters of a config in JSON
MAX_MEMORY = 10_000  # frames that a `Memory` may be told to reach back

RGB_MEAN = np.array((123.68, 116.779, 103.939), np.float32)
"""Mean colour that is subtracted from frames and crops, as in the training of the released model."""

MVVA_GRID = Size(height=720, width=1280)
"""The grid in whose pixels the fixations and face tracks of MVVA count."""

MAP_MEAN = 14.9
"""Mean of the ready-made face maps, 0..255, that is subtracted from them, as in the training of the released model."""

SIGMA_SCALE = 0.425
"""Standard deviation of a face's Gaussian in sides of its box, so that its full width at half maximum is the box. The
release does not give it: this is the project's own choice."""

MIN_SIGMA = 0.5 / MAP_SIZE
"""Smallest standard deviation of a face's Gaussian, half a cell: a narrower one can fall between cells and vanish."""


def input_shapes(slots: int | None = None) -> dict[str, tuple[int, ...]]:
    """The shape behind (B, T) of each field of a `Batch` that a model reads.

    Args:
      slots: N of a model with a face branch; None for one without.
    """
    faces = {"face_map": (MAP_SIZE, MAP_SIZE, 1)}
    if slots is not None:
        faces = {"face_crops": (slots, CROP_SIZE, CROP_SIZE, 3), "face_boxes": (slots, 4), "face_mask": (slots,)}
    frame = (FRAME_SIZE, FRAME_SIZE, 3)
    return {"frames": frame, "frames_past": frame, **faces, "mel": (MEL_STEPS, MEL_SIZE, MEL_SIZE, 1)}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Channel counts of every branch. Spatial sizes and kernel sizes are those of the released model.

    The presets `released` and `tiny` share one graph and take a ready-made face map; only the widths differ. `full`
    and `tiny_full` add the face branch as the figure of the paper has it, `full_audio_faces` and
    `tiny_full_audio_faces` one that hears as well.
    """

    texture: tuple[int, ...] = (64, 64, 128, 128, 256, 512)
    """Output channels of conv1_1, conv1_2, conv2_1, conv2_2, conv3_1, conv4_1 (the VGG-16 part)."""
    motion: tuple[int, ...] = (64, 128, 256, 128)
    """Output channels of the three strided flow convolutions and of the transposed one."""
    combine: tuple[int, ...] = (256, 128, 128)
    """Output channels of the three convolutions over motion and texture together."""
    lstm: tuple[int, ...] = (128, 64)
    """Hidden channels of the stacked ConvLSTM cells."""
    audio: tuple[int, ...] = (16, 32, 32, 64)
    """Output channels of the four 3-D convolutions; the branch yields twice the last (two time steps)."""
    fusion: int = 64
    """Channels of every sense inside the fusion module."""
    face: tuple[int, ...] = ()
    """Output channels of the three convolutions on a face's crop, its features, hidden channels of its LSTM; empty for
    no face branch."""
    face_audio: int = 0
    """Channels in which a face is compared with the sound; 0 for a face branch that does not hear."""
    dtype: str = "float32"
    """Compute type, float32 or bfloat16. Parameters are float32 either way."""

    def __post_init__(self) -> None:
        lengths = {"texture": 6, "motion": 4, "combine": 3, "lstm": 2, "audio": 4, "face": 5}
        for name, length in lengths.items():
            widths = getattr(self, name)
            absent = name == "face" and widths in ((), [])
            right = isinstance(widths, list | tuple) and len(widths) == length and all(map(_is_width, widths))
            if not absent and not right:
                expected = f"{length} positive integers" + (" or empty" if name == "face" else "")
                raise InputError(f"model config: {name} must be {expected}, found {str(widths)[:80]}")
            object.__setattr__(self, name, tuple(widths))  # JSON brings lists
        if not _is_width(self.fusion):
            raise InputError(f"model config: fusion must be a positive integer, found {str(self.fusion)[:80]}")
        if self.face_audio != 0 and not (self.face and _is_width(self.face_audio)):
            expected = "0 or a positive integer" if self.face else "0 without a face branch"
            raise InputError(f"model config: face_audio must be {expected}, found {str(self.face_audio)[:80]}")
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"model config: dtype must be float32 or bfloat16, found {str(self.dtype)[:80]!r}")

    @classmethod
    def released(cls, **changes: Any) -> "ModelConfig":
        """The published model: 7,274,113 parameters."""
        return cls(**changes)

    @classmethod
    def tiny(cls, **changes: Any) -> "ModelConfig":
        """A quarter of the released widths, 459,457 parameters: for tests, demos and small machines."""
        widths: dict[str, Any] = {
            "texture": (16, 16, 32, 32, 64, 128),
            "motion": (16, 32, 64, 32),
            "combine": (64, 32, 32),
            "lstm": (32, 16),
            "audio": (4, 8, 8, 16),
            "fusion": 16,
        }
        return cls(**(widths | changes))

    @classmethod
    def full(cls, **changes: Any) -> "ModelConfig":
        """The published model and a face branch of this project's design, after the figure."""
        return cls.released(**({"face": (32, 64, 64, 128, 128)} | changes))

    @classmethod
    def full_audio_faces(cls, **changes: Any) -> "ModelConfig":
        """`full` with a face branch that hears."""
        return cls.full(**({"face_audio": 64} | changes))

    @classmethod
    def tiny_full(cls, **changes: Any) -> "ModelConfig":
        """`tiny` with a small face branch."""
        return cls.tiny(**({"face": (16, 24, 32, 48, 48)} | changes))

    @classmethod
    def tiny_full_audio_faces(cls, **changes: Any) -> "ModelConfig":
        """`tiny_full` with a face branch that hears."""
        return cls.tiny_full(**({"face_audio": 32} | changes))

    def to_json(self) -> str:
        """The config as a JSON object, as stored beside weights."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Reads `to_json`'s text. Raises `InputError` for anything else, unknown fields included."""
        try:
            if not isinstance(text, str) or len(text) > _MAX_TEXT:
                raise ValueError(f"expected text of at most {_MAX_TEXT} characters")
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"model config: not JSON ({str(error)[:200]})") from None
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or not set(fields) <= known:
            found = sorted(set(fields) - known) if isinstance(fields, dict) else type(fields).__name__
            raise InputError(f"model config: expected an object with fields {sorted(known)}, found {str(found)[:200]}")
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class Memory:
    """How much of a video the recurrent state remembers, the same setting wherever a model runs.

    continuous  all frames from the start of the video on
    reset/N     the state starts afresh at every Nth frame: 1 to N frames, and a jump at each reset. So the released
                system runs (N = 12), and so clips of N frames are trained on.
    overlap/N   two copies of the state, of which one starts afresh at every N/2th frame, in turn. The map of the
                other one is used: N/2 + 1 to N frames (at the start of the video 1 to N/2), and no jumps.
    """

    kind: Literal["continuous", "reset", "overlap"] = "continuous"
    """Which of them."""
    frames: int = 0
    """N, the most frames that a map depends on through the state; 0 for continuous."""

    def __post_init__(self) -> None:
        whole = isinstance(self.frames, int) and not isinstance(self.frames, bool)
        if self.kind == "continuous" and self.frames != 0:
            raise InputError(f"memory: continuous takes no number of frames, found {self.frames!r}")
        if self.kind == "reset" and not (whole and 1 <= self.frames <= MAX_MEMORY):
            raise InputError(f"memory: reset/N needs N from 1 to {MAX_MEMORY}, found {self.frames!r}")
        if self.kind == "overlap" and not (whole and 2 <= self.frames <= MAX_MEMORY and self.frames % 2 == 0):
            raise InputError(f"memory: overlap/N needs an even N from 2 to {MAX_MEMORY}, found {self.frames!r}")

    @classmethod
    def parse(cls, words: str) -> "Memory":
        """The setting in words: `continuous`, `reset/12`, `overlap/12`. Raises `InputError` for anything else."""
        found = re.fullmatch(r"(continuous)|(reset|overlap)/([0-9]{1,5})", str(words))
        if not found:
            raise InputError(f"memory: expected continuous, reset/N or overlap/N such as overlap/12, found {words!r}")
        return cls() if found[1] else cls("reset" if found[2] == "reset" else "overlap", int(found[3]))

    @classmethod
    def chosen(cls, given: "Memory | str | None", trained: "Memory | None", released: bool = False) -> "Memory":
        """The setting to run a model with.

        Args:
          given: what a person asked for, if anything; "reset" and "overlap" alone take N from `trained`.
          trained: what the weights were trained with, where they say so.
          released: whether all is to be as the released system does it, whatever the weights.

        Raises:
          InputError: the words are none of the above, N is to come from weights that do not say it, or the released
            system has another memory than `given`.
        """
        if released:
            if given is not None and cls.chosen(given, RELEASED_MEMORY) != RELEASED_MEMORY:
                raise InputError(
                    f"memory: the released system's is {RELEASED_MEMORY}, found {given}; leave one of them out"
                )
            return RELEASED_MEMORY
        if isinstance(given, Memory):
            return given
        if given in ("reset", "overlap"):
            if trained is None or not trained.frames:
                raise InputError(f"memory: these weights do not say what N they were trained with; give {given}/N")
            return cls(given, trained.frames) if given == "reset" else trained.overlapping()
        if given is not None:
            return cls.parse(given)
        return cls() if trained is None else trained.overlapping()

    def overlapping(self) -> "Memory":
        """The same frames of memory without jumps: overlap/N for reset/N, an odd N lowered by one."""
        even = self.frames // 2 * 2
        return Memory("overlap", even) if self.kind == "reset" and even else self

    @property
    def period(self) -> int:
        """Frames from one start afresh, of any copy, to the next; 0 where there is none."""
        return self.frames // 2 if self.kind == "overlap" else self.frames

    def clip_length(self, at_most: int) -> int:
        """The longest clip, of so many frames or fewer, that clips of one length can have with no start inside one."""
        return next(length for length in range(at_most, 0, -1) if self.period % length == 0)

    def __str__(self) -> str:
        return self.kind if self.kind == "continuous" else f"{self.kind}/{self.frames}"


RELEASED_MEMORY = Memory("reset", CLIP_LENGTH)
"""Of the released system, in training and at work."""

PRESETS = {
    "released": ModelConfig.released,
    "tiny": ModelConfig.tiny,
    "full": ModelConfig.full,
    "full_audio_faces": ModelConfig.full_audio_faces,
    "tiny_full": ModelConfig.tiny_full,
    "tiny_full_audio_faces": ModelConfig.tiny_full_audio_faces,
}
"""Sizes of the model by name. The presets of training are in `configs`."""


def _is_width(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 8192
