"""What a GPU or TPU runs: each operation by XLA's own primitives, channels last.

All other forms equal these in values and gradients (`tests/ops`).
"""

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, UInt8

from vasal_jax.ops.squares import Array, max_of_four, pixels_of_squares

Convolution = Callable[[jax.Array, jax.Array], jax.Array]


def conv2d(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "kh kw i o"], stride: int = 1, padding: int = 1
) -> Float[jax.Array, "n h2 w2 o"]:
    """(N, H, W, I) with (kh, kw, I, O), `padding` zeros on every side: (N, H', W', O)."""
    sides = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv_pool(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "3 3 i o"], conv: Convolution = conv2d
) -> tuple[Float[jax.Array, "n h//2 w//2 o"], UInt8[jax.Array, "n h//2 w//2 o"]]:
    """The largest of every 2x2 pixels of `conv2d`, H and W even, and which it is: (N, H/2, W/2, O), uint8 the same."""
    return max_of_four(pixels_of_squares(conv(x, kernel)))


def unpool(y: Float[Array, "n h w c"], which: UInt8[Array, "n h w c"]) -> Float[jax.Array, "n 2*h 2*w c"]:
    """`squares.unpool` in one pass: on a TPU a stack of the pixels copies the largest activation twice more."""
    corners = jnp.arange(4, dtype=which.dtype).reshape(2, 1, 2, 1)
    pixels = jnp.where(which[:, :, None, :, None] == corners, y[:, :, None, :, None], 0)
    batch, height, width, channels = y.shape
    return pixels.reshape(batch, 2 * height, 2 * width, channels)


def conv_transpose2d(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "4 4 i o"]
) -> Float[jax.Array, "n 2*h 2*w o"]:
    """(N, H, W, I) with (4, 4, I, O), stride 2, padding 1: (N, 2H, 2W, O), a convolution of x with zeros between."""
    sides, dims = ((2, 2), (2, 2)), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), sides, lhs_dilation=(2, 2), dimension_numbers=dims)


def conv3d(x: Float[jax.Array, "n d h w i"], kernel: Float[jax.Array, "3 3 3 i o"]) -> Float[jax.Array, "n d h w o"]:
    """(N, D, H, W, I) with (3, 3, 3, I, O), one zero on every side: (N, D, H, W, O)."""
    sides = ((1, 1),) * 3
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), sides, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def conv3d_by_depth(
    x: Float[jax.Array, "n d h w i"], kernel: Float[jax.Array, "3 3 3 i o"], conv: Convolution = conv2d
) -> Float[jax.Array, "n d h w o"]:
    """`conv3d` on CUDA: one 2-D convolution over the channels of three neighbouring depths, every depth a picture."""
    neighbours, flat = three_depths(x, kernel)  # (N, D, H, W, 3I), (3, 3, 3I, O)
    y = conv(neighbours.reshape(-1, *neighbours.shape[2:]), flat)
    return y.reshape(*x.shape[:4], -1)


def three_depths(
    x: Float[jax.Array, "n d h w i"], kernel: Float[jax.Array, "3 3 3 i o"]
) -> tuple[Float[jax.Array, "n d h w 3*i"], Float[jax.Array, "3 3 3*i o"]]:
    """Each depth beside those before and behind it, (N, D, H, W, 3I), and the kernel for it, (3, 3, 3I, O)."""
    depth, padded = x.shape[1], jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    neighbours = jnp.concatenate([padded[:, k : k + depth] for k in range(3)], axis=-1)
    return neighbours, kernel.transpose(1, 2, 0, 3, 4).reshape(3, 3, neighbours.shape[-1], -1)


def conv2d_by_taps(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "kh kw i o"], stride: int = 1, padding: int = 1
) -> Float[jax.Array, "n h2 w2 o"]:
    """`conv2d` as a sum over the taps of the kernel, at least in float32. For kernels that `has_few_taps`."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    taps = itertools.product(*map(range, kernel.shape[:3]))
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    seen = ((x[:, i : i + rows : stride, j : j + columns : stride, c, None], kernel[i, j, c]) for i, j, c in taps)
    total = jnp.promote_types(x.dtype, jnp.float32)
    return reduce(operator.add, (value.astype(total) * weights for value, weights in seen)).astype(x.dtype)


def has_few_taps(kernel: Float[Array, "*size i o"]) -> bool:
    """Whether a sum over the taps is the fastest form, for a 2-D or 3-D kernel."""
    return max(kernel.shape[-2:]) <= 16 and math.prod(kernel.shape[:-1]) <= 27


def max_pool(x: Float[Array, "n *size c"], window: Sequence[int]) -> Float[jax.Array, "n *pooled c"]:
    """Maximum over blocks of `window` along the axes between the first and the last; a rest is dropped."""
    shape = (1, *window, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, shape, shape, "VALID")
