"""How frames and steps are run through: all at once, one by one, or unrolled; and whose gradient is whose."""

from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import jax
from flax import nnx
from jax import lax
from jaxtyping import Shaped

from vasal_jax.ops.squares import Array

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
T = TypeVar("T")


@runtime_checkable  # by beartype, in tests
class Differentiable(Protocol[P, R_co]):
    """A function that is told its gradient by `defvjp(forward, backward)`, as `jax.custom_vjp` says."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., tuple[Any, ...]]) -> Any: ...


def custom_vjp(*nondiff_argnums: int) -> Callable[[Callable[P, R]], Differentiable[P, R]]:
    """`jax.custom_vjp`, which forgets the types of the function that it decorates; here they stay."""
    return lambda function: jax.custom_vjp(function, nondiff_argnums)


def differentiated_as(other: Callable[P, R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function whose gradient is taken through `other`, an equal function."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        function = custom_vjp()(function)
        function.defvjp(lambda *args: jax.vjp(other, *args), lambda pull_back, dy: pull_back(dy))
        return function

    return decorate


def map_frames(method: Callable[..., R], module: nnx.Module, *arrays: Shaped[Array, "n ..."]) -> R:
    """`method(module, *arrays)`, for a method that treats the entries of its arrays (N, ...) independently.

    On CPU the method is called with one entry at a time: the activations of one frame stay in the cache and reuse the
    same memory. Those of a whole clip are faulted in page by page, which took longer than some of the convolutions. A
    gradient needs the activations of all frames anyway, so it is taken of all entries at once, as on accelerators.
    """
    graph, state = nnx.split(module)

    def at_once(state: nnx.State, *arrays: Array) -> R:
        return method(nnx.merge(graph, state), *arrays)

    def one_by_one(state: nnx.State, *arrays: Array) -> R:
        def single(entry: tuple[Array, ...]) -> R:
            return jax.tree.map(lambda y: y[0], at_once(state, *(x[None] for x in entry)))

        return lax.map(single, arrays)

    @differentiated_as(at_once)
    def apply(state: nnx.State, *arrays: Array) -> R:
        return lax.platform_dependent(state, *arrays, cpu=one_by_one, default=at_once)

    return apply(state, *arrays)


def scan_steps(step: Callable[[S, Any], tuple[S, T]], state: S, steps: Any, reverse: bool = False) -> tuple[S, T]:
    """`lax.scan(step, state, steps)`; on a CUDA GPU all steps are unrolled, as a loop's control takes as long there as
    the arithmetic of a step. A number of steps that is open, in a program that is exported, stays a loop everywhere."""
    loop, unrolled = (partial(lax.scan, step, reverse=reverse, unroll=unroll) for unroll in (1, True))
    if not isinstance(jax.tree.leaves(steps)[0].shape[0], int):
        return loop(state, steps)
    return lax.platform_dependent(state, steps, cuda=unrolled, default=loop)
