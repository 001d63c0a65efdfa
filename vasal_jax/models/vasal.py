"""VASal: the visual-audio saliency model for multiple-face videos (Liu et al., ECCV 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vasal_jax.config import MAP_SIZE, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.models import convlstm
from vasal_jax.models.audio import AudioBranch
from vasal_jax.models.face import FaceBranch, FaceCarry, gaussian_map
from vasal_jax.models.fusion import FusionModule
from vasal_jax.models.visual import VisualBranch


class Carry(NamedTuple):
    """What the model remembers from clip to clip of a video."""

    visual: convlstm.Carry
    face: FaceCarry | None  # None without a face branch


class Features(NamedTuple):
    """What is seen and heard with each frame of a clip, without memory of the frames before."""

    visual: jax.Array  # (B, T, 32, 32, combine[-1])
    audio: jax.Array  # (B, T, 32, 32, 2 * audio[-1])


class VASal(nnx.Module):
    """Visual, audio and face features, fused into a saliency map for every frame."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.visual = VisualBranch(config, rngs=rngs)
        self.audio = AudioBranch(config, rngs=rngs)
        self.fusion = FusionModule(config, rngs=rngs)
        self.face = FaceBranch(config, rngs=rngs) if config.face else None

    def __call__(
        self,
        frames: jax.Array,
        frames_past: jax.Array,
        mel: jax.Array,
        face_map: jax.Array | None = None,
        *,
        face_crops: jax.Array | None = None,
        face_boxes: jax.Array | None = None,
        face_mask: jax.Array | None = None,
        carry: Carry | None = None,
        taps: dict[str, jax.Array] | None = None,
    ) -> tuple[jax.Array, Carry]:
        """Saliency logits of a clip.

        With a face branch in the config the model makes its face map itself, from crops, boxes and mask; without one
        it takes `face_map`. What it does not take may be given all the same and is not looked at.

        Args:
          frames: (B, T, 256, 256, 3), RGB minus its mean, 0..255 scale.
          frames_past: the same, of the frame 5 earlier.
          mel: (B, T, 16, 64, 64, 1), the log-mel pictures around each frame, 0..255.
          face_map: (B, T, 32, 32, 1), where the faces are, -14.9..240.1; zeros where there are none.
          face_crops: (B, T, N, 64, 64, 3), RGB minus its mean, 0..255 scale; a face keeps its slot of the N over time.
          face_boxes: (B, T, N, 4), x1, y1, x2, y2 in 0..1 of the picture.
          face_mask: bool (B, T, N), False where a slot holds no face; N may be 0.
          carry: what the call on the clip before returned, to go on with its video; None starts afresh.
          taps: a dict in which stages leave their outputs, (B*T, ...), for parity checks. A face branch leaves
            `face_logits` (B, T, N+1), -inf where masked, "no face" last, whose softmax weighs the faces, and
            `talking_logits` (B, T, N).

        Returns:
          Logits (B, T, 32, 32), float32, and the carry. `saliency` turns logits into maps.

        Raises:
          InputError: the face inputs that the config asks for are missing, or the carry has another number of slots.
        """
        faces = {"face_map": face_map, "face_crops": face_crops, "face_boxes": face_boxes, "face_mask": face_mask}
        return self.logits(self.features(frames, frames_past, mel, taps), mel, **faces, carry=carry, taps=taps)

    def features(
        self, frames: jax.Array, frames_past: jax.Array, mel: jax.Array, taps: dict[str, jax.Array] | None = None
    ) -> Features:
        """The first part of a call, most of its arithmetic, which a clip can have before the clips before it."""
        return Features(self.visual(frames, frames_past, taps), self.audio(mel, taps))

    def logits(
        self,
        features: Features,
        mel: jax.Array,
        face_map: jax.Array | None = None,
        *,
        face_crops: jax.Array | None = None,
        face_boxes: jax.Array | None = None,
        face_mask: jax.Array | None = None,
        carry: Carry | None = None,
        taps: dict[str, jax.Array] | None = None,
    ) -> tuple[jax.Array, Carry]:
        """The second part of a call, with its arguments: from `features` of the clip to logits and carry."""
        visual_carry, face_carry = (None, None) if carry is None else carry
        faces = {"face_crops": face_crops, "face_boxes": face_boxes, "face_mask": face_mask}
        _check_faces(self.face, face_carry, face_map, **faces)
        visual, visual_carry = self.visual.over_time(features.visual, visual_carry, taps)
        audio = features.audio
        if self.face is not None:
            weights, face_carry = self.face(face_crops, face_boxes, face_mask, audio, mel, face_carry)
            shares = jax.nn.softmax(weights.logits)[..., :-1]
            face_map = gaussian_map(face_boxes, face_mask, shares)[..., None]
            if taps is not None:
                taps |= {"face_logits": weights.logits, "talking_logits": weights.talking}
        return self.fusion(visual, audio, face_map), Carry(visual_carry, face_carry)

    def initial_carry(self, batch: int, faces: int = 0) -> Carry:
        """The carry at the start of a video: zeros.

        For h and c of each ConvLSTM cell (batch, 32, 32, hidden), for each of `faces` slots what the face branch has.
        """
        shapes = [(batch, MAP_SIZE, MAP_SIZE, hidden) for hidden in self.config.lstm]
        visual = tuple((jnp.zeros(s, self.config.dtype), jnp.zeros(s, self.config.dtype)) for s in shapes)
        return Carry(visual, None if self.face is None else self.face.initial_carry(batch, faces))


def saliency(logits: jax.Array) -> jax.Array:
    """Softmax over each map: logits (..., H, W) to probabilities of the same shape, each map summing to 1."""
    flat = jax.nn.softmax(logits.reshape(*logits.shape[:-2], -1), axis=-1)
    return flat.reshape(logits.shape)


def _check_faces(branch: FaceBranch | None, carry: FaceCarry | None, face_map, **faces: jax.Array | None) -> None:
    """Raises `InputError` unless there is what the model makes its face features of."""
    expected = {"face_map": face_map} if branch is None else faces
    missing = [name for name, array in expected.items() if array is None]
    if missing:
        kind = "without" if branch is None else "with"
        raise InputError(f"VASal {kind} a face branch expects {', '.join(expected)}, found no {', '.join(missing)}")
    if carry is not None and carry.seen.shape[-1] != faces["face_mask"].shape[-1]:
        raise InputError(
            f"face_mask: expected the {carry.seen.shape[-1]} face slots of the carry, found "
            f"{faces['face_mask'].shape[-1]}; keep their number over a video, begin with initial_carry(batch, slots)"
        )
