"""Winograd's form must equal the direct one, in values and gradients, wherever it says that it exists."""

from functools import partial

import jax
import numpy as np
import pytest

from vasal_jax.ops import conv2d, conv_relu_pool, native, winograd
from vasal_jax.ops.squares import pixels_of_squares
from vasal_jax.system import processor

FORMS = [(3, 1, 1), (5, 2, 2), (4, 2, 1)]  # size, stride, padding


def drawn(*shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("size", "stride", "padding"), FORMS)
@pytest.mark.parametrize("shape", [(2, 12, 8, 5), (1, 4, 4, 1)])
def test_equals_the_direct_form(shape, size, stride, padding):
    x, kernel = drawn(*shape), drawn(size, size, shape[-1], 7)
    form = winograd.form(x.shape, kernel.shape, stride, padding)
    expected, pull_back = jax.vjp(lambda x, k: native.conv2d(x, k, stride, padding), x, kernel)
    found, own_pull_back = jax.vjp(form, x, kernel)
    dy = drawn(*expected.shape)
    for ours, theirs in ((found, expected), *zip(own_pull_back(dy), pull_back(dy), strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("shape", "size", "stride", "padding"),
    [
        ((1, 5, 8, 1), 3, 1, 1),  # tiles would not fill it
        ((1, 8, 6, 1), 5, 2, 2),
        ((1, 8, 8, 1), 3, 2, 1),
        ((1, 8, 8, 1), 3, 1, 0),
        ((1, 8, 8, 1), 7, 2, 3),
    ],
)
def test_does_not_exist_for(shape, size, stride, padding):
    assert winograd.form(shape, (size, size, 1, 1), stride, padding) is None


def test_as_exact_as_the_direct_form_but_for_a_bit():
    """Against float64, with as many channels and pixels as the texture path has."""
    x, kernel = drawn(1, 64, 64, 128), drawn(3, 3, 128, 128)
    with jax.enable_x64(True):
        exact = np.asarray(native.conv2d(x.astype(np.float64), kernel.astype(np.float64)))
    direct, ours = (np.abs(f(x, kernel) - exact).max() for f in (native.conv2d, winograd.convolve))
    assert ours < 4 * direct


@pytest.mark.parametrize(("side", "bound"), [(60, 1.5e-6), (64, 5e-6)])  # tiles of 2x2 outputs, and of 4x4
def test_kernel_gradient_is_exact_to_two_or_three_bits_less_than_float32(side, bound):
    x, dy = drawn(1, side, 64, 96), drawn(1, side, 64, 64)
    with jax.enable_x64(True):
        direct = partial(native.conv2d, x.astype(np.float64))
        (exact,) = jax.vjp(direct, np.zeros((3, 3, 96, 64)))[1](dy.astype(np.float64))
    gradient = jax.jit(jax.vjp(partial(winograd.convolve, x), drawn(3, 3, 96, 64))[1])(dy)[0]
    gradient, exact = np.asarray(gradient), np.asarray(exact)  # JAX would take the difference in float32
    assert np.abs(gradient - exact).max() < bound * np.abs(exact).max()


@pytest.mark.parametrize(("cores", "strips"), [(1, 3), (2, 1)])
def test_cuts_large_pictures_into_strips_that_keep_every_core_busy(cores, strips, monkeypatch):
    monkeypatch.setattr(processor, "cores", lambda: cores)
    x, kernel = drawn(2, 96, 64, 128), drawn(3, 3, 128, 7)
    program = jax.make_jaxpr(lambda *args: winograd.convolve.fun(*args))(x, kernel)
    assert f"slice_sizes=(1, {96 // strips + 2}, 64, 128)" in str(program)
    expected, pull_back = jax.vjp(native.conv2d, x, kernel)
    found, own_pull_back = jax.vjp(winograd.convolve, x, kernel)
    dy = drawn(*expected.shape)
    for ours, theirs in ((found, expected), *zip(own_pull_back(dy), pull_back(dy), strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("side", "channels", "chosen"),
    [(32, 128, True), (64, 64, True), (32, 64, False), (128, 63, False), (33, 256, False), (16, 128, False)],
)
def test_is_chosen_on_cpu_for_large_pictures_with_many_channels(side, channels, chosen):
    x = jax.ShapeDtypeStruct((2, side, 32, channels), "float32")
    kernel = jax.ShapeDtypeStruct((3, 3, channels, 256), "float32")
    forward = jax.jit(conv2d).lower(x, kernel)
    gradient = jax.jit(jax.grad(lambda *args: conv2d(*args).sum(), argnums=(0, 1))).lower(x, kernel)
    for program in (forward, gradient):
        assert ("stablehlo.convolution" not in program.as_text()) == chosen


@pytest.mark.parametrize("shape", [(2, 12, 8, 5), (1, 4, 4, 1)])
def test_pooled_in_one_piece_equals_one_after_the_other(shape):
    x, kernel = drawn(*shape), drawn(3, 3, shape[-1], 7)
    pixels = pixels_of_squares(native.conv2d(x, kernel))
    found, which = winograd.convolve_and_pool(x, kernel)
    np.testing.assert_allclose(found, np.max(pixels, axis=0), rtol=0, atol=3e-6 * np.abs(pixels).max())
    np.testing.assert_array_equal(which, np.argmax(pixels, axis=0))


@pytest.mark.parametrize(("side", "channels", "chosen"), [(64, 64, True), (128, 32, False), (32, 64, False)])
def test_pools_in_one_piece_on_cpu_for_large_pictures_with_many_channels(side, channels, chosen):
    x, kernel = drawn(2, side, 32, channels), drawn(3, 3, channels, 64)
    program = jax.jit(conv_relu_pool).lower(x, kernel, drawn(64)).as_text()
    assert ("stablehlo.convolution" not in program) == chosen
