"""VASal: the visual-audio saliency model for multiple-face videos (Liu et al., ECCV 2020)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from vasal_jax.config import MAP_SIZE, Memory, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.models.audio import AudioBranch
from vasal_jax.models.convlstm import LSTMCarry
from vasal_jax.models.face import FaceBranch, FaceCarry, FaceLogits, gaussian_map
from vasal_jax.models.fusion import FusionModule
from vasal_jax.models.visual import VisualBranch
from vasal_jax.ops import Array


class Carry(NamedTuple):
    """What the model remembers from clip to clip of a video."""

    visual: LSTMCarry
    face: FaceCarry | None  # None without a face branch


class Features(NamedTuple):
    """What is seen and heard with each frame of a clip, without memory of the frames before."""

    visual: jax.Array  # (B, T, 32, 32, combine[-1])
    audio: jax.Array  # (B, T, 32, 32, 2 * audio[-1])


class FaceInputs(NamedTuple):
    """The faces of a clip: `map` for a model without a face branch, the others for one with it.

    What a model does not take may be given all the same: it is not read.
    """

    map: Float[Array, "b t 32 32 1"] | None = None
    """float32 (B, T, 32, 32, 1), where the faces are, -14.9..240.1; zeros where there are none."""
    crops: Float[Array, "b t n 64 64 3"] | None = None
    """float32 (B, T, N, 64, 64, 3), RGB minus its mean, 0..255 scale; a face keeps its slot of the N over time."""
    boxes: Float[Array, "b t n 4"] | None = None
    """float32 (B, T, N, 4), x1, y1, x2, y2 in 0..1 of the picture."""
    mask: Bool[Array, "b t n"] | None = None
    """bool (B, T, N), False where a slot holds no face; N may be 0."""

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> "FaceInputs":
        """From a `Batch`: its `face_map`, `face_crops`, `face_boxes` and `face_mask`, as far as it has them."""
        return cls(*(batch.get(f"face_{name}") for name in cls._fields))


class ModelOutput(NamedTuple):
    """What a model says about a clip."""

    saliency_logits: jax.Array  # float32 (B, T, 32, 32); `saliency` turns them into maps
    faces: FaceLogits | None  # None without a face branch
    carry: Carry  # for the call on the next clip of the video


class VASal(nnx.Module):
    """Visual, audio and face features, fused into a saliency map for every frame."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.memory: Memory | None = None  # what the weights were trained with; None where it is not known
        self.visual = VisualBranch(config, rngs=rngs)
        self.audio = AudioBranch(config, rngs=rngs)
        self.fusion = FusionModule(config, rngs=rngs)
        self.face = FaceBranch(config, rngs=rngs) if config.face else None

    def __call__(
        self,
        frames: Float[Array, "b t 256 256 3"],
        frames_past: Float[Array, "b t 256 256 3"],
        mel: Float[Array, "b t 16 64 64 1"],
        faces: FaceInputs,
        *,
        carry: Carry | None = None,
        stages: dict[str, jax.Array] | None = None,
    ) -> ModelOutput:
        """Runs the model on one clip each of B videos.

        A model with a face branch makes its face map itself, from the crops, boxes and mask of `faces`; one without
        takes their map.

        Args:
          frames: float32 (B, T, 256, 256, 3), RGB minus its mean, 0..255 scale.
          frames_past: the same, of the frame 5 earlier.
          mel: float32 (B, T, 16, 64, 64, 1), the log-mel pictures around each frame, 0..255.
          faces: of the same frames.
          carry: of the output for the clip before, to go on with its video; None starts afresh.
          stages: a dict in which layers leave their outputs, (B*T, ...), by name; for parity checks.

        Raises:
          InputError: the face inputs that the config asks for are missing, or the carry has another number of slots.
        """
        return self.from_features(self.features(frames, frames_past, mel, stages), mel, faces, carry, stages)

    def features(
        self,
        frames: Float[Array, "b t 256 256 3"],
        frames_past: Float[Array, "b t 256 256 3"],
        mel: Float[Array, "b t 16 64 64 1"],
        stages: dict[str, jax.Array] | None = None,
    ) -> Features:
        """The first part of a call, most of its arithmetic, which a clip can have before the clips before it."""
        return Features(self.visual(frames, frames_past, stages), self.audio(mel, stages))

    def from_features(
        self,
        features: Features,
        mel: Float[Array, "b t 16 64 64 1"],
        faces: FaceInputs,
        carry: Carry | None = None,
        stages: dict[str, jax.Array] | None = None,
    ) -> ModelOutput:
        """The second part of a call, from `features` of the clip on."""
        visual_carry, face_carry = (None, None) if carry is None else carry
        visual, visual_carry = self.visual.remember(features.visual, visual_carry, stages)
        weighed = None
        if self.face is None:
            (face_map,) = _given(faces, "map")
        else:
            crops, boxes, mask = _given(faces, "crops", "boxes", "mask")
            _check_slots(face_carry, mask)
            weighed, face_carry = self.face(crops, boxes, mask, features.audio, mel, face_carry)
            face_map = gaussian_map(boxes, mask, jax.nn.softmax(weighed.weights)[..., :-1])[..., None]
        logits = self.fusion(visual, features.audio, face_map)
        return ModelOutput(logits, weighed, Carry(visual_carry, face_carry))

    def initial_carry(self, batch: int, faces: int = 0) -> Carry:
        """The carry at the start of `batch` videos, with `faces` slots for a face branch: zeros."""
        visual = self.visual.lstm.initial_carry(batch, MAP_SIZE, MAP_SIZE)
        return Carry(visual, None if self.face is None else self.face.initial_carry(batch, faces))


def carry_of_zeros(make: Callable[[], Carry]) -> Carry:
    """The carry at the start of videos that `make` would give, as NumPy's zeros: nothing is computed or compiled."""
    return jax.tree.map(lambda array: np.zeros(array.shape, array.dtype), jax.eval_shape(make))


def saliency(logits: Float[Array, "*b h w"]) -> Float[jax.Array, "*b h w"]:
    """Softmax over each map: logits (..., H, W) to probabilities of the same shape, each map summing to 1."""
    flat = jax.nn.softmax(logits.reshape(*logits.shape[:-2], -1), axis=-1)
    return flat.reshape(logits.shape)


def _given(faces: FaceInputs, *names: str) -> list[Array]:
    """The inputs that the model makes its face features of. Raises `InputError` for one that is missing."""
    found: dict[str, Array | None] = {f"face_{name}": getattr(faces, name) for name in names}
    if missing := [name for name, array in found.items() if array is None]:
        kind = "without" if names == ("map",) else "with"
        raise InputError(f"VASal {kind} a face branch expects {', '.join(found)}, found no {', '.join(missing)}")
    return [array for array in found.values() if array is not None]


def _check_slots(carry: FaceCarry | None, mask: Array) -> None:
    """Raises `InputError` for another number of face slots than the carry's."""
    if carry is not None and carry.seen.shape[-1] != mask.shape[-1]:
        raise InputError(
            f"face_mask: expected the {carry.seen.shape[-1]} face slots of the carry, found {mask.shape[-1]}; "
            "keep their number over a video, begin with initial_carry(batch, slots)"
        )
