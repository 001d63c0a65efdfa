"""How frames and steps are run through: all at once, one by one, or unrolled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from flax import nnx
from jax import lax
from jaxtyping import Shaped

from vasal_jax.ops.squares import Array


def differentiated_as(other: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function whose gradient is taken through `other`, an equal function."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = jax.custom_vjp(function)
        function.defvjp(lambda *args: jax.vjp(other, *args), lambda pull_back, dy: pull_back(dy))
        return function

    return decorate


def map_frames(method: Callable[..., Any], module: nnx.Module, *arrays: Shaped[Array, "n ..."]) -> Any:
    """`method(module, *arrays)`, for a method that treats the entries of its arrays (N, ...) independently.

    On CPU the method is called with one entry at a time: the activations of one frame stay in the cache and reuse the
    same memory. Those of a whole clip are faulted in page by page, which took longer than some of the convolutions. A
    gradient needs the activations of all frames anyway, so it is taken of all entries at once, as on accelerators.
    """
    graph, state = nnx.split(module)

    def at_once(state: nnx.State, *arrays: Array) -> Any:
        return method(nnx.merge(graph, state), *arrays)

    def one_by_one(state: nnx.State, *arrays: Array) -> Any:
        def single(entry: tuple[Array, ...]) -> Any:
            return jax.tree.map(lambda y: y[0], at_once(state, *(x[None] for x in entry)))

        return lax.map(single, arrays)

    @differentiated_as(at_once)
    def apply(state: nnx.State, *arrays: Array) -> Any:
        return lax.platform_dependent(state, *arrays, cpu=one_by_one, default=at_once)

    return apply(state, *arrays)


def scan_steps(step: Callable[..., Any], state: Any, steps: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan(step, state, steps)`; on a CUDA GPU all steps are unrolled, as a loop's control takes as long there as
    the arithmetic of a step."""
    loop, unrolled = (partial(lax.scan, step, reverse=reverse, unroll=unroll) for unroll in (1, True))
    return lax.platform_dependent(state, steps, cuda=unrolled, default=loop)
