"""The mean, the spread and the least value of maps, to what float32 can say, and maps made of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Float32


class Moments(NamedTuple):
    """What the metrics need to know of a map before they look at its pixels."""

    low: Float32[Array, "*b"]
    rise: Float32[Array, "*b"]  # mean of x - low: 0 for a constant map, and for no other
    middle: Float32[Array, "*b"]  # the mean, as far as float32 can say it
    unit: Float32[Array, "*b"]  # 1 / rise, so that no square vanishes or overflows; 0 for a constant map
    rest: Float32[Array, "*b"]  # mean of (x - middle) * unit: what rounding left of the mean
    deviation: Float32[Array, "*b"]  # of x * unit, population
    pixels: int

    @classmethod
    def of(cls, x: Float[ArrayLike, "*b h w"]) -> "Moments":
        """Those of maps (..., H, W)."""
        x = jnp.asarray(x, jnp.float32)
        pixels = x.shape[-2] * x.shape[-1]
        low = x.min((-2, -1))
        rise = pairwise_sum(x - _per_map(low, 2)) / pixels
        middle, unit = low + rise, inverse(rise)
        centred = (x - _per_map(middle, 2)) * _per_map(unit, 2)
        rest = pairwise_sum(centred) / pixels
        variance = jnp.maximum(pairwise_sum(centred * centred) / pixels - rest * rest, 0)
        return cls(low, rise, middle, unit, rest, jnp.sqrt(variance), pixels)

    def centred(self, x: Float[ArrayLike, "*values"], axes: int = 2) -> Float32[Array, "*values"]:
        """Values of the map, (...) and `axes` more, minus `middle`, times `unit`."""
        return (jnp.asarray(x, jnp.float32) - _per_map(self.middle, axes)) * _per_map(self.unit, axes)

    def distribution(
        self, x: Float[ArrayLike, "*values"], min_max: bool = False, axes: int = 2
    ) -> Float32[Array, "*values"]:
        """Values of the map once it is not negative and sums to 1; uniform where there is nothing to share out."""
        floor = self.low if min_max else jnp.minimum(self.low, 0)
        mean = self.low - floor + self.rise * (1 + self.rest)
        # Divisions and choices a map in place of a pixel: they are a tenth of all that `score` takes.
        unit, least = inverse(mean) / self.pixels, jnp.where(mean == 0, 1 / self.pixels, 0)
        return (jnp.asarray(x, jnp.float32) - _per_map(floor, axes)) * _per_map(unit, axes) + _per_map(least, axes)


def inverse(x: Float32[Array, "*b"]) -> Float32[Array, "*b"]:
    """1 / x, or 0 for 0."""
    return jnp.where(x == 0, 0, 1 / jnp.where(x == 0, 1, x))


def pairwise_sum(x: Float32[Array, "*b h w"]) -> Float32[Array, "*b"]:
    """Sum over a map: lines first, so that many short sums are added instead of one long one.

    The barrier keeps XLA from making one of them again, which costs 1e-5 of the sum where it adds one by one.
    """
    return jax.lax.optimization_barrier(x.sum(-1)).sum(-1)


def _per_map(values: Array, axes: int) -> Array:
    """One number a map, (...), to be combined with its pixels or points."""
    return values.reshape(*values.shape, *(1,) * axes)
