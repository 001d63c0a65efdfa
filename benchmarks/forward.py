"""Forward pass of a 12-frame clip beside PyTorch: `python -m benchmarks.forward`.

PyTorch runs the released graph eager as the release does, channels-last, and channels-last with bfloat16 autocast, on a
GPU compiled. All sides see the same inputs, in memory, on as many threads, in turn. A processor that cannot multiply
bfloat16 goes without it. Needs torch and rich besides the core.
"""

import sys

import torch

from benchmarks.harness.jax_side import compute_type, drawn_clip, forward_call
from benchmarks.harness.processes import in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Call, Comparison, compare
from benchmarks.harness.torch_side import WAYS, clip_of, finish, numbers, released_model, torch_device
from vasal_jax.config import CLIP_LENGTH as T
from vasal_jax.models import ModelConfig
from vasal_jax.system.processor import has_bfloat16

GOALS = {
    "cpu": {
        ("float32", "PyTorch eager"): 1.3,
        ("float32", "PyTorch channels-last"): 1.0,
        ("bfloat16", "PyTorch channels-last bfloat16"): 1.0,
        ("float32", "PyTorch channels-last bfloat16"): None,
    },
    "cuda": {
        ("bfloat16", "PyTorch eager"): 3.0,
        ("bfloat16", "PyTorch compiled channels-last bfloat16"): 1.3,
        ("float32", "PyTorch eager"): None,
        ("TF32", "PyTorch eager TF32"): None,
    },
}


def measure(rounds: int = 7) -> list[Comparison]:
    """The released model on one clip, beside PyTorch."""
    device = in_fresh_process(torch_device)
    goals = GOALS[device]
    if device == "cpu" and not has_bfloat16():
        goals = {sides: goal for sides, goal in goals.items() if "bfloat16" not in " ".join(sides)}
        print("bfloat16 is left out: this processor cannot multiply it, and PyTorch takes twenty times as long")

    return compare(f"forward, {T} frames", goals, ours, theirs, rounds)


def ours(dtype: str) -> Call:
    """Our side, in a compute type."""
    return forward_call(ModelConfig.released(dtype=compute_type(dtype)), drawn_clip(T), dtype)


def theirs(name: str) -> Call:
    """PyTorch's side, in one of `WAYS`."""
    way = WAYS[name]
    model, clip = released_model(way).eval(), clip_of(drawn_clip(T), way)
    run = torch.compile(model) if way.compiled else model

    def call() -> None:
        with torch.inference_mode(), numbers(way):
            torch.softmax(run(*clip).flatten(1), 1)
        finish()

    return call


if __name__ == "__main__":
    sys.exit(command("forward", __doc__))
