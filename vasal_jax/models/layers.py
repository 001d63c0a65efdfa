"""Convolutions with the choices that depend on the platform, in one place.

Everything is channels-last. On accelerators the native XLA operations run; on CPU, where XLA's 3-D convolution is
slow, an equal form made of a 2-D one (`tests/models/test_layers.py` holds the two against each other).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from vasal_jax import processor
from vasal_jax.models import winograd
from vasal_jax.models.pooling import max_pool

Convolution = Callable[[jax.Array, jax.Array], jax.Array]


def differentiated_as(other: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Has a function run as it is written, but as `other`, its equal, where a gradient is asked for."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = jax.custom_vjp(function)
        function.defvjp(lambda *args: jax.vjp(other, *args), lambda pull_back, dy: pull_back(dy))
        return function

    return decorate


_he_normal = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")  # keeps variance through a ReLU


class Conv(nnx.Module):
    """A 2-D or 3-D convolution, channels last, with float32 parameters and any compute type.

    Args:
      kernel_size: spatial kernel size, 2 or 3 entries.
      in_features, out_features: channels in and out.
      stride: the same on every spatial axis (2-D only).
      padding: zeros on each side of each spatial axis; by default what keeps the size at stride 1.
      use_bias: whether a bias is added.
      dtype: compute type.
      rngs: source of the initial kernel (He normal); the bias starts at zero.
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        in_features: int,
        out_features: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        use_bias: bool = True,
        dtype: str,
        rngs: nnx.Rngs,
    ):
        shape = (*kernel_size, in_features, out_features)
        self.kernel = nnx.Param(_he_normal(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out_features, jnp.float32)) if use_bias else None
        self.stride = stride
        self.padding = kernel_size[0] // 2 if padding is None else padding
        self.dtype = jnp.dtype(dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, ..., in_features) to (N, ..., out_features), in the compute type."""
        kernel = self.kernel[...].astype(self.dtype)
        x = x.astype(self.dtype)
        y = conv3d(x, kernel) if kernel.ndim == 5 else conv2d(x, kernel, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)

    def pooled(self, x: jax.Array) -> jax.Array:
        """The largest of every 2x2 pixels of the ReLU of `self(x)`, for a 2-D convolution of stride 1 with a bias."""
        kernel, bias = (parameter[...].astype(self.dtype) for parameter in (self.kernel, self.bias))
        return conv_relu_pool(x.astype(self.dtype), kernel, bias)


class ConvTranspose(nnx.Module):
    """The released model's transposed convolution: 4x4, stride 2, padding 1, no bias. It doubles the picture.

    The kernel (4, 4, in, out) is stored as that of the ordinary convolution over the zero-spread input, that is,
    flipped against PyTorch's.
    """

    def __init__(self, in_features: int, out_features: int, *, dtype: str, rngs: nnx.Rngs):
        # Each output sees a quarter of the taps, hence the factor 4 against the ordinary fan-in.
        self.kernel = nnx.Param(2.0 * _he_normal(rngs.params(), (4, 4, in_features, out_features), jnp.float32))
        self.dtype = jnp.dtype(dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, H, W, in_features) to (N, 2H, 2W, out_features)."""
        return double(x.astype(self.dtype), self.kernel[...].astype(self.dtype))


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
    rows = [[y[:, i : i + height, j : j + width, i, j] for j in range(2)] for i in range(2)]
    rows = [jnp.stack(row, axis=3) for row in rows]
    return jnp.stack(rows, axis=2).reshape(n, 2 * height, 2 * width, -1)


def _double_backward(saved, dy):
    x, kernel = saved
    # It is the transpose of an ordinary convolution of stride 2, which takes dy to dx, and its kernel's gradient is
    # that one's too. XLA's own, a convolution over a picture spread with zeros, has a tenth of the speed on CPU.
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    dx, pull_back = jax.vjp(lambda k: conv2d(dy, k, 2, 1), turned)
    (dturned,) = pull_back(x)
    return dx, dturned[::-1, ::-1].swapaxes(2, 3)


double.defvjp(lambda x, kernel: (double(x, kernel), (x, kernel)), _double_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """2-D convolution of (N, H, W, I) with (kh, kw, I, O) and `padding` zeros on every side."""
    # Here the widest layers alone are worth Winograd's transforms, whose compiling is much of a first map's time.
    ways = _ways(x, kernel, stride, padding, many=256)
    ways["cpu"] = _by_bfloat16_products(x, kernel, stride, padding) or ways["cpu"]
    return lax.platform_dependent(x, kernel, **ways)


def _conv_relu_pool_in_turn(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return max_pool(jax.nn.relu(conv2d(x, kernel) + bias), (2, 2))


@differentiated_as(_conv_relu_pool_in_turn)
def conv_relu_pool(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """`max_pool` over 2x2 pixels of the ReLU of `conv2d`, with a bias, at stride 1.

    On CPU the maximum comes first, over the outputs of a tile in Winograd's form, and the rest, which changes no order,
    has a quarter of the pixels. A gradient is faster without that.
    """
    ways = {"default": _conv_relu_pool_in_turn}
    if winograd.convolve in (_by_winograd(x, kernel, 1, 1, many=64), _by_bfloat16_products(x, kernel, 1, 1)):
        ways["cpu"] = lambda x, kernel, bias: jax.nn.relu(winograd.convolve_and_pool(x, kernel) + bias)
    return lax.platform_dependent(x, kernel, bias, **ways)


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
    if math.prod(kernel.shape[:3]) <= 27:
        return conv2d_by_taps(x, kernel, stride, padding)
    missing = 0 if processor.has("avx512f") else 17 - kernel.shape[3]
    y = conv2d_native(x, jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, missing))), stride, padding)
    return y[..., : kernel.shape[3]]


def conv2d_by_taps(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """`conv2d_native` as a sum over what an output sees, value by value."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    taps = itertools.product(*map(range, kernel.shape[:3]))
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    return sum(x[:, i : i + rows : stride, j : j + columns : stride, c, None] * kernel[i, j, c] for i, j, c in taps)


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


def _ways(x: jax.Array, kernel: jax.Array, stride: int, padding: int, many: int) -> dict[str, Convolution]:
    """The convolution by platform, by Winograd's form with `many` channels or more on both sides."""
    by_winograd = _by_winograd(x, kernel, stride, padding, many)
    narrow, native = (partial(way, stride=stride, padding=padding) for way in (conv2d_narrow, conv2d_native))
    return {"cpu": by_winograd or narrow, "default": native}


def _by_winograd(x: jax.Array, kernel: jax.Array, stride: int, padding: int, many: int) -> Convolution | None:
    """The convolution in Winograd's form where that exists and is worth while on CPU."""
    # Pictures as large as the feature maps, which it takes one by one, keep all cores busy.
    large = x.shape[1] * x.shape[2] >= 32 * 32 and min(kernel.shape[2:]) >= many
    return winograd.way(x.shape, kernel.shape, stride, padding) if large and x.dtype == jnp.float32 else None


def _by_bfloat16_products(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> Convolution | None:
    """The convolution as matrix products of bfloat16 where CPUs multiply that: XLA's own turns it into float32."""
    if not processor.has_bfloat16() or x.dtype != jnp.bfloat16 or min(kernel.shape[2:]) < 64:
        return None
    by_rows = conv2d_by_rows if (kernel.shape[:2], stride, padding) == ((3, 3), 1, 1) else None
    large = x.shape[1] * x.shape[2] >= 64 * 64
    return (winograd.way(x.shape, kernel.shape, stride, padding) if large else None) or by_rows


def _conv2d_forward(x, kernel, stride, padding):
    return lax.platform_dependent(x, kernel, **_ways(x, kernel, stride, padding, many=64)), (x, kernel)


def _conv2d_backward(stride, padding, saved, dy):
    def gradients(way, x, kernel, dy):
        return jax.vjp(way, x, kernel)[1](dy)

    def with_products(x, kernel, dy):
        return gradients(ways["cpu"], x, kernel, dy)[0], kernel_gradient_by_pictures(kernel.shape, padding, x, dy)

    ways = _ways(*saved, stride, padding, many=64)
    pull_backs = {name: partial(gradients, way) for name, way in ways.items()}
    if stride == 1 and not _by_winograd(*saved, stride, padding, many=64):
        pull_backs["cpu"] = with_products
    return lax.platform_dependent(*saved, dy, **pull_backs)


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def kernel_gradient_by_pictures(shape: tuple[int, ...], padding: int, x: jax.Array, dy: jax.Array) -> jax.Array:
    """Gradient of `conv2d`'s kernel of `shape` at stride 1, as one matrix product for a few pictures at a time.

    With few channels XLA's own, a convolution with a kernel as large as the picture, takes up to eight times as long.
    """
    count, height, width, channels = dy.shape
    most = max(1, 8192 // (height * width))
    group = max((n for n in range(1, min(count, most) + 1) if count % n == 0), default=1)

    def add(total: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        pictures, given = pair
        pictures = jnp.pad(pictures, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        taps = [pictures[:, i : i + height, j : j + width] for i in range(shape[0]) for j in range(shape[1])]
        seen = jnp.concatenate(taps, axis=-1).reshape(-1, total.shape[0])
        product = jnp.matmul(seen.T, given.reshape(-1, channels), preferred_element_type=jnp.float32)
        return total + product, None

    by_group = [a.reshape(count // group, group, *a.shape[1:]) for a in (x, dy)]
    total, _ = lax.scan(add, jnp.zeros((shape[0] * shape[1] * shape[2], channels), jnp.float32), tuple(by_group))
    return total.reshape(shape).astype(dy.dtype)


def _conv3d_with_gradient(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, kernel, cpu=conv3d_folded, default=conv3d_native)


@differentiated_as(_conv3d_with_gradient)
def conv3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """3-D convolution of (N, D, H, W, I) with (3, 3, 3, I, O), one zero on every side."""
    return lax.platform_dependent(x, kernel, cpu=conv3d_wide, default=conv3d_native)


def conv3d_native(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv3d` by XLA's own 3-D convolution."""
    sides = ((1, 1),) * 3
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), sides, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def conv3d_folded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv3d` as one 2-D convolution over the channels of three neighbouring depths.

    With the few channels of the audio branch this is several times faster on CPU than the native operation and
    than a sum of three 2-D convolutions.
    """
    return conv2d(_neighbours(x).reshape(-1, *x.shape[2:4], 3 * x.shape[4]), _flat(kernel)).reshape(*x.shape[:4], -1)


def conv3d_wide(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv3d_folded` with all depths in one picture, side by side, a column of zeros between them.

    XLA shares out a convolution over the cores by width and channels, and has one core do it where both are small. Its
    gradient is faster without that.
    """
    n, depth, height, width, channels = x.shape
    apart = _neighbours(jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0))))
    wide = apart.transpose(0, 2, 1, 3, 4).reshape(n, height, depth * (width + 1), 3 * channels)
    y = conv2d(wide, _flat(kernel)).reshape(n, height, depth, width + 1, -1)
    return y[:, :, :, :width].transpose(0, 2, 1, 3, 4)


def _neighbours(x: jax.Array) -> jax.Array:
    """(N, D, H, W, 3I): each depth between the channels of the one before and the one after."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    return jnp.concatenate([padded[:, k : k + x.shape[1]] for k in range(3)], axis=-1)


def _flat(kernel: jax.Array) -> jax.Array:
    """(3, 3, 3I, O), for `_neighbours`."""
    return kernel.transpose(1, 2, 0, 3, 4).reshape(3, 3, -1, kernel.shape[-1])


def by_frame(method: Callable[..., Any], module: nnx.Module, *arrays: jax.Array) -> Any:
    """`method(module, *arrays)` for a method that treats the entries of its arrays (N, ...) independently.

    On CPU it is called with one entry at a time: activations of one frame stay in cache and in the same memory, where
    those of a whole clip are faulted in page by page, which took longer than some of the convolutions. A gradient needs
    the activations of all frames anyway, so under differentiation, and on accelerators, all entries go at once.
    """
    graph, state = nnx.split(module)

    def at_once(state: nnx.State, *arrays: jax.Array) -> Any:
        return method(nnx.merge(graph, state), *arrays)

    def one_by_one(state: nnx.State, *arrays: jax.Array) -> Any:
        def single(entry: tuple[jax.Array, ...]) -> Any:
            return jax.tree.map(lambda y: y[0], at_once(state, *(x[None] for x in entry)))

        return lax.map(single, arrays)

    @differentiated_as(at_once)
    def apply(state: nnx.State, *arrays: jax.Array) -> Any:
        return lax.platform_dependent(state, *arrays, cpu=one_by_one, default=at_once)

    return apply(state, *arrays)
