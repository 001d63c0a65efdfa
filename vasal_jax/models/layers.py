"""Convolutional layers with their parameters, and how they are applied to the frames of a clip."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from vasal_jax.ops.convolution import Prepared, conv2d, conv3d, conv_relu_pool, double, transform

Module = TypeVar("Module", bound=nnx.Module)

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
        self.transform: nnx.Variable | None = None  # see `for_inference`
        self.stride = stride
        self.padding = kernel_size[0] // 2 if padding is None else padding
        self.dtype = jnp.dtype(dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, ..., in_features) to (N, ..., out_features), in the compute type."""
        kernel, x = self.cast_kernel(), x.astype(self.dtype)
        y = conv3d(x, kernel) if x.ndim == 5 else conv2d(x, kernel, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)

    def pooled(self, x: jax.Array) -> jax.Array:
        """The largest of every 2x2 pixels of the ReLU of `self(x)`, for a 2-D convolution of stride 1 with a bias."""
        return conv_relu_pool(x.astype(self.dtype), self.cast_kernel(), self.bias[...].astype(self.dtype))

    def cast_kernel(self) -> jax.Array | Prepared:
        """The kernel in the compute type, with its transform where the model is `for_inference`."""
        kernel = self.kernel[...].astype(self.dtype)
        return kernel if self.transform is None else Prepared(kernel, self.transform.get_value())


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


def for_inference(model: Module) -> Module:
    """The model, on CPU with what its convolutions make of their kernels made once; its parameters are shared.

    In every call they take 40 MB and a fifth of the time to compile the released model. There is no gradient.
    """
    model = nnx.merge(*nnx.split(model))
    if jax.default_backend() != "cpu":
        return model
    for _, conv in nnx.iter_modules(model):
        if not isinstance(conv, Conv) or conv.transform is not None:
            continue
        if made := transform(conv.cast_kernel(), conv.stride, conv.padding):
            conv.transform = nnx.data(nnx.Variable(made))
    return model


def differentiated_as(other: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Has a function run as it is written, but as `other`, its equal, where a gradient is asked for."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = jax.custom_vjp(function)
        function.defvjp(lambda *args: jax.vjp(other, *args), lambda pull_back, dy: pull_back(dy))
        return function

    return decorate


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


def over_time(step: Callable[..., Any], state: Any, steps: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan`, on a GPU with all steps written out: there a loop's control takes as long as a step's arithmetic."""
    loop, written_out = (partial(lax.scan, step, reverse=reverse, unroll=unroll) for unroll in (1, True))
    return lax.platform_dependent(state, steps, cuda=written_out, default=loop)
