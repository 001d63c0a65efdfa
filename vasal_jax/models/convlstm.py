"""ConvLSTM: convolutional LSTM cells, stacked, scanned over time, made cheap to train.

A cell without peepholes (Shi et al. 2015, eq. 3, less the W_c terms):

    i, f, o = sigmoid(x * Wx + b + h * Wh)   g = tanh(x * Wx + b + h * Wh)
    c' = f c + i g                           h' = o tanh(c')

The four gates are one convolution. Its input half does not depend on h, so it runs for all T steps before the scan as
one batched convolution, and only the recurrent half is left inside.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Float

from vasal_jax.models.layers import Conv, at_least_float32, bias_of
from vasal_jax.ops import Array, PreparedKernel, conv2d, custom_vjp, flipped, scan_steps

State = tuple[Array, Array]  # h in the compute type and c in float32, each (B, H, W, hidden)
LSTMCarry = tuple[State, ...]  # one state a cell


class ConvLSTM(nnx.Module):
    """Stacked ConvLSTM cells. Gates lie along the channels in the order i, f, g, o."""

    def __init__(self, in_features: int, hidden: tuple[int, ...], *, dtype: str, rngs: nnx.Rngs):
        inputs = (in_features, *hidden[:-1])
        self.cells = nnx.List(ConvLSTMCell(i, h, dtype=dtype, rngs=rngs) for i, h in zip(inputs, hidden, strict=True))

    def __call__(
        self, x: Float[Array, "b t h w i"], carry: LSTMCarry | None = None
    ) -> tuple[Float[jax.Array, "b t h w o"], LSTMCarry]:
        """Runs every cell over time, one after the other.

        Args:
          x: (B, T, H, W, in_features).
          carry: a state for each cell, as returned by the call on the clip before; None is zeros.

        Returns:
          The last cell's h at every step, (B, T, H, W, hidden[-1]), and the carry after step T.
        """
        x, states = jnp.asarray(x), []
        for index, cell in enumerate(self.cells):
            x, state = cell(x, None if carry is None else carry[index])
            states.append(state)
        return x, tuple(states)

    def initial_carry(self, batch: int, height: int, width: int) -> LSTMCarry:
        """The carry before the first step: zeros, (batch, height, width, hidden) for h and c of each cell."""
        return tuple(cell.initial_state(batch, height, width) for cell in self.cells)


class ConvLSTMCell(nnx.Module):
    """One cell: 3x3 convolutions, padding 1, a bias on the input side only."""

    def __init__(self, in_features: int, hidden: int, *, dtype: str, rngs: nnx.Rngs):
        self.input = Conv((3, 3), in_features, 4 * hidden, dtype=dtype, rngs=rngs)
        self.recurrent = Conv((3, 3), hidden, 4 * hidden, use_bias=False, dtype=dtype, rngs=rngs)
        # A forget gate that starts open lets gradients reach far back from the first step of training on
        # (Jozefowicz et al. 2015).
        bias = bias_of(self.input)
        bias[...] = bias[...].at[hidden : 2 * hidden].set(1.0)
        self.hidden = hidden
        self.dtype = jnp.dtype(dtype)
        # c is a sum over all steps with forget gates near 1. In bfloat16 such a gate is 1 or 0.996, and a small input
        # does not change the sum.
        self.cell_dtype = jnp.dtype(at_least_float32(dtype))

    def __call__(
        self, x: Float[Array, "b t h w i"], state: State | None = None
    ) -> tuple[Float[jax.Array, "b t h w o"], State]:
        """Maps (B, T, H, W, in) and a state to (B, T, H, W, hidden) and the state after the last step."""
        batch, steps, height, width, _ = x.shape
        gates = self.input(x.reshape(-1, *x.shape[2:]))
        gates = gates.reshape(batch, steps, height, width, -1).swapaxes(0, 1)
        h, c = self.initial_state(batch, height, width) if state is None else state
        state = h.astype(self.dtype), c.astype(self.cell_dtype)
        h, state = scan_cell(gates, self.recurrent.cast_kernel(), state)
        return h.swapaxes(0, 1), state

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """Zeros for h and c."""
        shape = (batch, height, width, self.hidden)
        return jnp.zeros(shape, self.dtype), jnp.zeros(shape, self.cell_dtype)


@custom_vjp()
def scan_cell(
    gates: Float[Array, "t b h w gates"],
    kernel: Float[Array, "3 3 c gates"] | PreparedKernel,
    state: tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]],
) -> tuple[Float[jax.Array, "t b h w c"], State]:
    """The recurrence over time, given the input half of the gates.

    Args:
      gates: (T, B, H, W, 4C), the convolved inputs with their bias.
      kernel: (3, 3, C, 4C), the recurrent kernel, or a prepared one.
      state: h and c before the first step, (B, H, W, C) each. Activations are computed in the type of c.

    Returns:
      h at every step, (T, B, H, W, C), and the state after the last one.

    Its gradient is written by hand. Plain differentiation of the scan takes the kernel's gradient at every step and
    adds it up T times; here the backward scan yields the gates' gradients alone, and the kernel's follows from all
    steps at once as one convolution gradient over B*T pictures.
    """
    state, (h, _, _) = _forward_scan(gates, kernel, state)
    return h, state


def _forward_scan(gates, kernel, state):
    def step(state, gates_x):
        h, c = state
        i, f, g, o = _activate((gates_x + conv2d(h, kernel)).astype(c.dtype))
        c = f * c + i * g
        h = (o * jnp.tanh(c)).astype(h.dtype)
        return (h, c), (h, c, (i, f, g, o))

    return scan_steps(step, state, gates)


def _activate(gates):
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    return lax.logistic(i), lax.logistic(f), jnp.tanh(g), lax.logistic(o)


def _scan_cell_forward(gates, kernel, state):
    final, (h, c, activations) = _forward_scan(gates, kernel, state)
    return (h, final), (kernel, state, h, c, activations)


def _scan_cell_backward(residuals, cotangents):
    kernel, (h0, c0), h, c, activations = residuals
    dh_all, (dh_last, dc_last) = cotangents
    back = flipped(kernel)

    def step(carry, saved):
        dh, dc = carry
        dh_out, c_before, c_now, (i, f, g, o) = saved
        dh = dh + dh_out
        tanh_c = jnp.tanh(c_now)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        dgates = jnp.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dc * i * (1 - g * g),
                dh * tanh_c * o * (1 - o),
            ],
            -1,
        ).astype(h.dtype)
        return (conv2d(dgates, back), dc * f), dgates

    c_before = jnp.concatenate([c0[None], c[:-1]])
    (dh0, dc0), dgates = scan_steps(step, (dh_last, dc_last), (dh_all, c_before, c, activations), reverse=True)
    h_before = jnp.concatenate([h0[None], h[:-1]])
    flat = partial(jnp.reshape, shape=(-1, *h.shape[2:4], h.shape[4]))
    _, pull_back = jax.vjp(lambda k: conv2d(flat(h_before), k), kernel)
    (dkernel,) = pull_back(dgates.reshape(-1, *dgates.shape[2:]))
    return dgates, dkernel, (dh0, dc0)


scan_cell.defvjp(_scan_cell_forward, _scan_cell_backward)
