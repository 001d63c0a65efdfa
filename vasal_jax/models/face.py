"""Face branch: how much each face draws the gaze, and the face map made of it.

The release lacks it. The figure of the paper gives its shape: a CNN on every face, an LSTM over time with weights
that all faces share, a fusion across the faces, one weight a face, and a mixture of Gaussians that enters the fusion
module. Sizes, inputs and everything else below are this project's own design:

- A face's features keep their places on the crop, so that a mouth is told from an eye, and how they changed since
  the frame before is fed beside them, enlarged: that leaves out who it is and leaves what moves.
- With `config.face_audio` (the figure has no such thing) a description of the sound is multiplied with one of the
  face. A mouth that moves with the sound gives products of one sign, one that moves without it gives either, and
  the LSTM has but to add them up.
- Beside the faces stands a share for "no face": gaze that no face draws.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Bool, Float

from vasal_jax.config import (
    CROP_SIZE,
    MAP_MEAN,
    MAP_SIZE,
    MEL_SIZE,
    MEL_STEPS,
    MIN_SIGMA,
    SIGMA_SCALE,
    ModelConfig,
)
from vasal_jax.models.layers import Conv, at_least_float32, bias_of
from vasal_jax.ops import Array, map_frames, max_pool, scan_steps

# Inputs of about unit variance: with the changes and the sound left at their own scales, the branch did not learn who
# speaks in twice the time.
CROP_SCALE = 64.0  # about the standard deviation of crops
MEL_MEAN, MEL_SCALE = 107.0, 51.0  # of log-mel pictures of speech
CHANGE_SCALE = 8.0  # a frame's features differ from those of the frame before by about an eighth of theirs
CELL = 4  # mel bands, and columns of 7 ms, that are averaged in the sound of a frame


class FaceCarry(NamedTuple):
    """What the branch remembers of every face slot from frame to frame; zeros for slots without a face."""

    h: jax.Array  # (B, N, hidden), of the LSTM, in the compute type
    c: jax.Array  # the same, float32
    features: jax.Array  # (B, N, features) of the frame before, in the compute type
    seen: Array  # bool (B, N), whether the frame before had the face


class FaceLogits(NamedTuple):
    """The logits that the branch gives to the faces, float32.

    `VASal.from_features` takes the softmax of `weights` for the face map, `prediction.inference.clip_results` for the
    face weights that predictions and evaluations report, `training.losses.sums` for the loss.
    """

    weights: jax.Array  # (B, T, N+1), -inf for masked faces, "no face" last; their softmax is the faces' weights
    talking: jax.Array  # (B, T, N), logit of each face talking; 0 for masked faces


class FaceBranch(nnx.Module):
    """Weighs the faces of every frame against each other; any number of faces, in any order."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        def conv(inputs: int, outputs: int) -> Conv:
            return Conv((3, 3), inputs, outputs, dtype=config.dtype, rngs=rngs)

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, dtype=config.dtype, rngs=rngs)

        *channels, features, hidden = config.face
        self.conv1 = conv(3, channels[0])
        self.conv2 = conv(channels[0], channels[1])
        self.conv3 = conv(channels[1], channels[2])
        self.features = linear((CROP_SIZE // 8) ** 2 * channels[2], features)
        inputs, common = 2 * features + 4, config.face_audio
        self.hears = common > 0
        if self.hears:
            self.sound = linear(2 * config.audio[-1] + (MEL_SIZE // CELL) ** 2, common)
            self.look = linear(2 * features, common)
            inputs += 2 * common
        self.lstm_input = linear(inputs, 4 * hidden)
        self.lstm_recurrent = nnx.Linear(hidden, 4 * hidden, use_bias=False, dtype=config.dtype, rngs=rngs)
        # A forget gate that starts open, as in the ConvLSTM.
        bias = bias_of(self.lstm_input)
        bias[...] = bias[...].at[hidden : 2 * hidden].set(1.0)
        self.own, self.everyone = linear(hidden, hidden), linear(hidden, hidden)
        head = partial(nnx.Linear, hidden, 1, dtype=at_least_float32(config.dtype), rngs=rngs)
        self.weight, self.talking, self.none = head(), head(), head()
        # A fresh branch weighs all faces about the same and leaves little to "no face", so that its map is about the
        # ready-made one, which the released fusion knows.
        for head in (self.weight, self.none):
            head.kernel[...] = 0.1 * head.kernel[...]
        bias_of(self.none)[...] -= 3.0
        self.sizes = features, hidden
        self.dtype, self.cell_dtype = jnp.dtype(config.dtype), jnp.dtype(at_least_float32(config.dtype))

    def __call__(
        self,
        crops: Float[Array, "b t n 64 64 3"],
        boxes: Float[Array, "b t n 4"],
        mask: Bool[Array, "b t n"],
        audio: Float[Array, "b t 32 32 c"] | None = None,
        mel: Float[Array, "b t 16 64 64 1"] | None = None,
        carry: FaceCarry | None = None,
    ) -> tuple[FaceLogits, FaceCarry]:
        """Computes a logit of the weight of each face, of "no face", and of each face talking, for a clip.

        What lies under a False of the mask has no effect, whatever it is. A slot's memory ends where the mask does.

        Args:
          crops: (B, T, N, 64, 64, 3), RGB minus its mean, 0..255 scale.
          boxes: (B, T, N, 4), x1, y1, x2, y2 in 0..1.
          mask: bool (B, T, N).
          audio: (B, T, 32, 32, C), features of the audio branch; used with `config.face_audio`, as is `mel`.
          mel: (B, T, 16, 64, 64, 1), log-mel pictures in 0..255.
          carry: what the call on the clip before returned; None starts afresh.
        """
        batch, steps, faces = mask.shape
        if carry is None:
            carry = self.initial_carry(batch, faces)
        present = mask[..., None]
        crops = jnp.where(present[..., None, None], crops, 0).reshape(batch * steps, faces, *crops.shape[3:])
        look = map_frames(FaceBranch._of_frame, self, crops).reshape(batch, steps, faces, self.sizes[0])
        before = jnp.concatenate([carry.features[:, None].astype(look.dtype), look[:, :-1]], axis=1)
        seen = jnp.concatenate([carry.seen[:, None], mask[:, :-1]], axis=1)[..., None]
        kept = jnp.where(present[:, -1], look[:, -1], 0)
        look = jnp.concatenate([look, jnp.where(seen, CHANGE_SCALE * (look - before), 0)], axis=-1)
        inputs = [look, _places(jnp.where(present, boxes, 0)).astype(look.dtype)]
        if self.hears:
            assert audio is not None
            assert mel is not None
            sound = self._sound(audio, mel)[:, :, None]
            inputs += [sound * self.look(look), jnp.broadcast_to(sound, (*mask.shape, sound.shape[-1]))]
        h, (last_h, last_c) = self._remember(self.lstm_input(jnp.concatenate(inputs, -1)), present, carry)
        return self._weigh(h, mask), FaceCarry(last_h, last_c, kept, mask[:, -1])

    def initial_carry(self, batch: int, faces: int) -> FaceCarry:
        """The carry of `faces` slots at the start of a video."""
        features, h = (jnp.zeros((batch, faces, size), self.dtype) for size in self.sizes)
        return FaceCarry(h, h.astype(self.cell_dtype), features, jnp.zeros((batch, faces), bool))

    def _of_frame(self, crops: Float[Array, "f n 64 64 3"]) -> Float[jax.Array, "f n features"]:
        """Crops of the faces of frames, (F, N, 64, 64, 3), to their features (F, N, features)."""
        x = crops.reshape(-1, *crops.shape[2:]) / CROP_SCALE
        for conv in (self.conv1, self.conv2, self.conv3):
            x = max_pool(jax.nn.relu(conv(x)), (2, 2))
        return self.features(x.reshape(*crops.shape[:2], self.features.in_features))  # -1 fails without faces

    def _sound(
        self, audio: Float[Array, "b t 32 32 c"], mel: Float[Array, "b t 16 64 64 1"]
    ) -> Float[jax.Array, "b t face_audio"]:
        """(B, T, face_audio): what is heard around a frame, and in fine time the quarter of a second before and after.

        The audio branch has blurred the time by which lips are read, so the frame's own log-mel picture is looked at
        directly, in cells of 29 ms.
        """
        heard = jnp.mean(audio, (2, 3))
        heard = heard * lax.rsqrt(jnp.mean(heard**2, -1, keepdims=True) + 1)  # its scale depends on its weights
        picture = (mel[:, :, MEL_STEPS // 2, :, :, 0] - MEL_MEAN) / MEL_SCALE
        cells = MEL_SIZE // CELL
        picture = picture.reshape(*picture.shape[:2], cells, CELL, cells, CELL).mean((3, 5))
        picture = picture.reshape(*picture.shape[:2], -1).astype(heard.dtype)
        return self.sound(jnp.concatenate([heard, picture], -1))

    def _remember(
        self, gates: Array, present: Array, carry: FaceCarry
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """The LSTM of every face: gates' input half (B, T, N, 4H), present (B, T, N, 1) to h (B, T, N, H), state."""

        def step(state, now):
            h, c = state
            gates, present = now
            i, f, g, o = jnp.split((gates + self.lstm_recurrent(h)).astype(c.dtype), 4, axis=-1)
            c = jnp.where(present, lax.logistic(f) * c + lax.logistic(i) * jnp.tanh(g), 0)
            h = (lax.logistic(o) * jnp.tanh(c)).astype(h.dtype)  # 0 where c is
            return (h, c), h

        state = (carry.h.astype(self.dtype), carry.c.astype(self.cell_dtype))
        state, h = scan_steps(step, state, (gates.swapaxes(0, 1), present.swapaxes(0, 1)))
        return h.swapaxes(0, 1), state

    def _weigh(self, h: Float[jax.Array, "b t n c"], mask: Bool[Array, "b t n"]) -> FaceLogits:
        """Computes the logits of the frames' faces from h of `_remember`: each face is compared with the mean face."""
        x = jax.nn.relu(self.own(h) + self.everyone(_mean_face(h, mask)))
        none = self.none(_mean_face(x, mask))[..., 0]
        weight, talking = (head(x)[..., 0].astype(jnp.float32) for head in (self.weight, self.talking))
        logits = jnp.concatenate([jnp.where(mask, weight, -jnp.inf), none.astype(jnp.float32)], axis=-1)
        return FaceLogits(logits, jnp.where(mask, talking, 0))


def gaussian_map(
    boxes: Float[Array, "*b n 4"],
    mask: Bool[Array, "*b n"],
    weights: Float[Array, "*b n"],
    sigma_scale: float = SIGMA_SCALE,
) -> Float[jax.Array, "*b 32 32"]:
    """Renders weighted faces as the face map that the fusion module expects, differentiably.

    The mixture of one axis-aligned Gaussian a face is scaled to -14.9..240.1, as ready-made maps are
    (`inputs.faces.gaussian_mixture` and `normalise_face_map`; for weights that sum to 1 the results are equal). That
    leaves only the proportions of the weights. Their sum is the share of gaze that faces draw; the whole map is
    multiplied by it and so lies between the ready-made map of the faces and that of a frame without faces, zeros.

    Args:
      boxes: (..., N, 4), x1, y1, x2, y2 in 0..1.
      mask: bool (..., N); what is masked has no effect.
      weights: (..., N), not negative, summing to at most 1 over the mask; what is left is "no face".
      sigma_scale: standard deviation in box widths and heights.

    Returns:
      float32 (..., 32, 32); zeros without faces. Values and gradients are finite in any case.
    """
    boxes = jnp.where(mask[..., None], boxes, 0)
    weights = jnp.where(mask, weights, 0)
    cells = (jnp.arange(MAP_SIZE) + 0.5) / MAP_SIZE

    def bells(low: Array, high: Array) -> jax.Array:
        sigma = jnp.maximum(sigma_scale * (high - low), MIN_SIGMA)[..., None]
        offsets = cells - ((low + high) / 2)[..., None]
        return jnp.exp(-0.5 * (offsets / sigma) ** 2) / (jnp.sqrt(2 * jnp.pi) * sigma)

    columns, rows = bells(boxes[..., 0], boxes[..., 2]), bells(boxes[..., 1], boxes[..., 3])
    share = weights.sum(-1)[..., None, None]
    # Where faces have a share at all the span is above 0.1; the limits are for gradients where they have next to none.
    mixture = jnp.einsum("...n,...nh,...nw->...hw", weights, rows, columns) / jnp.maximum(share, 1e-12)
    mixture = mixture - mixture.min((-2, -1), keepdims=True)
    span = jnp.maximum(mixture.max((-2, -1), keepdims=True), 1e-3)
    return share * (mixture / span * 255 - MAP_MEAN)


def _mean_face(x: Float[Array, "b t n c"], mask: Bool[Array, "b t n"]) -> Float[jax.Array, "b t 1 c"]:
    """Mean of (B, T, N, C) over the faces of the mask, (B, T, 1, C); zeros without any."""
    count = jnp.maximum(mask.sum(-1), 1)[..., None, None].astype(x.dtype)
    return jnp.where(mask[..., None], x, 0).sum(2, keepdims=True) / count


def _places(boxes: Float[Array, "*b 4"]) -> Float[jax.Array, "*b 4"]:
    """Boxes (..., 4) to centre (-1..1) and twice the size (0..2)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return jnp.concatenate([low + high - 1, 2 * (high - low)], axis=-1)
