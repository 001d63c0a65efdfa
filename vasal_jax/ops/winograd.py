"""3x3 convolutions with fewer multiplications, for CPU.

F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): four neighbouring
outputs take 16 multiplications a channel in place of 36. The picture is cut into 4x4 tiles that overlap by two. Each
tile is transformed (B), multiplied with the transformed kernel (G), and transformed back (A). The products over the
channels are one matrix product over all tiles for each of the 16 places of a tile.

    y = A^T [(G k G^T) * (B^T x B)] A

The transforms are sums and differences, so float32 loses about one bit against the direct form. With bfloat16 the
transforms are computed in float32, and the products take bfloat16 and give float32. The gradient of a kernel over a
large picture uses F(4x4, 3x3), whose sixteen outputs take 36 multiplications in place of 144. It loses three bits.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, UInt8

from vasal_jax.ops.control_flow import custom_vjp
from vasal_jax.ops.squares import Array, join_pixels, max_of_four
from vasal_jax.system import processor


class _Tiling(NamedTuple):
    """The matrices of F(side x side, 3x3), and how large a strip of the picture may be."""

    side: int  # outputs of a tile, in each direction
    a: np.ndarray  # (side + 2, side)
    b: np.ndarray  # (side + 2, side + 2)
    g: np.ndarray  # (side + 2, 3)
    values: int  # of the array for one place of all tiles in a strip, for every core

    @classmethod
    def at(cls, *points: float, values: int) -> "_Tiling":
        """Toom and Cook's matrices: polynomials are multiplied through their values at the points and at infinity."""
        x, side = np.array(points, float), len(points) - 1
        others = [np.delete(x, i) for i in range(len(x))]
        a, g = (np.vander(x, n, increasing=True) for n in (side, 3))
        g /= [[np.prod(point - rest)] for point, rest in zip(x, others, strict=True)]
        a, g = (np.vstack([m, np.eye(m.shape[1])[-1]]) for m in (a, g))
        b = [*(np.append(np.poly(rest)[::-1], 0) for rest in others), np.poly(x)[::-1]]
        a, b, g = (m.astype(np.float32) for m in (a, np.stack(b, axis=1), g))
        return cls(side, a, b, g, values)


# XLA runs a loop over an array on one core for every 256 KiB of it. Much larger arrays leave the cache.
_TILES_2 = _Tiling.at(0.0, 1.0, -1.0, values=2**16)
# Of the points that float32 holds exactly, these lose the least precision, half of what 1, -1, 2 and -2 lose.
_TILES_4 = _Tiling.at(0.0, 0.75, -0.75, 1.5, -1.5, values=2**17)

Transform = list[list[Array]]


@runtime_checkable  # by beartype, in tests
class Form(Protocol):
    """A convolution of a picture and a kernel, whose transform may be given."""

    def __call__(self, x: jax.Array, kernel: jax.Array, /, *, transform: Transform | None = None) -> jax.Array: ...


def form(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> Form | None:
    """The function that convolves a picture and a kernel of these shapes; None where Winograd's form does not exist."""
    wide, narrow = (partial(convolve_stride2, padding=padding) for padding in (2, 1))
    forms = {(3, 1, 1): convolve, (5, 2, 2): wide, (4, 2, 1): narrow}
    even = all(side % (2 * stride) == 0 for side in shape[1:3])
    return forms.get((kernel[0], stride, padding)) if even and kernel[0] == kernel[1] else None


def transform_kernel(kernel: np.ndarray, stride: int, padding: int) -> Transform | None:
    """The transform that a `form` computes of its kernel in every call, unless it is given: None without such a form.

    Args:
      kernel: (kh, kw, I, O).

    Returns:
      NumPy arrays of the kernel's type.
    """
    if form((1, 4, 4), kernel.shape, stride, padding) is None:
        return None
    return _kernels(kernel if stride == 1 else _of_squares(kernel, padding))


def convolve_stride2(
    x: Float[Array, "n h w i"], kernel: Float[Array, "kh kw i o"], padding: int, transform: Transform | None = None
) -> Float[jax.Array, "n h//2 w//2 o"]:
    """Convolution of stride 2 of (N, H, W, I), H and W multiples of 4, with (4, 4, I, O) or (5, 5, I, O).

    The picture becomes one of squares of 2x2 pixels, their pixels side by side as channels, and the kernel is cut into
    squares too. What is left is a convolution of stride 1.
    """
    n, height, width, channels = x.shape
    squares = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    squares = squares.reshape(n, height // 2, width // 2, 4 * channels)
    return convolve(squares, _of_squares(kernel, padding), transform)


def _of_squares(kernel: Array, padding: int) -> Array:
    """The kernel of stride 2 as one of stride 1 over squares, (3, 3, 4I, O)."""
    before = 2 - padding  # the squares reach from 2 pixels before to 3 after
    sides = (before, 6 - kernel.shape[0] - before)
    padded = kernel.__array_namespace__().pad(kernel, (sides, sides, (0, 0), (0, 0)))
    cut = padded.reshape(3, 2, 3, 2, *kernel.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
    return cut.reshape(3, 3, 4 * kernel.shape[2], -1)


@custom_vjp()
def convolve(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], transform: Transform | None = None
) -> Float[jax.Array, "n h w o"]:
    """Convolution of (N, H, W, I), H and W even, with (3, 3, I, O), one zero on every side: (N, H, W, O)."""
    kernels = transform or _kernels(kernel)

    def of_strip(strip: Array) -> Array:
        tiles = strip.shape[0] // 2 - 1, strip.shape[1] // 2, -1
        return join_pixels([[y.reshape(tiles) for y in row] for row in _outputs(strip, kernels)]).astype(x.dtype)

    return _by_strip(of_strip, x, kernel).reshape(*x.shape[:3], -1)


def convolve_and_pool(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], transform: Transform | None = None
) -> tuple[Float[jax.Array, "n h//2 w//2 o"], UInt8[jax.Array, "n h//2 w//2 o"]]:
    """`max_of_four` of every 2x2 pixels of `convolve`: two (N, H/2, W/2, O). The four pixels are those of one tile."""
    kernels = transform or _kernels(kernel)

    def of_strip(strip: Array) -> tuple[Array, Array]:
        y, which = max_of_four([y for row in _outputs(strip, kernels) for y in row])
        return y.astype(x.dtype), which

    n, height, width, _ = x.shape
    return jax.tree.map(lambda y: y.reshape(n, height // 2, width // 2, -1), _by_strip(of_strip, x, kernel))


def _by_strip(function: Callable[[Array], Any], x: Array, kernel: Array) -> Any:
    """`function` of every strip of every picture, from top to bottom, stacked."""
    strips, cut = _cut(_TILES_2, x, max(kernel.shape[2:]))
    return lax.map(lambda i: function(cut(i)), jnp.arange(x.shape[0] * strips))


def _cut(tiling: _Tiling, x: Array, most_channels: int) -> tuple[int, Callable[[Array], Array]]:
    """Cuts pictures (N, H, W, C) into strips.

    Transformed tiles take up to four times the picture's memory; strips keep them in the cache.

    Returns:
      The number of strips of a picture, and a function of i to the i-th strip of all pictures, with the row before and
      the row after it: (H/strips + 2, W, C).
    """
    _, height, width, channels = x.shape
    most = height * width // tiling.side**2 * most_channels // (tiling.values * processor.cores())
    rows = height // tiling.side
    strips = max((n for n in range(1, min(most, rows) + 1) if rows % n == 0), default=1)
    height //= strips
    # `_tiles` adds the columns of zeros: XLA would repeat a padding here for each of the copies that it fuses it with.
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))

    def cut(i: Array) -> Array:
        place = i // strips, i % strips * height, 0, 0
        return lax.dynamic_slice(padded, place, (1, height + 2, width, channels))[0]

    return strips, cut


def _kernels(kernel: Array) -> Transform:
    """G k G^T, 4x4 arrays (I, O)."""
    return jax.tree.map(lambda k: k.astype(kernel.dtype), _transformed(kernel.astype(jnp.float32), _TILES_2.g))


def _outputs(strip: Array, kernels: Transform) -> list[list[Array]]:
    """The 2x2 pixels of every tile's convolution, row by row: arrays (H/2 * W/2, O), float32."""

    def product(tiles: Array, kernel: Array) -> Array:
        return jnp.matmul(tiles.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32)

    pairs = zip(_tiles(_TILES_2, strip.astype(jnp.float32)), kernels, strict=True)
    return _transformed([[product(t, k) for t, k in zip(*pair, strict=True)] for pair in pairs], _TILES_2.a.T)


def _backward(saved, dy):
    x, kernel = saved
    # Both are such convolutions again, the first one with the flipped kernel.
    return convolve(dy, kernel[::-1, ::-1].swapaxes(2, 3)), _kernel_gradient(x, dy), None


convolve.defvjp(lambda x, kernel, transform: (convolve(x, kernel, transform), (x, kernel)), _backward)


def _kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """G^T [sum over tiles of (B^T x B) * (A dy A^T)] G, (3, 3, I, O)."""
    _, height, width, _ = x.shape
    large = height * width >= 64 * 64 and height % 4 == width % 4 == 0
    tiling = _TILES_4 if large else _TILES_2
    strips, cut = _cut(tiling, x, max(x.shape[-1], dy.shape[-1]))
    side, places = tiling.side, tiling.side + 2

    def add(total: list[list[jax.Array]], pair: tuple[jax.Array, jax.Array]) -> tuple[list[list[jax.Array]], None]:
        i, given = pair
        rows = _sums(tiling.a, [given[i::side] for i in range(side)])
        outputs = [_sums(tiling.a, [row[:, j::side].reshape(-1, row.shape[-1]) for j in range(side)]) for row in rows]
        pairs = zip(_tiles(tiling, cut(i)), outputs, strict=True)
        products = [[t.T @ d for t, d in zip(*pair, strict=True)] for pair in pairs]
        return jax.tree.map(jnp.add, total, products), None

    zeros = [[jnp.zeros((x.shape[-1], dy.shape[-1]), x.dtype)] * places] * places
    by_strip = dy.reshape(-1, dy.shape[1] // strips, *dy.shape[2:])
    total, _ = lax.scan(add, zeros, (jnp.arange(len(by_strip)), by_strip))
    return jnp.array(_transformed(total, tiling.g.T))


def _tiles(tiling: _Tiling, strip: Array) -> list[list[Array]]:
    """B^T x B of every tile of a strip (H + 2, W, C): rows of arrays (tiles, C), one for each place."""
    side, places, (height, width, channels) = tiling.side, range(tiling.side + 2), strip.shape
    padded = jnp.pad(strip, ((0, 0), (1, 1), (0, 0)))
    rows = _sums(tiling.b.T, [padded[i : i + height - 2 : side] for i in places])
    return [_sums(tiling.b.T, [row[:, j : j + width : side].reshape(-1, channels) for j in places]) for row in rows]


def _transformed(x: Array | Sequence[Sequence[Array]], matrix: np.ndarray) -> list[list[Array]]:
    """matrix x matrix^T, of rows of arrays."""
    # As sums: a product with a matrix of three columns takes longer than the convolution's own products.
    columns = zip(*(_sums(matrix, row) for row in x), strict=True)
    return [list(row) for row in zip(*(_sums(matrix, column) for column in columns), strict=True)]


def _sums(matrix: np.ndarray, x: Array | Sequence[Array]) -> list[Array]:
    """matrix x, of arrays."""
    return [reduce(operator.add, (e * part for e, part in zip(row, x, strict=True) if e)) for row in matrix]
