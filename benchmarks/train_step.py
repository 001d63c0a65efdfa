"""A training step of the released model beside PyTorch: `python -m benchmarks.train_step`.

Both sides take the same clip, compute the KL loss and its gradient, and make an Adam update, in turn. Ours has huge
pages in either allocator setting, as train.py has. On a CPU: float32, with PyTorch eager as the release runs it and
channels-last. On an NVIDIA GPU: TF32 and bfloat16, with PyTorch eager and compiled beside. Needs jax, flax, optax,
orbax, torch and rich only.
"""

import statistics
import sys
from functools import partial

import jax
import numpy as np
import torch
from flax import nnx

from benchmarks.harness.jax_side import compute_type, drawn_clip, matrix_product, precision
from benchmarks.harness.processes import as_train_py_has_it, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Call, Comparison, compare
from benchmarks.harness.torch_side import WAYS, clip_of, finish, numbers, released_model, torch_device
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.sharding import make_mesh, parallelise, place, replicate
from vasal_jax.training.step import Training
from vasal_jax.weights.parameters import arrays

GMAC_A_FRAME = 15.3  # of the forward pass; a gradient costs about twice that again
GOALS = {
    "cpu": {("float32", "PyTorch eager"): 1.1, ("float32", "PyTorch channels-last"): None},
    "cuda": {
        ("bfloat16", "PyTorch eager"): 2.0,
        ("bfloat16", "PyTorch compiled channels-last bfloat16"): 1.2,
        ("bfloat16", "PyTorch channels-last bfloat16"): None,
        ("TF32", "PyTorch eager TF32"): None,
    },
}


def measure(rounds: int = 7, frames: int | None = None) -> list[Comparison]:
    """A training step of the released model, beside PyTorch."""
    device = in_fresh_process(torch_device)
    frames = frames or (4 if device == "cpu" else 12)
    sides = (partial(make, drawn_batch(frames)) for make in (jax_step, torch_step))
    found = compare(f"training step, {frames} frames", GOALS[device], *sides, rounds, as_train_py_has_it())
    for dtype, seconds in {each.dtype: statistics.median(each.ours) for each in found}.items():
        reached = 3 * 2 * GMAC_A_FRAME * frames / seconds
        print(f"training step in {dtype}: {frames / seconds:.1f} frames/s, {reached:.0f} GFLOP/s")
    print(in_fresh_process(matrix_products))
    return found


def drawn_batch(frames: int) -> dict[str, np.ndarray]:
    """A clip and its density, as `data.pipeline` has them."""
    rng = np.random.default_rng(0)
    density = rng.uniform(0, 1, (1, frames, 32, 32)).astype(np.float32)
    return drawn_clip(frames) | {
        "density": density / density.sum((2, 3), keepdims=True),
        "fixations": rng.uniform(0, 32, (1, frames, 34, 2)).astype(np.float32),
        "valid": np.ones((1, frames), bool),
    }


def jax_step(batch: dict[str, np.ndarray], dtype: str) -> Call:
    """Our side, in a compute type."""
    config = ModelConfig.released(dtype=compute_type(dtype))
    training = Training(config, LossWeights(), OptimizerConfig(), updates=1_000_000)
    mesh = make_mesh()
    state = replicate(training.initial_state(arrays(VASal(config, rngs=nnx.Rngs(0)))), mesh)
    placed = place(batch, mesh)
    run = parallelise(training.step, mesh, donate=True)

    def step() -> None:
        nonlocal state
        with precision(dtype):
            state, scalars = run(state, placed)
        jax.block_until_ready(scalars)

    return step


def torch_step(batch: dict[str, np.ndarray], name: str) -> Call:
    """PyTorch's side, in one of `WAYS`."""
    way = WAYS[name]
    module, clip = released_model(way).train(), clip_of(batch, way)
    density = torch.from_numpy(batch["density"][0]).flatten(1).to(torch_device())
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    forward = torch.compile(module) if way.compiled else module

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with numbers(way):
            logits = forward(*clip)
        log_map = torch.log_softmax(logits.float().flatten(1), 1)
        loss = (density * (density.clamp_min(1e-20).log() - log_map)).sum(1).mean()
        loss.backward()
        optimizer.step()
        finish()

    return step


def matrix_products() -> str:
    """What this device reaches in a large matrix product, in each type that it has."""
    types = ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16")
    return "a large matrix product: " + ", ".join(f"{matrix_product(t) / 1e9:.0f} GFLOP/s in {t}" for t in types)


if __name__ == "__main__":
    sys.exit(command("train_step", __doc__, frames=(int, "frames of the clip: 4 on a CPU, 12 on a GPU")))
