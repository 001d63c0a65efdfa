"""Visual branch: what the frame shows (texture), how it changed (motion), and a ConvLSTM over both."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from vasal_jax.config import ModelConfig
from vasal_jax.models.convlstm import ConvLSTM, LSTMCarry
from vasal_jax.models.layers import Conv, ConvTranspose
from vasal_jax.ops import Array, map_frames, max_pool

Stages = dict[str, jax.Array]


class VisualBranch(nnx.Module):
    """Texture path (the first layers of VGG-16), motion path over a pair of frames, and a stacked ConvLSTM."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        def conv(size: int, inputs: int, outputs: int, stride: int = 1) -> Conv:
            return Conv((size, size), inputs, outputs, stride=stride, dtype=config.dtype, rngs=rngs)

        t, m, c = config.texture, config.motion, config.combine
        self.conv1_1 = conv(3, 3, t[0])
        self.conv1_2 = conv(3, t[0], t[1])
        self.conv2_1 = conv(3, t[1], t[2])
        self.conv2_2 = conv(3, t[2], t[3])
        self.conv3_1 = conv(3, t[3], t[4])
        self.conv4_1 = conv(3, t[4], t[5])
        self.flow1 = conv(7, 6, m[0], stride=2)
        self.flow2 = conv(5, m[0], m[1], stride=2)
        self.flow3 = conv(5, m[1], m[2], stride=2)
        self.flow_up = ConvTranspose(m[2], m[3], dtype=config.dtype, rngs=rngs)
        self.combine1 = conv(3, m[3] + t[5], c[0])
        self.combine2 = conv(3, c[0], c[1])
        self.combine3 = conv(3, c[1], c[2])
        self.lstm = ConvLSTM(c[2], config.lstm, dtype=config.dtype, rngs=rngs)

    def __call__(
        self,
        frames: Float[Array, "b t 256 256 3"],
        frames_past: Float[Array, "b t 256 256 3"],
        stages: Stages | None = None,
    ) -> Float[jax.Array, "b t 32 32 c"]:
        """Features of every frame, without memory.

        Args:
          frames: (B, T, 256, 256, 3), RGB minus its mean, 0..255 scale.
          frames_past: the same, 5 frames earlier.
          stages: where to leave the layers' outputs by name, for parity checks.

        Returns:
          (B, T, 32, 32, combine[-1]).
        """
        batch, steps = frames.shape[:2]
        now, past = (x.reshape(batch * steps, *x.shape[2:]) for x in (frames, frames_past))
        found = map_frames(VisualBranch._of_frame, self, now, past)
        if stages is not None:
            stages |= found
        x = jax.nn.relu(found["combine_preact"])
        return x.reshape(batch, steps, *x.shape[1:])

    def remember(
        self, x: Float[Array, "b t 32 32 c"], carry: LSTMCarry | None, stages: Stages | None = None
    ) -> tuple[Float[jax.Array, "b t 32 32 h"], LSTMCarry]:
        """Features with memory of the frames before.

        Args:
          x: (B, T, 32, 32, combine[-1]), what the call gave.
          carry: the ConvLSTM's state after the clip before; None starts from zeros.
          stages: as in the call.

        Returns:
          (B, T, 32, 32, lstm[-1]) and the carry after the last frame.
        """
        x, carry = self.lstm(x, carry)
        if stages is not None:
            stages["convlstm"] = x.reshape(-1, *x.shape[2:])
        return x, carry

    def _of_frame(self, now: Array, past: Array) -> dict[str, jax.Array]:
        """What needs no memory: two (N, 256, 256, 3) to stages by name, (N, 32, 32, C)."""
        texture = self._texture(now)
        motion = self._motion(past, now)
        x = jnp.concatenate([motion, jax.nn.relu(texture)], axis=-1)
        x = jax.nn.relu(self.combine1(x))
        x = jax.nn.relu(self.combine2(x))
        return {"object_conv4_preact": texture, "motion": motion, "combine_preact": self.combine3(x)}

    def _texture(self, x: Float[Array, "n 256 256 3"]) -> Float[jax.Array, "n 32 32 c"]:
        """(N, 256, 256, 3) to (N, 32, 32, texture[-1]), before the last activation."""
        x = jax.nn.relu(self.conv1_1(x))
        x = self.conv1_2.pooled(x)
        x = jax.nn.relu(self.conv2_1(x))
        x = self.conv2_2.pooled(x)
        x = self.conv3_1.pooled(x)
        return self.conv4_1(x)

    def _motion(
        self, past: Float[Array, "n 256 256 3"], now: Float[Array, "n 256 256 3"]
    ) -> Float[jax.Array, "n 32 32 c"]:
        """Two (N, 256, 256, 3) to (N, 32, 32, motion[-1])."""
        x = jnp.concatenate([past, now], axis=-1)
        for layer in (self.flow1, self.flow2, self.flow3):
            x = _leaky_relu(layer(x))
        return _leaky_relu(self.flow_up(max_pool(x, (2, 2))))


def _leaky_relu(x: jax.Array) -> jax.Array:
    return jax.nn.leaky_relu(x, 0.1)
