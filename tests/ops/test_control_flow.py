"""Frames one by one and steps unrolled give what all frames at once and a scan give."""

from functools import partial

import chex
import jax
import numpy as np
import pytest
from flax import nnx
from jax import lax

from vasal_jax.models.layers import Conv
from vasal_jax.ops import map_frames, scan_steps


class Sum(nnx.Module):
    """Something with parameters and two inputs."""

    def __init__(self):
        self.conv = Conv((3, 3), 3, 2, dtype="float32", rngs=nnx.Rngs(0))

    def of_frame(self, x, y):
        return {"map": self.conv(x) * y[:, None, None], "sum": y.sum(1)}


def test_map_frames_equals_all_at_once_in_values_and_gradients():
    rng = np.random.default_rng(7)
    module = Sum()
    # Small whole numbers, whose sums are exact in every order.
    x, y, module.conv.kernel[...] = (
        rng.integers(-3, 4, shape).astype(np.float32) for shape in ((4, 6, 6, 3), (4, 2), (3, 3, 3, 2))
    )
    graph, state = nnx.split(module)

    def at_once(state, x, y):
        return nnx.merge(graph, state).of_frame(x, y)

    def mapped(state, x, y):
        return map_frames(Sum.of_frame, nnx.merge(graph, state), x, y)

    def loss(function):
        return jax.grad(lambda *args: sum((out**2).sum() for out in function(*args).values()), argnums=(0, 1, 2))

    for functions in ((mapped, at_once), (jax.jit(mapped), at_once), (loss(mapped), loss(at_once))):
        found, expected = (f(state, x, y) for f in functions)
        assert all(leaf.any() for leaf in jax.tree.leaves(expected))
        chex.assert_trees_all_equal(found, expected)


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_steps_equals_the_scan(platform, reverse, monkeypatch):
    monkeypatch.setattr(lax, "platform_dependent", lambda *args, default, **forms: forms.get(platform, default)(*args))
    x = np.random.default_rng(3).integers(-3, 4, (5, 2)).astype(np.float32)

    def step(state, x):
        return state * 2 + x, state - x

    def run(scan, start, x):
        return scan(step, start, x, reverse=reverse)

    for function in (run, lambda *args: jax.grad(lambda start, x: run(args[0], start, x)[1].sum())(*args[1:])):
        found, expected = (partial(function, scan)(np.ones(2, np.float32), x) for scan in (scan_steps, lax.scan))
        chex.assert_trees_all_equal(found, expected)
