"""The convolutions with their gradients, and which form of each runs where."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from vasal_jax.ops import forms, native, winograd
from vasal_jax.ops.control_flow import custom_vjp
from vasal_jax.ops.native import Convolution
from vasal_jax.ops.squares import Array, unpool
from vasal_jax.system import processor

_Gradients = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # of (x, kernel, dy): dx, dkernel

_WIDE = 64
"""Channels from which matrix products keep a CPU busy."""


class PreparedKernel(NamedTuple):
    """A 2-D kernel with its transform for Winograd's form, so that a call does not compute it. For inference."""

    kernel: Array
    transform: winograd.Transform | None


def prepare_kernel(kernel: Float[Array, "*size i o"], stride: int, padding: int) -> PreparedKernel:
    """The kernel of any convolution; its transform is None where no call would use one."""
    used = jax.default_backend() == "cpu" and kernel.ndim == 4 and min(kernel.shape[2:]) >= _WIDE
    transform = winograd.transform_kernel(np.asarray(kernel), stride, padding) if used else None
    return PreparedKernel(kernel, jax.device_put(transform))


def _parts(kernel: Array | PreparedKernel) -> tuple[Array, winograd.Transform | None]:
    return kernel if isinstance(kernel, PreparedKernel) else (kernel, None)


def flipped(kernel: Float[Array, "*size i o"]) -> Float[jax.Array, "*size o i"]:
    """The kernel (..., I, O) turned by 180 degrees with its channels swapped: at stride 1 it maps dy to dx."""
    return jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-2, -1)


@custom_vjp(2, 3)
def conv2d(
    x: Float[Array, "n h w i"], kernel: Float[Array, "kh kw i o"] | PreparedKernel, stride: int = 1, padding: int = 1
) -> Float[jax.Array, "n h2 w2 o"]:
    """2-D convolution of (N, H, W, I) with (kh, kw, I, O) and `padding` zeros on every side: (N, H', W', O).

    A prepared kernel has no gradient.
    """
    kernel, transform = _parts(kernel)
    by_platform = _forms(x, kernel, stride, padding)
    if by_winograd := _winograd_form(x, kernel, stride, padding, of_bfloat16=True):
        by_platform["cpu"] = partial(by_winograd, transform=transform)
    elif _has_bfloat16_products(x, kernel) and (kernel.shape[:2], stride, padding) == ((3, 3), 1, 1):
        by_platform["cpu"] = forms.conv2d_by_rows
    return lax.platform_dependent(x, kernel, **by_platform)


def _forms(x: Array, kernel: Array, stride: int, padding: int) -> dict[str, Convolution]:
    """The form of a convolution that has a gradient, by platform."""
    by_winograd = _winograd_form(x, kernel, stride, padding)
    few, default = (partial(f, stride=stride, padding=padding) for f in (forms.conv2d_few_channels, native.conv2d))
    return {"cpu": by_winograd or few, "default": default}


def _winograd_form(
    x: Array, kernel: Array, stride: int, padding: int, of_bfloat16: bool = False
) -> winograd.Form | None:
    """Winograd's form, where it exists and is the fastest on a CPU."""
    pixels, channels = x.shape[1] * x.shape[2], min(kernel.shape[2:])
    # A smaller convolution does not keep all cores busy and is not worth the time that the transforms take to compile.
    large = x.dtype == jnp.float32 and channels >= _WIDE and pixels * channels >= 32 * 32 * 128
    if of_bfloat16 and _has_bfloat16_products(x, kernel):
        large = pixels >= 64 * 64
    return winograd.form(x.shape, kernel.shape, stride, padding) if large else None


def _has_bfloat16_products(x: Array, kernel: Array) -> bool:
    """Whether this CPU multiplies bfloat16, so that matrix products are the fastest form: XLA's convolution converts
    bfloat16 to float32."""
    return processor.has_bfloat16() and x.dtype == jnp.bfloat16 and min(kernel.shape[2:]) >= _WIDE


def _conv2d_forward(x, kernel, stride, padding):
    return lax.platform_dependent(x, kernel, **_forms(x, kernel, stride, padding)), (x, kernel)


def _gradients(form: Convolution, x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(form, x, kernel)[1](dy)


def _conv2d_backward(stride, padding, saved, dy):
    def with_products(x, kernel, dy):
        dx, _ = _gradients(by_platform["cpu"], x, kernel, dy)
        return dx, forms.kernel_gradient(kernel.shape, padding, x, dy)

    x, kernel = saved
    by_platform = _forms(x, kernel, stride, padding)
    gradients: dict[str, _Gradients] = {name: partial(_gradients, form) for name, form in by_platform.items()}
    if stride == 1 and not _winograd_form(x, kernel, stride, padding):
        gradients["cpu"] = with_products
    return lax.platform_dependent(x, kernel, dy, **gradients)


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


@custom_vjp()
def conv_relu_pool(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"] | PreparedKernel, bias: Float[Array, " o"]
) -> Float[jax.Array, "n h//2 w//2 o"]:
    """`max_pool` over 2x2 pixels of relu(conv2d(x, kernel) + bias), at stride 1: (N, H, W, I) to (N, H/2, W/2, O).

    H and W are even. The maximum is taken first: bias and ReLU keep the order of values, and are then computed on a
    quarter of the pixels. All that the gradient needs is which of the four pixels was the largest.
    """
    return _relu_of_largest(x, kernel, bias)[0]


def _relu_of_largest(x, kernel, bias):
    """The value of `conv_relu_pool`, and which of the four pixels each maximum is, by the form of the platform."""
    kernel, transform = _parts(kernel)
    by_platform = {"cpu": partial(native.conv_pool, conv=conv2d), "default": native.conv_pool}
    if _winograd_form(x, kernel, 1, 1, of_bfloat16=True):
        by_platform["cpu"] = partial(winograd.convolve_and_pool, transform=transform)
    y, which = lax.platform_dependent(x, kernel, **by_platform)
    return jax.nn.relu(y + bias), which


def _conv_relu_pool_forward(x, kernel, bias):
    y, which = _relu_of_largest(x, kernel, bias)
    return y, (x, kernel, y, which)


def _conv_relu_pool_backward(saved, dy):
    x, kernel, y, which = saved
    dy = jnp.where(y > 0, dy, 0)
    whole = lax.platform_dependent(dy, which, cpu=unpool, default=native.unpool)
    return *_conv2d_backward(1, 1, (x, kernel), whole), dy.sum((0, 1, 2))


conv_relu_pool.defvjp(_conv_relu_pool_forward, _conv_relu_pool_backward)


@custom_vjp()
def conv_transpose2d(x: Float[Array, "n h w i"], kernel: Float[Array, "4 4 i o"]) -> Float[jax.Array, "n 2*h 2*w o"]:
    """Transposed convolution of stride 2 and padding 1, (N, H, W, I) with (4, 4, I, O): (N, 2H, 2W, O)."""
    cpu, default = forms.conv_transpose2d_by_phases, native.conv_transpose2d
    return lax.platform_dependent(x, kernel, cpu=cpu, default=default)


def _conv_transpose2d_backward(saved, dy):
    x, kernel = saved
    # The operation is the transpose of an ordinary convolution of stride 2. That convolution maps dy to dx, and its
    # kernel's gradient is this kernel's. XLA's own gradient convolves a picture with zeros between the pixels, at a
    # tenth of the speed on CPU.
    dx, pull_back = jax.vjp(lambda k: conv2d(dy, k, 2, 1), flipped(kernel))
    (dflipped,) = pull_back(x)
    return dx, flipped(dflipped)


conv_transpose2d.defvjp(lambda x, kernel: (conv_transpose2d(x, kernel), (x, kernel)), _conv_transpose2d_backward)


@custom_vjp()
def conv3d(x: Float[Array, "n d h w i"], kernel: Float[Array, "3 3 3 i o"]) -> Float[jax.Array, "n d h w o"]:
    """3-D convolution of (N, D, H, W, I) with (3, 3, 3, I, O), one zero on every side: (N, D, H, W, O)."""
    cuda = native.conv3d_by_depth
    if native.has_few_taps(kernel):
        cuda = partial(cuda, conv=native.conv2d_by_taps)
    return lax.platform_dependent(x, kernel, cpu=forms.conv3d_side_by_side, cuda=cuda, default=native.conv3d)


def _conv3d_backward(saved, dy):
    def with_products(x, kernel, dy):
        return forms.conv3d_side_by_side(dy, flipped(kernel)), forms.kernel_gradient(kernel.shape, 1, x, dy)

    cuda, default = (partial(_gradients, form) for form in (native.conv3d_by_depth, native.conv3d))
    return lax.platform_dependent(*saved, dy, cpu=with_products, cuda=cuda, default=default)


conv3d.defvjp(lambda x, kernel: (conv3d(x, kernel), (x, kernel)), _conv3d_backward)
