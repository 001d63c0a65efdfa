"""Each form of a convolution equals `ops.native` in values and gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasal_jax.ops import conv2d, conv3d, conv_relu_pool, conv_transpose2d, forms, max_pool, native
from vasal_jax.system import processor

SHAPES = [((2, 16, 8, 9, 1), 4), ((1, 5, 6, 6, 16), 3), ((3, 1, 4, 4, 2), 2)]


BY_TAPS = partial(native.conv3d_by_depth, conv=native.conv2d_by_taps)


def assert_equals_native(form, native_form, x, kernel, tolerance: float = 1e-5) -> None:
    """Values and gradients of two functions of (x, kernel), to `tolerance` of the largest magnitude."""
    expected, pull_back = jax.vjp(native_form, x, kernel)
    found, own_pull_back = jax.vjp(form, x, kernel)
    dy = np.random.default_rng(3).standard_normal(expected.shape).astype(np.float32)
    for ours, theirs in ((found, expected), *zip(own_pull_back(dy), pull_back(dy), strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("form", [conv3d, forms.conv3d_side_by_side, native.conv3d_by_depth, BY_TAPS])
@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
def test_conv3d_equals_native_in_values_and_gradients(shape, outputs, form):
    rng = np.random.default_rng(3)
    x, kernel = (rng.standard_normal(s).astype(np.float32) for s in (shape, (3, 3, 3, shape[-1], outputs)))
    assert_equals_native(form, native.conv3d, x, kernel)


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((2, 8, 8, 3), (3, 3, 3, 4), 1), ((1, 9, 12, 1), (5, 5, 1, 7), 2), ((1, 9, 12, 16), (7, 7, 16, 16), 2)],
)
def test_few_channels_equal_native(shape, kernel, stride, avx512, monkeypatch):
    monkeypatch.setattr(processor, "has", lambda *instructions: avx512)
    rng = np.random.default_rng(2)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, kernel))
    few, direct = (
        partial(f, stride=stride, padding=kernel.shape[0] // 2) for f in (forms.conv2d_few_channels, native.conv2d)
    )
    assert_equals_native(few, direct, x, kernel)


@pytest.mark.parametrize(("side", "size", "stride"), [(64, 3, 1), (32, 3, 1), (128, 5, 2)])
def test_bfloat16_products_are_the_convolution(side, size, stride, monkeypatch):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    rng = np.random.default_rng(6)
    x, kernel = (
        jnp.asarray(rng.standard_normal(shape), jnp.bfloat16) for shape in ((2, side, side, 64), (size, size, 64, 64))
    )
    found = jax.jit(conv2d, static_argnums=(2, 3))(x, kernel, stride, size // 2)
    program = str(jax.make_jaxpr(conv2d, static_argnums=(2, 3))(x, kernel, stride, size // 2))
    assert program.count("dot_general") >= 3
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(native.conv2d(*(a.astype(jnp.float32) for a in (x, kernel)), stride, size // 2))
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=0, atol=2**-7 * np.abs(exact).max())


@pytest.mark.parametrize("form", [conv_transpose2d, forms.conv_transpose2d_by_phases])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 16, 16, 24)])
def test_conv_transpose2d_equals_native_in_values_and_gradients(shape, form):
    rng = np.random.default_rng(4)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, (4, 4, shape[-1], 6)))
    assert_equals_native(form, native.conv_transpose2d, x, kernel)


@pytest.mark.parametrize(
    ("shape", "size", "outputs", "stride"),
    [((2, 8, 8, 3), 3, 4, 1), ((1, 12, 12, 6), 7, 20, 2), ((1, 64, 32, 64), 3, 64, 1), ((1, 64, 64, 64), 5, 64, 2)],
)
def test_conv2d_equals_native_in_values_and_gradients(shape, size, outputs, stride):
    rng = np.random.default_rng(4)
    x, kernel = (rng.standard_normal(s).astype(np.float32) for s in (shape, (size, size, shape[-1], outputs)))
    # `conv2d` takes stride and padding by position alone, as all functions with arguments that have no gradient.
    assert_equals_native(
        lambda x, k: conv2d(x, k, stride, size // 2), lambda x, k: native.conv2d(x, k, stride, size // 2), x, kernel
    )


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [((3, 8, 9, 3), (3, 3), 1), ((4, 6, 7, 16), (3, 3), 1), ((2, 6, 7, 9), (5, 5), 1), ((2, 5, 5, 8), (1, 1), 0)],
)
def test_kernel_gradient_is_that_of_the_native_convolution(shape, kernel, padding):
    rng = np.random.default_rng(8)
    x, kernel = (rng.standard_normal(size).astype(np.float32) for size in (shape, (*kernel, shape[-1], 5)))
    y, pull_back = jax.vjp(lambda k: native.conv2d(x, k, 1, padding), kernel)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    (expected,) = pull_back(dy)
    found = forms.kernel_gradient(kernel.shape, padding, x, dy)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_sum_over_taps_adds_up_in_float32():
    x, kernel = (jnp.ones(shape, jnp.bfloat16) for shape in ((1, 4, 4, 3), (3, 3, 3, 2)))
    x = x.at[:, 0, 0].set(1024)  # in bfloat16 1024 + 1 is 1024
    found = native.conv2d_by_taps(x, kernel)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[0, 1, 1], jnp.full(2, 3 * 1024 + 24, jnp.bfloat16))


# The last is large enough for Winograd's form.
@pytest.mark.parametrize("shape", [(2, 12, 8, 5), (2, 32, 32, 64), (2, 64, 32, 64)])
def test_pooling_first_hands_the_gradient_to_the_first_of_equal_pixels(shape):
    """Exactly so, on whole numbers, of which many are equal."""
    rng = np.random.default_rng(5)
    x, kernel, bias = (rng.integers(-1, 2, s).astype(np.float32) for s in (shape, (3, 3, shape[-1], 64), (64,)))

    def in_turn(x, kernel, bias):
        return max_pool(jax.nn.relu(native.conv2d(x, kernel) + bias), (2, 2))

    expected, pull_back = jax.vjp(in_turn, x, kernel, bias)
    found, own_pull_back = jax.vjp(conv_relu_pool, x, kernel, bias)
    dy = rng.integers(-2, 3, expected.shape).astype(np.float32)
    ours = [conv_relu_pool(x, kernel, bias), found, *own_pull_back(dy)]
    for mine, other in zip(ours, [expected, expected, *pull_back(dy)], strict=True):
        np.testing.assert_array_equal(mine, other)
