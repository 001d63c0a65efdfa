"""VASal: the visual-audio saliency model for multiple-face videos (Liu et al., ECCV 2020)."""

import jax
import jax.numpy as jnp
from flax import nnx

from vasal_jax.models.audio import AudioBranch
from vasal_jax.models.config import MAP_SIZE, ModelConfig
from vasal_jax.models.convlstm import Carry
from vasal_jax.models.fusion import FusionModule
from vasal_jax.models.visual import VisualBranch


class VASal(nnx.Module):
    """Visual, audio and face features, fused into a saliency map for every frame."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.visual = VisualBranch(config, rngs=rngs)
        self.audio = AudioBranch(config, rngs=rngs)
        self.fusion = FusionModule(config, rngs=rngs)

    def __call__(
        self,
        frames: jax.Array,
        frames_past: jax.Array,
        mel: jax.Array,
        face_map: jax.Array,
        carry: Carry | None = None,
        taps: dict[str, jax.Array] | None = None,
    ) -> tuple[jax.Array, Carry]:
        """Saliency logits of a clip.

        Args:
          frames: (B, T, 256, 256, 3), RGB minus its mean, 0..255 scale.
          frames_past: the same, of the frame 5 earlier.
          mel: (B, T, 16, 64, 64, 1), the log-mel pictures around each frame, 0..255.
          face_map: (B, T, 32, 32, 1), where the faces are, -14.9..240.1; zeros where there are none.
          carry: what the call on the clip before returned, to go on with its video; None starts afresh.
          taps: a dict in which stages leave their outputs, (B*T, ...), for parity checks.

        Returns:
          Logits (B, T, 32, 32), float32, and the carry. `saliency` turns logits into maps.
        """
        visual, carry = self.visual(frames, frames_past, carry, taps)
        return self.fusion(visual, self.audio(mel, taps), face_map), carry

    def initial_carry(self, batch: int) -> Carry:
        """The carry at the start of a video: zeros, (batch, 32, 32, hidden) for h and c of each ConvLSTM cell."""
        shapes = [(batch, MAP_SIZE, MAP_SIZE, hidden) for hidden in self.config.lstm]
        return tuple((jnp.zeros(s, self.config.dtype), jnp.zeros(s, self.config.dtype)) for s in shapes)


def saliency(logits: jax.Array) -> jax.Array:
    """Softmax over each map: logits (..., H, W) to probabilities of the same shape, each map summing to 1."""
    flat = jax.nn.softmax(logits.reshape(*logits.shape[:-2], -1), axis=-1)
    return flat.reshape(logits.shape)
