"""A training step of the released model beside PyTorch: `python -m benchmarks.train_step`.

Both sides take the same clip, compute the KL loss and its gradient, and make an Adam update, in turn in one process. On
a CPU: float32, with PyTorch eager as the release runs it and channels-last, in both allocator settings. On an NVIDIA
GPU: float32, TF32 and bfloat16, with PyTorch eager and compiled beside (channels-last, bfloat16 autocast). Needs jax,
flax, optax, orbax, torch and rich only.
"""

import argparse
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from benchmarks import side_by_side
from benchmarks.forward import channels_last
from vasal_jax.losses import LossWeights
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.optimizer import OptimizerConfig
from vasal_jax.parameters import arrays
from vasal_jax.sharding import make_mesh, parallelise, place, replicate
from vasal_jax.torch_reference import VASalReference
from vasal_jax.training import Training

GMAC_A_FRAME = 15.3  # of the forward pass; a gradient costs about twice that again
Step = Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, help="frames of the clip: 4 on a CPU, 12 on a GPU")
    parser.add_argument("--allocator", choices=side_by_side.ALLOCATORS, help="run in this process, already set up")
    args = parser.parse_args()
    on_gpu = jax.default_backend() == "gpu"
    frames = args.frames or (12 if on_gpu else 4)
    if on_gpu:
        measure(gpu_sides(frames), frames, args.rounds, "the device's own")
    elif args.allocator is None:
        words = ("--rounds", str(args.rounds), "--frames", str(frames))
        return side_by_side.in_each_allocator("benchmarks.train_step", *words)
    else:
        measure(cpu_sides(frames), frames, args.rounds, args.allocator)
    return 0


def measure(sides: dict[str, Step], frames: int, rounds: int, allocator: str) -> None:
    """Prints the table, and how much of a large matrix product's speed the first side reaches."""
    ours, *others = side_by_side.interleave(sides, rounds)
    print(side_by_side.conditions())
    title = f"training step, {frames} frames, medians of {rounds}, allocator: {allocator}"
    side_by_side.print_table(title, ours, others, unit=1e-3 * frames, unit_name="ms a frame")
    reached = 3 * 2 * GMAC_A_FRAME * frames / ours.median
    print(f"{ours.name}: {frames / ours.median:.1f} frames/s, {reached:.0f} GFLOP/s; {matrix_products()}\n")


def cpu_sides(frames: int) -> dict[str, Step]:
    return {
        "JAX float32": jax_step(frames),
        "PyTorch eager": torch_step(frames, "cpu"),
        "PyTorch channels-last": torch_step(frames, "cpu", last=True),
    }


def gpu_sides(frames: int) -> dict[str, Step]:
    sides = {
        "JAX bfloat16": jax_step(frames, "bfloat16"),
        "JAX TF32": jax_step(frames, precision="tensorfloat32"),
        "JAX float32": jax_step(frames, precision="highest"),
    }
    for name, tf32 in (("PyTorch eager float32", False), ("PyTorch eager TF32", True)):
        sides[name] = torch_step(frames, "cuda", tf32=tf32)
    bf16 = {"last": True, "autocast": True}
    sides["PyTorch eager bfloat16 channels-last"] = torch_step(frames, "cuda", **bf16)
    sides["PyTorch compiled bfloat16 channels-last"] = torch_step(frames, "cuda", compiled=True, **bf16)
    return sides


def drawn(frames: int) -> dict[str, np.ndarray]:
    """A clip and its density, as `data.pipeline` has them."""
    rng = np.random.default_rng(0)
    shapes = {"frames": (256, 256, 3), "frames_past": (256, 256, 3), "mel": (16, 64, 64, 1), "face_map": (32, 32, 1)}
    batch = {name: rng.uniform(0, 150, (1, frames, *shape)).astype(np.float32) for name, shape in shapes.items()}
    density = rng.uniform(0, 1, (1, frames, 32, 32)).astype(np.float32)
    batch["density"] = density / density.sum((2, 3), keepdims=True)
    batch["fixations"] = rng.uniform(0, 32, (1, frames, 34, 2)).astype(np.float32)
    return batch | {"valid": np.ones((1, frames), bool)}


def jax_step(frames: int, dtype: str = "float32", precision: str | None = None) -> Step:
    training = Training(ModelConfig.released(dtype=dtype), LossWeights(), OptimizerConfig(), updates=1_000_000)
    mesh = make_mesh()
    state = replicate(training.initial_state(arrays(VASal(training.model, rngs=nnx.Rngs(0)))), mesh)
    batch = place(drawn(frames), mesh)
    run = parallelise(training.step, mesh, donate=True)

    def step() -> None:
        nonlocal state
        with jax.default_matmul_precision(precision):
            state, scalars = run(state, batch)
        jax.block_until_ready(scalars)

    return step


def torch_step(
    frames: int, device: str, last: bool = False, autocast: bool = False, tf32: bool = False, compiled: bool = False
) -> Step:
    module = VASalReference(ModelConfig.released()).train()
    batch = drawn(frames)
    names = ("frames_past", "frames", "mel", "face_map")
    clip = [torch.from_numpy(np.moveaxis(batch[name][0], -1, 1).copy()) for name in names]
    if last:
        for parameter in module.parameters():
            parameter.data = channels_last(parameter.data)
        clip = [channels_last(x) for x in clip]
    module, clip = module.to(device), [x.to(device) for x in clip]
    density = torch.from_numpy(batch["density"][0]).flatten(1).to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    forward = torch.compile(module) if compiled else module

    def step() -> None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            logits = forward(*clip)
        log_map = torch.log_softmax(logits.float().flatten(1), 1)
        loss = (density * (density.clamp_min(1e-20).log() - log_map)).sum(1).mean()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def matrix_products() -> str:
    """What this device reaches in a large matrix product, in each type that it has."""
    found = []
    for dtype in (jnp.float32, jnp.bfloat16) if jax.default_backend() == "gpu" else (jnp.float32,):
        size = 8192 if jax.default_backend() == "gpu" else 2048
        x = jnp.ones((size, size), dtype)
        product = jax.jit(lambda x: x @ x)
        product(x).block_until_ready()
        seconds = []
        for _ in range(5):
            begin = time.perf_counter()
            product(x).block_until_ready()
            seconds.append(time.perf_counter() - begin)
        found.append(f"{2 * size**3 / sorted(seconds)[2] / 1e9:.0f} GFLOP/s in {np.dtype(dtype).name}")
    return "a large matrix product: " + ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
