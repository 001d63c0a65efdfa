"""Layers against PyTorch, `Conv.pooled` against convolution, ReLU and pooling in turn, and prepared kernels."""

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from vasal_jax.models import layers
from vasal_jax.ops import conv3d, forms, max_pool, native
from vasal_jax.system import processor

# The last is large enough for Winograd's form.
POOLED = [(2, 12, 8, 5), (2, 32, 32, 64), (2, 64, 32, 64)]


@pytest.mark.parametrize("shape", POOLED)
def test_pooling_first_equals_convolution_activation_and_pooling_in_turn(shape):
    conv = layers.Conv((3, 3), shape[-1], 64, dtype="float32", rngs=nnx.Rngs(0))
    rng = np.random.default_rng(5)
    conv.bias[...] = rng.standard_normal(64)
    x = rng.standard_normal(shape).astype(np.float32)
    graph, state = nnx.split(conv)

    def at_once(state, x):
        return nnx.merge(graph, state).pooled(x)

    def in_turn(state, x):
        return max_pool(jax.nn.relu(nnx.merge(graph, state)(x)), (2, 2))

    expected, pull_back = jax.vjp(in_turn, state, x)
    dy = rng.standard_normal(expected.shape).astype(np.float32)
    found, own_pull_back = jax.vjp(at_once, state, x)
    ours = [at_once(state, x), found, *jax.tree.leaves(own_pull_back(dy))]
    for mine, other in zip(ours, [expected, expected, *jax.tree.leaves(pull_back(dy))], strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=3e-6 * np.abs(other).max())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("size", "stride", "side", "channels", "prepared"),
    [
        (3, 1, 64, 64, True),
        (5, 2, 128, 64, True),
        (3, 1, 16, 64, True),  # prepared, though a picture this small is convolved without Winograd
        (3, 1, 64, 63, False),
        (7, 2, 64, 64, False),
    ],
)
def test_for_inference_prepares_kernels_once(size, stride, side, channels, prepared, dtype, monkeypatch):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    conv = layers.Conv((size, size), channels, 80, stride=stride, dtype=dtype, rngs=nnx.Rngs(0))
    ready = layers.for_inference(conv)
    assert (ready.transform is not None) == prepared
    assert conv.transform is None
    assert (layers.for_inference(ready).transform is not None) == prepared
    np.testing.assert_array_equal(ready.kernel[...], conv.kernel[...])
    x = np.random.default_rng(5).standard_normal((2, side, side, channels)).astype(np.float32)
    for method in (layers.Conv.__call__, layers.Conv.pooled) if (size, stride) == (3, 1) else (layers.Conv.__call__,):
        found, expected = (nnx.jit(method)(layer, x).astype(np.float32) for layer in (ready, conv))
        tolerance = 1e-6 if dtype == "float32" else 2**-7
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_same(ours, theirs, x, parameters) -> None:
    """Compares output and gradients (of a random weighted sum of it) of two functions of (x, *parameters), float32.

    `theirs` takes and returns channels first and our parameters, as PyTorch tensors.
    """
    torch_args = [torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)]
    torch_args += [torch.tensor(p, requires_grad=True) for p in parameters]
    expected = theirs(*torch_args)
    weight = np.random.default_rng(9).standard_normal(expected.shape).astype(np.float32)
    (expected * torch.tensor(weight)).sum().backward()
    found, pull_back = jax.vjp(ours, x, *parameters)
    gradients = pull_back(jax.numpy.asarray(np.moveaxis(weight, 1, -1)))
    pairs = [(np.moveaxis(np.asarray(found), -1, 1), expected.detach(), 1e-5)]
    pairs += [(np.moveaxis(np.asarray(gradients[0]), -1, 1), torch_args[0].grad, 1e-4)]
    pairs += [(g, a.grad, 1e-4) for g, a in zip(gradients[1:], torch_args[1:], strict=True)]
    for f, e, tolerance in pairs:
        assert f.shape == tuple(e.shape)
        np.testing.assert_allclose(f, e.numpy(), rtol=0, atol=tolerance * float(e.abs().max()))


def drawn(*shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("ours", [conv3d, native.conv3d, native.conv3d_by_depth, forms.conv3d_side_by_side])
def test_conv3d_is_that_of_pytorch(ours):
    def theirs(x, kernel):
        return torch.nn.functional.conv3d(x, kernel.permute(4, 3, 0, 1, 2), padding=1)

    assert_same(ours, theirs, drawn(2, 5, 6, 7, 3), [drawn(3, 3, 3, 3, 4)])


@pytest.mark.parametrize("channels", [(3, 4), (64, 128), (256, 256)])  # many channels take another form on CPU
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 2), (7, 2), (1, 1)])
def test_conv_is_that_of_pytorch(size, stride, channels):
    def ours(x, kernel, bias):
        layer = layers.Conv((size, size), *channels, stride=stride, dtype="float32", rngs=nnx.Rngs(0))
        layer.kernel[...], layer.bias[...] = kernel, bias
        return layer(x)

    def theirs(x, kernel, bias):
        return torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, size // 2)

    inputs, outputs = channels
    assert_same(ours, theirs, drawn(2, 36, 32, inputs), [drawn(size, size, *channels), drawn(outputs)])


@pytest.mark.parametrize("channels", [(3, 4), (64, 128)])
def test_transposed_conv_is_that_of_pytorch(channels):
    def ours(x, kernel):
        layer = layers.ConvTranspose(*channels, dtype="float32", rngs=nnx.Rngs(0))
        layer.kernel[...] = kernel
        return layer(x)

    def theirs(x, kernel):
        return torch.nn.functional.conv_transpose2d(x, kernel.flip(0, 1).permute(2, 3, 0, 1), stride=2, padding=1)

    assert_same(ours, theirs, drawn(2, 34, 32, channels[0]), [drawn(4, 4, *channels)])
