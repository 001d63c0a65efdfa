"""The ConvLSTM alone, forward and backward, beside PyTorch: `python -m benchmarks.convlstm`.

Both stacked cells of the released sizes over a clip of 12 frames; gradients of the parameters and of the input. Needs
torch and rich besides the core.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from benchmarks.harness.jax_side import compute_type, precision
from benchmarks.harness.processes import in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Call, Comparison, compare
from benchmarks.harness.torch_side import WAYS, finish, numbers, placed, released_model, torch_device
from vasal_jax.config import CLIP_LENGTH as T
from vasal_jax.config import MAP_SIZE
from vasal_jax.models import ConvLSTM, ModelConfig

GOALS = {
    "cpu": {("float32", "PyTorch eager"): 1.0, ("float32", "PyTorch channels-last"): 1.0},
    "cuda": {("bfloat16", "PyTorch eager"): 2.0, ("bfloat16", "PyTorch channels-last bfloat16"): 2.0},
}


def measure(rounds: int = 7) -> list[Comparison]:
    """The ConvLSTM alone, forward and backward, beside PyTorch."""
    goals = GOALS[in_fresh_process(torch_device)]
    return compare(f"ConvLSTM, forward and backward, {T} frames", goals, ours, theirs, rounds)


def drawn() -> list[np.ndarray]:
    """What comes in, and what the loss, a weighted sum, hands back."""
    rng, config = np.random.default_rng(0), ModelConfig.released()
    channels = config.combine[-1], config.lstm[-1]
    return [rng.standard_normal((1, T, MAP_SIZE, MAP_SIZE, c)).astype(np.float32) for c in channels]


def ours(dtype: str) -> Call:
    """Our side, in a compute type."""
    config = ModelConfig.released()
    model = ConvLSTM(config.combine[-1], config.lstm, dtype=compute_type(dtype), rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)

    @jax.jit
    @jax.grad
    def gradients(inputs, weights):
        h, _ = nnx.merge(graph, inputs[0])(inputs[1])
        return jnp.sum(h.astype(jnp.float32) * weights)

    x, weights = jax.device_put(drawn())

    def call() -> None:
        with precision(dtype):
            jax.block_until_ready(gradients((state, x), weights))

    return call


def theirs(name: str) -> Call:
    """PyTorch's side, in one of `WAYS`."""
    way = WAYS[name]
    model = released_model(way)
    cells = torch.nn.Sequential(model.cell0, model.cell1)
    x, weights = (placed(torch.from_numpy(np.moveaxis(a[0], -1, 1).copy()), way) for a in drawn())
    x.requires_grad_()

    def call() -> None:
        cells.zero_grad(set_to_none=True)
        x.grad = None
        with numbers(way):
            h = cells(x)
        (h.float() * weights).sum().backward()
        finish()

    return call


if __name__ == "__main__":
    sys.exit(command("convlstm", __doc__))
