"""Max-pooling, with the gradient that the platform computes fastest."""

import itertools
from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from vasal_jax.ops import native
from vasal_jax.ops.control_flow import custom_vjp
from vasal_jax.ops.squares import Array


@custom_vjp(1)
def max_pool(x: Float[Array, "n *size c"], window: Sequence[int]) -> Float[jax.Array, "n *pooled c"]:
    """Maximum over blocks of `window` along the axes between the first and the last; a rest is dropped."""
    return native.max_pool(x, window)


def _max_pool_forward(x, window):
    return native.max_pool(x, window), x


def _max_pool_backward(window, x, dy):
    def of_xla(x, dy):
        return jax.vjp(lambda x: native.max_pool(x, window), x)[1](dy)[0]

    by_slices = partial(max_pool_gradient_by_slices, window)
    return (lax.platform_dependent(x, dy, cpu=by_slices, default=of_xla),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def max_pool_gradient_by_slices(
    window: Sequence[int],
    x: Float[Array, "n *size c"],
    dy: Float[Array, "n *pooled c"],
) -> Float[jax.Array, "n *size c"]:
    """Gradient of `max_pool` at x: dy goes to the first of equal maxima. On a CPU XLA's own is much slower."""
    batch, *sizes, channels = dy.shape
    corners = []
    for offsets in itertools.product(*map(range, window)):
        places = (slice(o, o + w * n, w) for o, w, n in zip(offsets, window, sizes, strict=True))
        corners.append(x[:, *places])
    # XLA may compute x once more here, with other roundings than where its maximum was taken: so that is taken anew.
    y = reduce(jnp.maximum, corners)
    taken, parts = jnp.zeros(y.shape, bool), []
    for corner in corners:
        hit = (corner == y) & ~taken
        taken |= hit
        parts.append(jnp.where(hit, dy, 0))
    dims = len(window)
    blocks = jnp.stack(parts).reshape(*window, *y.shape)
    order = [dims, *(axis for d in range(dims) for axis in (dims + 1 + d, d)), 2 * dims + 1]
    whole = blocks.transpose(order).reshape(batch, *(n * w for n, w in zip(sizes, window, strict=True)), channels)
    return jnp.pad(whole, [(0, a - b) for a, b in zip(x.shape, whole.shape, strict=True)])
