"""Convolutions with the choices that depend on the platform, in one place.

Everything is channels-last. On accelerators the native XLA operations run; on CPU, where those are slow for some
shapes, equal forms (`tests/ops/test_convolution.py` holds the two against each other).
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vasal_jax.ops import winograd
from vasal_jax.ops.pooling import from_pixels, largest, pixels_of_squares, spread
from vasal_jax.system import processor

Convolution = Callable[[jax.Array, jax.Array], jax.Array]

_WIDE = 64
"""Channels from which matrix products keep a CPU busy."""


class Prepared(NamedTuple):
    """A 2-D kernel with what Winograd's form makes of it, for inference: a call on CPU then does not make it anew."""

    kernel: jax.Array
    transform: winograd.Transform


def transform(kernel: jax.Array, stride: int, padding: int) -> winograd.Transform | None:
    """What `Prepared` has beside the kernel of any convolution, or None where it would gain nothing."""
    wide = kernel.ndim == 4 and min(kernel.shape[2:]) >= _WIDE
    return jax.device_put(winograd.transform(np.asarray(kernel), stride, padding)) if wide else None


def _parts(kernel: jax.Array | Prepared) -> tuple[jax.Array, winograd.Transform | None]:
    return kernel if isinstance(kernel, Prepared) else (kernel, None)


def turned(kernel: jax.Array) -> jax.Array:
    """The kernel (..., I, O) by 180 degrees, its channels swapped: at stride 1 it takes dy to dx."""
    return jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-2, -1)


@jax.custom_vjp
def double(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`ConvTranspose` of (N, H, W, I) with (4, 4, I, O)."""
    return lax.platform_dependent(x, kernel, cpu=double_by_phases, default=double_native)


def double_native(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`double` over a picture spread with zeros."""
    sides = ((2, 2), (2, 2))
    dims = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), sides, lhs_dilation=(2, 2), dimension_numbers=dims)


def double_by_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`double` without the zeros: even and odd rows and columns each see every second tap, so 2x2 of the 4x4."""
    n, height, width, channels = x.shape
    by_phase = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, channels, -1)
    y = conv2d_native(x, by_phase, padding=1).reshape(n, height + 1, width + 1, 2, 2, -1)
    return from_pixels([[y[:, i : i + height, j : j + width, i, j] for j in range(2)] for i in range(2)])


def _double_backward(saved, dy):
    x, kernel = saved
    # It is the transpose of an ordinary convolution of stride 2, which takes dy to dx, and its kernel's gradient is
    # that one's too. XLA's own, a convolution over a picture spread with zeros, has a tenth of the speed on CPU.
    dx, pull_back = jax.vjp(lambda k: conv2d(dy, k, 2, 1), turned(kernel))
    (dturned,) = pull_back(x)
    return dx, turned(dturned)


double.defvjp(lambda x, kernel: (double(x, kernel), (x, kernel)), _double_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(x: jax.Array, kernel: jax.Array | Prepared, stride: int = 1, padding: int = 1) -> jax.Array:
    """2-D convolution of (N, H, W, I) with (kh, kw, I, O) and `padding` zeros on every side.

    There is no gradient by a prepared kernel.
    """
    kernel, transform = _parts(kernel)
    ways = _ways(x, kernel, stride, padding)
    if by_winograd := _by_winograd(x, kernel, stride, padding, of_bfloat16=True):
        ways["cpu"] = partial(by_winograd, transform=transform)
    elif _has_bfloat16_products(x, kernel) and (kernel.shape[:2], stride, padding) == ((3, 3), 1, 1):
        ways["cpu"] = conv2d_by_rows
    return lax.platform_dependent(x, kernel, **ways)


@jax.custom_vjp
def conv_relu_pool(x: jax.Array, kernel: jax.Array | Prepared, bias: jax.Array) -> jax.Array:
    """`max_pool` over 2x2 pixels of the ReLU of `conv2d`, with a bias, at stride 1, of pictures of even sides.

    The maximum comes first and the rest, which changes no order, has a quarter of the pixels. A gradient needs no more
    than which of the four was the largest.
    """
    return _largest_relu(x, kernel, bias)[0]


def _largest_relu(x, kernel, bias):
    kernel, transform = _parts(kernel)
    ways = {"default": lambda x, kernel: largest(pixels_of_squares(conv2d(x, kernel)))}
    if _by_winograd(x, kernel, 1, 1, of_bfloat16=True):
        ways["cpu"] = partial(winograd.convolve_and_pool, transform=transform)
    y, which = lax.platform_dependent(x, kernel, **ways)
    return jax.nn.relu(y + bias), which


def _conv_relu_pool_forward(x, kernel, bias):
    y, which = _largest_relu(x, kernel, bias)
    return y, (x, kernel, y, which)


def _conv_relu_pool_backward(saved, dy):
    x, kernel, y, which = saved
    dy = jnp.where(y > 0, dy, 0)
    return *_conv2d_backward(1, 1, (x, kernel), spread(dy, which)), dy.sum((0, 1, 2))


conv_relu_pool.defvjp(_conv_relu_pool_forward, _conv_relu_pool_backward)


def conv2d_native(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """`conv2d` by XLA's own convolution."""
    sides = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv2d_narrow(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """`conv2d_native` for few channels on CPU, where XLA is at its worst.

    It has two routines. Where neither side has more than 16 channels it takes the one that first copies what each
    output sees. Without AVX-512 the other has twice its speed, reached by outputs of zeros; with it, half.
    """
    if max(kernel.shape[2:]) > 16:
        return conv2d_native(x, kernel, stride, padding)
    if _few_taps(kernel):
        return conv2d_by_taps(x, kernel, stride, padding)
    missing = 0 if processor.has("avx512f") else 17 - kernel.shape[3]
    y = conv2d_native(x, jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, missing))), stride, padding)
    return y[..., : kernel.shape[3]]


def _few_taps(kernel: jax.Array) -> bool:
    """Whether a sum over what an output sees is the fastest form, with a 2-D or 3-D kernel."""
    return max(kernel.shape[-2:]) <= 16 and math.prod(kernel.shape[:-1]) <= 27


def conv2d_by_taps(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """`conv2d_native` as a sum over what an output sees, value by value."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    taps = itertools.product(*map(range, kernel.shape[:3]))
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    seen = ((x[:, i : i + rows : stride, j : j + columns : stride, c, None], kernel[i, j, c]) for i, j, c in taps)
    return sum(value.astype(jnp.float32) * weights for value, weights in seen).astype(x.dtype)


def conv2d_by_rows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv2d_native` at stride 1 with (3, 3, I, O), as one matrix product for each row of the kernel."""
    height, width, channels = x.shape[1:]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    beside = jnp.concatenate([padded[:, :, j : j + width] for j in range(3)], axis=-1)
    products = (
        jnp.matmul(beside[:, i : i + height], kernel[i].reshape(3 * channels, -1), preferred_element_type=jnp.float32)
        for i in range(3)
    )
    return sum(products).astype(x.dtype)


def _ways(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> dict[str, Convolution]:
    """The convolution by platform."""
    by_winograd = _by_winograd(x, kernel, stride, padding)
    narrow, native = (partial(way, stride=stride, padding=padding) for way in (conv2d_narrow, conv2d_native))
    return {"cpu": by_winograd or narrow, "default": native}


def _by_winograd(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, of_bfloat16: bool = False
) -> Convolution | None:
    """The convolution in Winograd's form where that exists and is worth while on CPU."""
    pixels, channels = x.shape[1] * x.shape[2], min(kernel.shape[2:])
    # Less neither keeps all cores busy nor is worth the time to compile the transforms.
    large = x.dtype == jnp.float32 and channels >= _WIDE and pixels * channels >= 32 * 32 * 128
    if of_bfloat16 and _has_bfloat16_products(x, kernel):
        large = pixels >= 64 * 64
    return winograd.way(x.shape, kernel.shape, stride, padding) if large else None


def _has_bfloat16_products(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether matrix products are the fastest form since CPUs multiply bfloat16: XLA's own turns it into float32."""
    return processor.has_bfloat16() and x.dtype == jnp.bfloat16 and min(kernel.shape[2:]) >= _WIDE


def _conv2d_forward(x, kernel, stride, padding):
    return lax.platform_dependent(x, kernel, **_ways(x, kernel, stride, padding)), (x, kernel)


def _gradients(way: Convolution, x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(way, x, kernel)[1](dy)


def _conv2d_backward(stride, padding, saved, dy):
    def with_products(x, kernel, dy):
        return _gradients(ways["cpu"], x, kernel, dy)[0], kernel_gradient(kernel.shape, padding, x, dy)

    ways = _ways(*saved, stride, padding)
    pull_backs = {name: partial(_gradients, way) for name, way in ways.items()}
    if stride == 1 and not _by_winograd(*saved, stride, padding):
        pull_backs["cpu"] = with_products
    return lax.platform_dependent(*saved, dy, **pull_backs)


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def kernel_gradient(shape: tuple[int, ...], padding: int, x: jax.Array, dy: jax.Array) -> jax.Array:
    """Gradient of the kernel of `shape`, 2-D or 3-D, at stride 1, as one matrix product for a few pictures at a time.

    With few channels XLA's own, a convolution with a kernel as large as the picture, takes up to eight times as long.
    """
    *taps, inputs, outputs = shape
    paddings = [padding] * len(taps)
    # A tap shifts x against dy. Along the first axis it is dy that is moved, the other way: with all taps on one side
    # more would be copied. Few inputs make too narrow a product so; with an axis of 1 in front they take all taps.
    if inputs < 8:
        x, dy, taps, paddings = x[:, None], dy[:, None], [1, *taps], [0, *paddings]
    count, *sizes, _ = dy.shape
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
        product = jnp.matmul(seen, given.reshape(-1, total.shape[1]), preferred_element_type=jnp.float32)
        return total + product, None

    by_group = [a.reshape(count // group, group, *a.shape[1:]) for a in (x, dy)]
    zeros = jnp.zeros((math.prod(taps[1:]) * inputs, taps[0] * outputs), jnp.float32)
    total, _ = lax.scan(add, zeros, tuple(by_group))
    total = total.reshape(*taps[1:], inputs, taps[0], outputs)
    return jnp.moveaxis(total, -2, 0)[::-1].reshape(shape).astype(dy.dtype)


@jax.custom_vjp
def conv3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """3-D convolution of (N, D, H, W, I) with (3, 3, 3, I, O), one zero on every side."""
    by_depth = partial(conv3d_by_depth, conv=conv2d_by_taps) if _few_taps(kernel) else conv3d_by_depth
    return lax.platform_dependent(x, kernel, cpu=conv3d_wide, cuda=by_depth, default=conv3d_native)


def _conv3d_backward(saved, dy):
    def with_products(x, kernel, dy):
        return conv3d_wide(dy, turned(kernel)), kernel_gradient(kernel.shape, 1, x, dy)

    by_depth, native = (partial(_gradients, way) for way in (conv3d_by_depth, conv3d_native))
    return lax.platform_dependent(*saved, dy, cpu=with_products, cuda=by_depth, default=native)


conv3d.defvjp(lambda x, kernel: (conv3d(x, kernel), (x, kernel)), _conv3d_backward)


def conv3d_native(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv3d` by XLA's own 3-D convolution."""
    sides = ((1, 1),) * 3
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), sides, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def conv3d_by_depth(x: jax.Array, kernel: jax.Array, conv: Convolution = conv2d_native) -> jax.Array:
    """`conv3d` as one 2-D convolution over the channels of three neighbouring depths, every depth a picture."""
    neighbours, flat = _three_depths(x, kernel)
    y = conv(neighbours.reshape(-1, *neighbours.shape[2:]), flat)
    return y.reshape(*x.shape[:4], -1)


def conv3d_wide(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv3d_by_depth` with all depths in one picture, side by side, a column of zeros between them.

    With the few channels of the audio branch this is several times faster on CPU than the native operation and than a
    sum of three 2-D convolutions: XLA shares out a convolution over the cores by width and channels, and has one core
    do it where both are small.
    """
    n, depth, height, width, _ = x.shape
    neighbours, flat = _three_depths(jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0))), kernel)
    y = conv2d_narrow(neighbours.transpose(0, 2, 1, 3, 4).reshape(n, height, depth * (width + 1), -1), flat)
    return y.reshape(n, height, depth, width + 1, -1)[:, :, :, :width].transpose(0, 2, 1, 3, 4)


def _three_depths(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each depth beside those before and behind it, (N, D, H, W, 3I), and the kernel for it, (3, 3, 3I, O)."""
    depth, padded = x.shape[1], jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    neighbours = jnp.concatenate([padded[:, k : k + depth] for k in range(3)], axis=-1)
    return neighbours, kernel.transpose(1, 2, 0, 3, 4).reshape(3, 3, neighbours.shape[-1], -1)
