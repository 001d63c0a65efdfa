"""Max-pooling, with the gradient that the platform computes fastest."""

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: Sequence[int]) -> jax.Array:
    """Maximum over blocks of `window` along the axes between the first and the last; a rest is dropped."""
    shape = (1, *window, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, shape, shape, "VALID")


def _max_pool_forward(x, window):
    y = max_pool(x, window)
    return y, (x, y)


def _max_pool_backward(window, saved, dy):
    x, y = saved
    gradient = lax.platform_dependent(
        x,
        y,
        dy,
        cpu=partial(max_pool_gradient_by_slices, window),
        default=lambda x, y, dy: jax.vjp(lambda x: max_pool.fun(x, window), x)[1](dy)[0],
    )
    return (gradient,)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def max_pool_gradient_by_slices(window: Sequence[int], x: jax.Array, y: jax.Array, dy: jax.Array) -> jax.Array:
    """Gradient of `max_pool`, whose result is y, to the first of equal maxima; on CPU, XLA's own is much slower."""
    batch, *sizes, channels = y.shape
    taken, parts = jnp.zeros(y.shape, bool), []
    for offsets in itertools.product(*map(range, window)):
        places = (slice(o, o + w * n, w) for o, w, n in zip(offsets, window, sizes, strict=True))
        hit = (x[:, *places] == y) & ~taken
        taken |= hit
        parts.append(jnp.where(hit, dy, 0))
    dims = len(window)
    blocks = jnp.stack(parts).reshape(*window, *y.shape)
    order = [dims, *(axis for d in range(dims) for axis in (dims + 1 + d, d)), 2 * dims + 1]
    whole = blocks.transpose(order).reshape(batch, *(n * w for n, w in zip(sizes, window, strict=True)), channels)
    return jnp.pad(whole, [(0, a - b) for a, b in zip(x.shape, whole.shape, strict=True)])


def pixels_of_squares(x: jax.Array) -> list[jax.Array]:
    """The four pixels of every square of 2x2 of (N, H, W, C), H and W even, row by row: (N, H/2, W/2, C) each."""
    return [x[:, i::2, j::2] for i in range(2) for j in range(2)]


def largest(pixels: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The largest of four arrays, and which it is, the first of equal ones: uint8, 0..3."""
    a, b, c, d = pixels
    y = jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
    return y, jnp.where(a == y, 0, jnp.where(b == y, 1, jnp.where(c == y, 2, 3))).astype(jnp.uint8)


def from_pixels(rows: Sequence[Sequence[jax.Array]]) -> jax.Array:
    """The picture (..., 2H, 2W, C) that has the pixels of every square of 2x2 from 2x2 arrays (..., H, W, C)."""
    *batch, height, width, channels = rows[0][0].shape
    pixels = jnp.stack([jnp.stack(row, axis=-2) for row in rows], axis=-4)
    return pixels.reshape(*batch, 2 * height, 2 * width, channels)


def spread(y: jax.Array, which: jax.Array) -> jax.Array:
    """Each value of (N, H, W, C) in the pixel of its square of 2x2 that `which` names, zeros elsewhere."""
    return from_pixels([[jnp.where(which == 2 * i + j, y, 0) for j in range(2)] for i in range(2)])
