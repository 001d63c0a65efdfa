"""3x3 convolutions with fewer multiplications, for CPU.

F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): four neighbouring
outputs take 16 multiplications a channel in place of 36. The picture is cut into 4x4 tiles that overlap by two, each is
transformed (B), multiplied with the transformed kernel (G), channel by channel a matrix product for each of the 16
places over all tiles, and transformed back (A):

    y = A^T [(G k G^T) * (B^T x B)] A

The transforms are sums and differences, so float32 loses about one bit against the direct form. With bfloat16 they are
float32, and the products take bfloat16 and give float32. A kernel's gradient over a large picture is F(4x4, 3x3), whose
sixteen outputs take 36 multiplications in place of 144, and which loses three bits.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vasal_jax.ops.pooling import from_pixels, largest
from vasal_jax.system import processor


class _Form(NamedTuple):
    """Tiles of so many by so many outputs, and how large an array of a tile's place may be in a strip."""

    side: int
    a: np.ndarray  # (side + 2, side)
    b: np.ndarray  # (side + 2, side + 2)
    g: np.ndarray  # (side + 2, 3)
    values: int  # for every core

    @classmethod
    def at(cls, *points: float, values: int) -> "_Form":
        """By Toom and Cook: polynomials are multiplied by their values at the points and at infinity."""
        x, side = np.array(points, float), len(points) - 1
        others = [np.delete(x, i) for i in range(len(x))]
        a, g = (np.vander(x, n, increasing=True) for n in (side, 3))
        g /= [[np.prod(point - rest)] for point, rest in zip(x, others, strict=True)]
        a, g = (np.vstack([m, np.eye(m.shape[1])[-1]]) for m in (a, g))
        b = [*(np.append(np.poly(rest)[::-1], 0) for rest in others), np.poly(x)[::-1]]
        return cls(side, *(m.astype(np.float32) for m in (a, np.stack(b, axis=1), g)), values)


# XLA gives a loop over an array one core for every 256 KiB of it, and much more leaves the cache.
_BY_2 = _Form.at(0, 1, -1, values=2**16)
# Of points exact in float32, those that cost least of its precision: half of what 1, -1, 2 and -2 do.
_BY_4 = _Form.at(0, 0.75, -0.75, 1.5, -1.5, values=2**17)

Convolution = Callable[[jax.Array, jax.Array], jax.Array]
Transform = list[list[jax.Array]]


def way(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> Convolution | None:
    """What convolves pictures and kernels of these shapes, or None where this form does not exist."""
    forms = {(3, 1, 1): convolve, (5, 2, 2): partial(halve, padding=2), (4, 2, 1): partial(halve, padding=1)}
    even = all(side % (2 * stride) == 0 for side in shape[1:3])
    return forms.get((kernel[0], stride, padding)) if even and kernel[0] == kernel[1] else None


def transform(kernel: np.ndarray, stride: int, padding: int) -> Transform | None:
    """What a `way` makes of its kernel in every call, unless it is given as its `transform`; None where there is none.

    Args:
      kernel: (kh, kw, I, O). The arrays are NumPy's as well, of its type.
    """
    if way((1, 4, 4), kernel.shape, stride, padding) is None:
        return None
    return _kernels(kernel if stride == 1 else _of_squares(kernel, padding))


def halve(x: jax.Array, kernel: jax.Array, padding: int, transform: Transform | None = None) -> jax.Array:
    """Convolution of stride 2 of (N, H, W, I), H and W multiples of 4, with (4, 4, I, O) or (5, 5, I, O).

    It is that of stride 1 over squares of 2x2 pixels, side by side as channels, with the kernel cut alike.
    """
    n, height, width, channels = x.shape
    squares = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    squares = squares.reshape(n, height // 2, width // 2, 4 * channels)
    return convolve(squares, _of_squares(kernel, padding), transform)


def _of_squares(kernel: jax.Array, padding: int) -> jax.Array:
    """The kernel of stride 2 as that of stride 1 over squares, (3, 3, 4I, O)."""
    before = 2 - padding  # the squares reach from 2 pixels before to 3 after
    sides = (before, 6 - kernel.shape[0] - before)
    padded = kernel.__array_namespace__().pad(kernel, (sides, sides, (0, 0), (0, 0)))
    cut = padded.reshape(3, 2, 3, 2, *kernel.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
    return cut.reshape(3, 3, 4 * kernel.shape[2], -1)


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array, transform: Transform | None = None) -> jax.Array:
    """Convolution of (N, H, W, I), H and W even, with (3, 3, I, O), one zero on every side: (N, H, W, O)."""
    kernels = transform or _kernels(kernel)

    def of_strip(strip: jax.Array) -> jax.Array:
        tiles = strip.shape[0] // 2 - 1, strip.shape[1] // 2, -1
        return from_pixels([[y.reshape(tiles) for y in row] for row in _outputs(strip, kernels)]).astype(x.dtype)

    return _by_strip(of_strip, x, kernel).reshape(*x.shape[:3], -1)


def convolve_and_pool(
    x: jax.Array, kernel: jax.Array, transform: Transform | None = None
) -> tuple[jax.Array, jax.Array]:
    """`pooling.largest` of every 2x2 pixels of `convolve`, (N, H/2, W/2, O): they are a tile's, never put in place."""
    kernels = transform or _kernels(kernel)

    def of_strip(strip: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, which = largest([y for row in _outputs(strip, kernels) for y in row])
        return y.astype(x.dtype), which

    n, height, width, _ = x.shape
    return jax.tree.map(lambda y: y.reshape(n, height // 2, width // 2, -1), _by_strip(of_strip, x, kernel))


def _by_strip(function: Callable[[jax.Array], Any], x: jax.Array, kernel: jax.Array) -> Any:
    """`function` of every strip of every picture, from top to bottom, stacked."""
    strips, cut = _cut(_BY_2, x, max(kernel.shape[2:]))
    return lax.map(lambda i: function(cut(i)), jnp.arange(x.shape[0] * strips))


def _cut(form: _Form, x: jax.Array, most_channels: int) -> tuple[int, Callable[[jax.Array], jax.Array]]:
    """Into how many strips a picture of (N, H, W, C) is cut, and what gives the i-th of all pictures' strips.

    What the tiles become is up to four times the picture, and is to stay near the processor. A strip has the row before
    it and the one after too: (H/strips + 2, W, C).
    """
    _, height, width, channels = x.shape
    most = height * width // form.side**2 * most_channels // (form.values * processor.cores())
    rows = height // form.side
    strips = max((n for n in range(1, min(most, rows) + 1) if rows % n == 0), default=1)
    height //= strips
    # Zeros beside the strips are left to `_tiles`: it is not fused with what copies it then, which would do so often.
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))

    def cut(i: jax.Array) -> jax.Array:
        place = i // strips, i % strips * height, 0, 0
        return lax.dynamic_slice(padded, place, (1, height + 2, width, channels))[0]

    return strips, cut


def _kernels(kernel: jax.Array) -> Transform:
    """G k G^T, 4x4 arrays (I, O)."""
    return jax.tree.map(lambda k: k.astype(kernel.dtype), _transformed(kernel.astype(jnp.float32), _BY_2.g))


def _outputs(strip: jax.Array, kernels: Transform) -> list[list[jax.Array]]:
    """The 2x2 pixels of every tile's convolution, row by row: arrays (H/2 * W/2, O), float32."""

    def product(tiles: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.matmul(tiles.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32)

    pairs = zip(_tiles(_BY_2, strip.astype(jnp.float32)), kernels, strict=True)
    return _transformed([[product(t, k) for t, k in zip(*pair, strict=True)] for pair in pairs], _BY_2.a.T)


def _backward(saved, dy):
    x, kernel = saved
    # Each is again such a convolution: the first with the kernel turned by 180 degrees and its channels swapped.
    return convolve(dy, kernel[::-1, ::-1].swapaxes(2, 3)), _kernel_gradient(x, dy), None


convolve.defvjp(lambda x, kernel, transform: (convolve(x, kernel, transform), (x, kernel)), _backward)


def _kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """G^T [sum over tiles of (B^T x B) * (A dy A^T)] G, (3, 3, I, O)."""
    _, height, width, _ = x.shape
    large = height * width >= 64 * 64 and height % 4 == width % 4 == 0
    form = _BY_4 if large else _BY_2
    strips, cut = _cut(form, x, max(x.shape[-1], dy.shape[-1]))
    side, places = form.side, form.side + 2

    def add(total: list[list[jax.Array]], pair: tuple[jax.Array, jax.Array]) -> tuple[list[list[jax.Array]], None]:
        i, given = pair
        rows = _sums(form.a, [given[i::side] for i in range(side)])
        outputs = [_sums(form.a, [row[:, j::side].reshape(-1, row.shape[-1]) for j in range(side)]) for row in rows]
        pairs = zip(_tiles(form, cut(i)), outputs, strict=True)
        products = [[t.T @ d for t, d in zip(*pair, strict=True)] for pair in pairs]
        return jax.tree.map(jnp.add, total, products), None

    zeros = [[jnp.zeros((x.shape[-1], dy.shape[-1]), x.dtype)] * places] * places
    by_strip = dy.reshape(-1, dy.shape[1] // strips, *dy.shape[2:])
    total, _ = lax.scan(add, zeros, (jnp.arange(len(by_strip)), by_strip))
    return jnp.array(_transformed(total, form.g.T))


def _tiles(form: _Form, strip: jax.Array) -> list[list[jax.Array]]:
    """B^T x B of every tile of a strip (H + 2, W, C): rows of arrays (tiles, C), one for each place."""
    side, places, (height, width, channels) = form.side, range(form.side + 2), strip.shape
    padded = jnp.pad(strip, ((0, 0), (1, 1), (0, 0)))
    rows = _sums(form.b.T, [padded[i : i + height - 2 : side] for i in places])
    return [_sums(form.b.T, [row[:, j : j + width : side].reshape(-1, channels) for j in places]) for row in rows]


def _transformed(x: Sequence[Sequence[jax.Array]], matrix: np.ndarray) -> list[list[jax.Array]]:
    """matrix x matrix^T, of rows of arrays."""
    # As sums, like all transforms: a product with a matrix of three columns takes longer than the convolution's own.
    columns = zip(*(_sums(matrix, row) for row in x), strict=True)
    return [list(row) for row in zip(*(_sums(matrix, column) for column in columns), strict=True)]


def _sums(matrix: np.ndarray, x: Sequence[jax.Array]) -> list[jax.Array]:
    """matrix x, of arrays."""
    return [sum(entry * part for entry, part in zip(row, x, strict=True) if entry) for row in matrix]
