"""Audio branch: 3-D convolutions over a window of log-mel pictures."""

import jax
from flax import nnx
from jaxtyping import Float

from vasal_jax.config import ModelConfig
from vasal_jax.models.layers import Conv
from vasal_jax.ops import Array, map_frames, max_pool


class AudioBranch(nnx.Module):
    """Four 3-D convolutions with pooling; 16 log-mel pictures become one 32x32 feature map."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        def conv(inputs: int, outputs: int) -> Conv:
            return Conv((3, 3, 3), inputs, outputs, dtype=config.dtype, rngs=rngs)

        a = config.audio
        self.conv1 = conv(1, a[0])
        self.conv2a = conv(a[0], a[1])
        self.conv2b = conv(a[1], a[2])
        self.conv3 = conv(a[2], a[3])

    def __call__(
        self, mel: Float[Array, "b t 16 64 64 1"], stages: dict[str, jax.Array] | None = None
    ) -> Float[jax.Array, "b t 32 32 c"]:
        """Features of the sound around every frame.

        Args:
          mel: (B, T, 16, 64, 64, 1), log-mel pictures in 0..255.
          stages: where to leave the last layer's output before its activation, for parity checks.

        Returns:
          (B, T, 32, 32, 2C): the channels of the two remaining time steps, channel * 2 + step.
        """
        batch, steps = mel.shape[:2]
        x = map_frames(AudioBranch._of_frame, self, mel.reshape(batch * steps, *mel.shape[2:]))
        if stages is not None:
            stages["audio_conv3_preact"] = x
        x = max_pool(jax.nn.relu(x), (2, 1, 1))
        _, depth, height, width, channels = x.shape
        x = x.transpose(0, 2, 3, 4, 1)
        return x.reshape(batch, steps, height, width, channels * depth)

    def _of_frame(self, x: Float[Array, "n 16 64 64 1"]) -> Float[jax.Array, "n 4 32 32 c"]:
        """(N, 16, 64, 64, 1) to (N, 4, 32, 32, audio[-1]), before the last activation."""
        x = max_pool(jax.nn.relu(self.conv1(x)), (2, 2, 2))
        x = jax.nn.relu(self.conv2a(x))
        x = max_pool(jax.nn.relu(self.conv2b(x)), (2, 1, 1))
        return self.conv3(x)
