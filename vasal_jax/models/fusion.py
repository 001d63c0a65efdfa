"""Fusion module: visual, audio and face features joined into one saliency map."""

import operator
from functools import reduce

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from vasal_jax.config import ModelConfig
from vasal_jax.models.layers import Conv, at_least_float32, bias_of
from vasal_jax.ops import Array, conv2d


class FusionModule(nnx.Module):
    """Each sense is projected, the projections summed, and each sense is then read again beside that sum."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        def conv(inputs: int) -> Conv:
            return Conv((3, 3), inputs, width, dtype=config.dtype, rngs=rngs)

        width = config.fusion
        visual, audio, face = config.lstm[-1], 2 * config.audio[-1], 1
        self.visual1, self.audio1, self.face1 = conv(visual), conv(audio), conv(face)
        self.visual2, self.audio2, self.face2 = conv(width + visual), conv(width + audio), conv(width + face)
        self.head = Conv((1, 1), 3 * width, 1, dtype=at_least_float32(config.dtype), rngs=rngs)
        # Mel pictures and face maps enter at 0..255, so a full-size head would start training from a saturated softmax.
        self.head.kernel[...] = 0.01 * self.head.kernel[...]

    def __call__(
        self, visual: Float[Array, "b t h w v"], audio: Float[Array, "b t h w a"], face: Float[Array, "b t h w 1"]
    ) -> Float[jax.Array, "b t h w"]:
        """Maps features (B, T, 32, 32, C) of the three senses to logits (B, T, 32, 32), float32."""
        batch, steps, height, width, _ = visual.shape
        firsts = (self.visual1, self.audio1, self.face1)
        seconds = (self.visual2, self.audio2, self.face2)
        # The second convolution of a sense reads [sum, sense]. A convolution of a concatenation is the sum of the
        # convolutions of its parts, so no concatenation is made: the part over the sense joins its first
        # convolution, and the parts over the sum are one convolution for all three.
        projections, own = [], []
        for x, first, second in zip((visual, audio, face), firsts, seconds, strict=True):
            x = x.reshape(-1, height, width, x.shape[-1]).astype(first.dtype)
            projected, part = jnp.split(_conv(x, first.kernel[...], second.kernel[:, :, -x.shape[-1] :]), 2, axis=-1)
            projections.append(jax.nn.relu(projected + bias_of(first)[...].astype(x.dtype)))
            own.append(part + bias_of(second)[...].astype(x.dtype))
        total = reduce(operator.add, projections)
        shared = _conv(total, *(second.kernel[:, :, : total.shape[-1]] for second in seconds))
        logits = self.head(jax.nn.relu(shared + jnp.concatenate(own, axis=-1)))
        return logits.reshape(batch, steps, height, width).astype(jnp.float32)


def _conv(x: Array, *kernels: Array) -> jax.Array:
    """One convolution of x with several kernels, their outputs side by side."""
    kernel = jnp.concatenate(kernels, axis=-1)
    return conv2d(x, kernel.astype(x.dtype))
