"""The hand-written gradient and the scan of the ConvLSTM, against plain differentiation."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vasal_jax.models.convlstm import ConvLSTM, ConvLSTMCell, scan_cell
from vasal_jax.ops import conv2d


def unrolled(gates, kernel, state):
    """The recurrence written out step by step from its equations, for automatic differentiation."""
    h, c = state
    outputs = []
    for gates_x in gates:
        i, f, g, o = jnp.split(gates_x + conv2d(h, kernel), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs), (h, c)


@pytest.mark.parametrize(("steps", "batch", "hidden"), [(1, 1, 2), (5, 2, 3), (12, 1, 8)])
def test_values_and_every_gradient_equal_plain_differentiation(steps, batch, hidden):
    rng = np.random.default_rng(steps)

    def drawn(*shape):
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    gates = drawn(steps, batch, 6, 7, 4 * hidden)
    kernel = 0.3 * drawn(3, 3, hidden, 4 * hidden)
    state = drawn(batch, 6, 7, hidden), drawn(batch, 6, 7, hidden)
    # Cotangents on every output: each step's h, and the final h and c.
    weights = jax.tree.map(lambda x: drawn(*x.shape), jax.eval_shape(unrolled, gates, kernel, state))

    def loss(function):
        def total(*args):
            return sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), function(*args), weights)))

        return jax.value_and_grad(total, argnums=(0, 1, 2))

    chex.assert_trees_all_close(scan_cell(gates, kernel, state), unrolled(gates, kernel, state), rtol=1e-5, atol=1e-5)
    ours, theirs = (jax.jit(loss(f))(gates, kernel, state) for f in (scan_cell, unrolled))
    chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_two_halves_with_the_carry_equal_one_run():
    lstm = ConvLSTM(3, (4, 2), dtype="float32", rngs=nnx.Rngs(1))
    x = np.random.default_rng(1).standard_normal((2, 7, 5, 6, 3)).astype(np.float32)
    whole, last = lstm(x)
    first, carry = lstm(x[:, :3])
    second, carry = lstm(x[:, 3:], carry)
    chex.assert_shape(whole, (2, 7, 5, 6, 2))
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    chex.assert_trees_all_close(carry, last, atol=1e-6)


def test_batch_entries_are_independent():
    lstm = ConvLSTM(3, (4, 2), dtype="float32", rngs=nnx.Rngs(2))
    x = np.random.default_rng(2).standard_normal((2, 4, 5, 6, 3)).astype(np.float32)
    both, _ = lstm(x)
    alone, _ = lstm(x[1:])
    np.testing.assert_allclose(both[1:], alone, atol=1e-6)


def test_bfloat16_remembers_over_many_steps_as_float32_does():
    """A forget gate of 0.998 would be 1.0 in bfloat16, and inputs of 0.001 would not change a c of 0.5."""

    def cell(dtype: str) -> ConvLSTMCell:
        cell = ConvLSTMCell(1, 2, dtype=dtype, rngs=nnx.Rngs(0))
        input_gate, forget, content, output = -2.0, 6.2, 0.0, 0.0
        cell.input.bias[...] = np.repeat([input_gate, forget, content, output], 2).astype(np.float32)
        cell.input.kernel[...] = 0.02 * cell.input.kernel[...]
        cell.recurrent.kernel[...] = 0.02 * cell.recurrent.kernel[...]
        return cell

    x = np.random.default_rng(4).uniform(1, 2, (1, 600, 4, 4, 1)).astype(np.float32)
    exact, rough = (nnx.jit(lambda cell, x: cell(x)[1])(cell(dtype), x) for dtype in ("float32", "bfloat16"))
    assert np.abs(exact[1]).max() > 0.5
    np.testing.assert_allclose(rough[1], exact[1], rtol=0, atol=0.01 * np.abs(exact[1]).max())


def test_gradients_of_bfloat16_are_near_those_of_float32():
    rng = np.random.default_rng(6)
    gates, kernel, h, c = (
        jnp.asarray(rng.standard_normal(shape), jnp.float32)
        for shape in ((5, 1, 6, 7, 8), (3, 3, 2, 8), (1, 6, 7, 2), (1, 6, 7, 2))
    )

    def gradients(dtype):
        args = gates.astype(dtype), 0.3 * kernel.astype(dtype), (h.astype(dtype), c)
        return jax.grad(lambda *args: sum((y**2).sum() for y in jax.tree.leaves(scan_cell(*args))), (0, 1, 2))(*args)

    rough, exact = gradients("bfloat16"), gradients("float32")
    assert [x.dtype for x in rough[2]] == [jnp.dtype("bfloat16"), jnp.dtype("float32")]
    for found, expected in zip(jax.tree.leaves(rough), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(found.astype("float32"), expected, rtol=0, atol=0.03 * np.abs(expected).max())
