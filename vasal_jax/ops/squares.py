"""Pictures as squares of 2x2 pixels: how they are cut, joined, and which pixel of a square is the largest."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num, UInt8

Array = jax.Array | np.ndarray
"""What the operations take: arrays of JAX, and NumPy's outside of a compiled program."""


def pixels_of_squares(x: Num[Array, "n h w c"]) -> list[Num[Array, "n h//2 w//2 c"]]:
    """The four pixels of every square of (N, H, W, C), H and W even, row by row: (N, H/2, W/2, C) each."""
    return [x[:, i::2, j::2] for i in range(2) for j in range(2)]


def join_pixels(rows: Sequence[Sequence[Num[Array, "*n h w c"]]]) -> Num[jax.Array, "*n 2*h 2*w c"]:
    """The picture (..., 2H, 2W, C) whose squares have the pixels of 2x2 arrays (..., H, W, C)."""
    *batch, height, width, channels = rows[0][0].shape
    pixels = jnp.stack([jnp.stack(row, axis=-2) for row in rows], axis=-4)
    return pixels.reshape(*batch, 2 * height, 2 * width, channels)


def max_of_four(
    pixels: Sequence[Num[Array, "*shape"]],
) -> tuple[Num[jax.Array, "*shape"], UInt8[jax.Array, "*shape"]]:
    """The largest of four arrays, and the index of the first one that has it: uint8, 0..3."""
    a, b, c, d = pixels
    y = jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
    return y, jnp.where(a == y, 0, jnp.where(b == y, 1, jnp.where(c == y, 2, 3))).astype(jnp.uint8)


def unpool(y: Num[Array, "n h w c"], which: UInt8[Array, "n h w c"]) -> Num[jax.Array, "n 2*h 2*w c"]:
    """Each value of (N, H, W, C) at the pixel of its square that `which` names, zeros elsewhere: (N, 2H, 2W, C)."""
    return join_pixels([[jnp.where(which == 2 * i + j, y, 0) for j in range(2)] for i in range(2)])
