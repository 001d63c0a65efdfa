"""The forms of a convolution that one platform prefers must equal those of the others."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasal_jax.ops import convolution
from vasal_jax.system import processor

SHAPES = [((2, 16, 8, 9, 1), 4), ((1, 5, 6, 6, 16), 3), ((3, 1, 4, 4, 2), 2)]


BY_TAPS = partial(convolution.conv3d_by_depth, conv=convolution.conv2d_by_taps)


@pytest.mark.parametrize("form", [convolution.conv3d, convolution.conv3d_wide, convolution.conv3d_by_depth, BY_TAPS])
@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
def test_conv3d_equals_native_in_values_and_gradients(shape, outputs, form):
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 3, shape[-1], outputs)).astype(np.float32)
    weight = rng.standard_normal((*shape[:-1], outputs)).astype(np.float32)
    native, found = (f(x, kernel) for f in (convolution.conv3d_native, form))
    np.testing.assert_allclose(found, native, atol=1e-5 * np.abs(native).max(), rtol=0)
    gradients = [
        jax.grad(lambda x, k, f=f: (f(x, k) * weight).sum(), argnums=(0, 1))(x, kernel)
        for f in (convolution.conv3d_native, form)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.abs(ours).max(), rtol=0)


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((2, 8, 8, 3), (3, 3, 3, 4), 1), ((1, 9, 12, 1), (5, 5, 1, 7), 2), ((1, 9, 12, 16), (7, 7, 16, 16), 2)],
)
def test_narrow_convolution_is_the_native_one(shape, kernel, stride, avx512, monkeypatch):
    monkeypatch.setattr(processor, "has", lambda *instructions: avx512)
    rng = np.random.default_rng(2)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, kernel))
    forms = (convolution.conv2d_native, convolution.conv2d_narrow)
    native, narrow = (jax.vjp(lambda x, k, f=f: f(x, k, stride, kernel.shape[0] // 2), x, kernel) for f in forms)
    dy = rng.standard_normal(native[0].shape).astype(np.float32)
    ours, theirs = ([value, *pull_back(dy)] for value, pull_back in (narrow, native))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize(("side", "size", "stride"), [(64, 3, 1), (32, 3, 1), (128, 5, 2)])
def test_bfloat16_products_are_the_convolution(side, size, stride, monkeypatch):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    rng = np.random.default_rng(6)
    x, kernel = (
        jnp.asarray(rng.standard_normal(shape), jnp.bfloat16) for shape in ((2, side, side, 64), (size, size, 64, 64))
    )
    found = jax.jit(convolution.conv2d, static_argnums=(2, 3))(x, kernel, stride, size // 2)
    program = str(jax.make_jaxpr(convolution.conv2d, static_argnums=(2, 3))(x, kernel, stride, size // 2))
    assert program.count("dot_general") >= 3
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(convolution.conv2d_native(*(a.astype(jnp.float32) for a in (x, kernel)), stride, size // 2))
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=0, atol=2**-7 * np.abs(exact).max())


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 16, 16, 24)])
def test_doubling_by_phases_is_the_native_one(shape):
    rng = np.random.default_rng(4)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, (4, 4, shape[-1], 6)))
    expected = convolution.double_native(x, kernel)
    found = convolution.double_by_phases(x, kernel)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [((3, 8, 9, 3), (3, 3), 1), ((4, 6, 7, 16), (3, 3), 1), ((2, 6, 7, 9), (5, 5), 1), ((2, 5, 5, 8), (1, 1), 0)],
)
def test_kernel_gradient_is_that_of_the_native_convolution(shape, kernel, padding):
    rng = np.random.default_rng(8)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, (*kernel, shape[-1], 5)))
    y, pull_back = jax.vjp(lambda k: convolution.conv2d_native(x, k, 1, padding), kernel)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    (expected,) = pull_back(dy)
    found = convolution.kernel_gradient(kernel.shape, padding, x, dy)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_sum_over_taps_adds_up_in_float32():
    x, kernel = (jnp.ones(shape, jnp.bfloat16) for shape in ((1, 4, 4, 3), (3, 3, 3, 2)))
    x = x.at[:, 0, 0].set(1024)  # in bfloat16 1024 + 1 is 1024
    found = convolution.conv2d_by_taps(x, kernel)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[0, 1, 1], jnp.full(2, 3 * 1024 + 24, jnp.bfloat16))
