"""Forms of the convolutions that are faster than XLA's own on a CPU, for the shapes of this model.

Each names the operation of `native` that it equals.
"""

import itertools
import math
import operator
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from vasal_jax.ops import native
from vasal_jax.ops.squares import join_pixels
from vasal_jax.system import processor


def conv2d_few_channels(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "kh kw i o"], stride: int = 1, padding: int = 1
) -> Float[jax.Array, "n h2 w2 o"]:
    """`native.conv2d` for few channels, where XLA is slowest on a CPU.

    XLA has two routines. Where neither side has more than 16 channels it chooses the one that first copies what each
    output sees. Without AVX-512 the other routine is twice as fast, and outputs of zeros make XLA choose it; with
    AVX-512 it is half as fast.
    """
    if max(kernel.shape[2:]) > 16:
        return native.conv2d(x, kernel, stride, padding)
    if native.has_few_taps(kernel):
        return native.conv2d_by_taps(x, kernel, stride, padding)
    missing = 0 if processor.has("avx512f") else 17 - kernel.shape[3]
    y = native.conv2d(x, jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, missing))), stride, padding)
    return y[..., : kernel.shape[3]]


def conv2d_by_rows(x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "3 3 i o"]) -> Float[jax.Array, "n h w o"]:
    """`native.conv2d` at stride 1 with (3, 3, I, O), as one matrix product for each row of the kernel."""
    height, width, channels = x.shape[1:]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    beside = jnp.concatenate([padded[:, :, j : j + width] for j in range(3)], axis=-1)  # (N, H + 2, W, 3I)
    products = (
        jnp.matmul(beside[:, i : i + height], kernel[i].reshape(3 * channels, -1), preferred_element_type=jnp.float32)
        for i in range(3)
    )
    return reduce(operator.add, products).astype(x.dtype)


def conv_transpose2d_by_phases(
    x: Float[jax.Array, "n h w i"], kernel: Float[jax.Array, "4 4 i o"]
) -> Float[jax.Array, "n 2*h 2*w o"]:
    """`native.conv_transpose2d` without the zeros: even and odd rows and columns each see 2x2 of the 4x4 taps."""
    n, height, width, channels = x.shape
    by_phase = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, channels, -1)
    y = native.conv2d(x, by_phase, padding=1).reshape(n, height + 1, width + 1, 2, 2, -1)
    return join_pixels([[y[:, i : i + height, j : j + width, i, j] for j in range(2)] for i in range(2)])


def conv3d_side_by_side(
    x: Float[jax.Array, "n d h w i"], kernel: Float[jax.Array, "3 3 3 i o"]
) -> Float[jax.Array, "n d h w o"]:
    """`native.conv3d_by_depth` with all depths in one picture, side by side, a column of zeros between them.

    XLA shares out a convolution over the cores by width and channels, and runs it on one core where both are small.
    With the few channels of the audio branch this form is several times faster than XLA's 3-D convolution and than a
    sum of three 2-D convolutions.
    """
    n, depth, height, width, _ = x.shape
    neighbours, flat = native.three_depths(jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0))), kernel)
    picture = neighbours.transpose(0, 2, 1, 3, 4).reshape(n, height, depth * (width + 1), -1)
    y = conv2d_few_channels(picture, flat)
    return y.reshape(n, height, depth, width + 1, -1)[:, :, :, :width].transpose(0, 2, 1, 3, 4)


def kernel_gradient(
    shape: tuple[int, ...], padding: int, x: Float[jax.Array, "n *size i"], dy: Float[jax.Array, "n *size2 o"]
) -> Float[jax.Array, "*taps i o"]:
    """Gradient of a kernel, 2-D or 3-D, at stride 1, as one matrix product for a few pictures at a time.

    XLA's own is a convolution with a kernel as large as the picture. With few channels it takes up to eight times as
    long.

    Args:
      shape: the kernel's, (..., I, O).
      padding: zeros on every side of the convolution.
      x: (N, ..., I), its input.
      dy: (N, ..., O), the gradient of its output.
    """
    *taps, inputs, outputs = shape
    paddings = [padding] * len(taps)
    # A tap shifts x against dy. Along the first axis dy is shifted instead, in the other direction: with all taps on
    # one side more would be copied. Few inputs make that product too narrow; an axis of 1 in front then leaves all
    # taps to x.
    if inputs < 8:
        x, dy, taps, paddings = x[:, None], dy[:, None], [1, *taps], [0, *paddings]
    count, *sizes, _ = dy.shape
    total_dtype = jnp.promote_types(dy.dtype, jnp.float32)
    most = max(1, 8192 // math.prod(sizes))
    group = max((n for n in range(1, min(count, most) + 1) if count % n == 0), default=1)

    def add(total: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        pictures, given = jnp.moveaxis(pair[0], -1, 0), pair[1]
        pictures = jnp.pad(pictures, [(0, 0)] * 3 + [(p, p) for p in paddings[1:]])
        places = itertools.product(*map(range, taps[1:]))
        windows = [[slice(o, o + n) for o, n in zip(place, sizes[1:], strict=True)] for place in places]
        seen = jnp.concatenate([pictures[..., *window] for window in windows]).reshape(total.shape[0], -1)
        given = jnp.pad(given, [(0, 0), (taps[0] - 1 - paddings[0],) * 2] + [(0, 0)] * len(taps))
        given = jnp.concatenate([given[:, o : o + x.shape[1]] for o in range(taps[0])], axis=-1)
        product = jnp.matmul(seen, given.reshape(-1, total.shape[1]), preferred_element_type=total_dtype)
        return total + product, None

    groups, given = (a.reshape(count // group, group, *a.shape[1:]) for a in (x, dy))
    zeros = jnp.zeros((math.prod(taps[1:]) * inputs, taps[0] * outputs), total_dtype)
    total, _ = lax.scan(add, zeros, (groups, given))
    total = total.reshape(*taps[1:], inputs, taps[0], outputs)
    return jnp.moveaxis(total, -2, 0)[::-1].reshape(shape).astype(dy.dtype)
