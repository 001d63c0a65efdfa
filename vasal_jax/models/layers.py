"""Convolutional layers with their parameters."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from vasal_jax.ops import Array, PreparedKernel, conv2d, conv3d, conv_relu_pool, conv_transpose2d, prepare_kernel

Module = TypeVar("Module", bound=nnx.Module)

_he_normal = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")  # keeps variance through a ReLU


def at_least_float32(dtype: str) -> str:
    """The type for what bfloat16 is too coarse for: sums over many steps, and logits before a softmax."""
    return jnp.promote_types(dtype, jnp.float32).name


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

    def __call__(self, x: Float[Array, "n *size i"]) -> Float[jax.Array, "n *size2 o"]:
        """Maps (N, ..., in_features) to (N, ..., out_features), in the compute type."""
        x = x.astype(self.dtype)
        if x.ndim == 5:
            y = conv3d(x, self.kernel[...].astype(self.dtype))
        else:
            y = conv2d(x, self.cast_kernel(), self.stride, self.padding)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)

    def pooled(self, x: Float[Array, "n h w i"]) -> Float[jax.Array, "n h//2 w//2 o"]:
        """The largest of every 2x2 pixels of the ReLU of `self(x)`, for a 2-D convolution of stride 1 with a bias."""
        return conv_relu_pool(x.astype(self.dtype), self.cast_kernel(), bias_of(self)[...].astype(self.dtype))

    def cast_kernel(self) -> jax.Array | PreparedKernel:
        """The kernel in the compute type, with its transform where the model is `for_inference`."""
        kernel = self.kernel[...].astype(self.dtype)
        return kernel if self.transform is None else PreparedKernel(kernel, self.transform.get_value())


def bias_of(layer: Conv | nnx.Linear) -> nnx.Param[jax.Array]:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


class ConvTranspose(nnx.Module):
    """The released model's transposed convolution: 4x4, stride 2, padding 1, no bias. It doubles the picture's sides.

    The kernel (4, 4, in, out) is stored as that of the ordinary convolution over the input with zeros between its
    pixels, that is, flipped against PyTorch's.
    """

    def __init__(self, in_features: int, out_features: int, *, dtype: str, rngs: nnx.Rngs):
        # Each output sees a quarter of the taps, hence the factor 4 against the ordinary fan-in.
        self.kernel = nnx.Param(2.0 * _he_normal(rngs.params(), (4, 4, in_features, out_features), jnp.float32))
        self.dtype = jnp.dtype(dtype)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[jax.Array, "n 2*h 2*w o"]:
        """Maps (N, H, W, in_features) to (N, 2H, 2W, out_features)."""
        return conv_transpose2d(x.astype(self.dtype), self.kernel[...].astype(self.dtype))


def for_inference(model: Module) -> Module:
    """The model with the kernels of its convolutions prepared; it shares its parameters with `model`.

    A convolution whose kernel `ops.prepare_kernel` leaves alone stays as it is. With prepared kernels each program of
    the released model takes 40 MB less and four fifths of the time to compile. The result has no gradient.
    """
    model = nnx.merge(*nnx.split(model))
    for _, conv in nnx.iter_modules(model):
        if isinstance(conv, Conv) and conv.transform is None:
            _, transform = prepare_kernel(conv.kernel[...].astype(conv.dtype), conv.stride, conv.padding)
            if transform is not None:
                conv.transform = nnx.data(nnx.Variable(transform))
    return model
