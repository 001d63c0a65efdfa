"""Forward pass of a 12-frame clip beside PyTorch: `python -m benchmarks.forward`.

PyTorch runs the released graph three ways: eager as the release does, channels-last, and channels-last with bfloat16
autocast. All sides see the same weights and inputs, on the same threads, in turn. Needs rich besides the core.
"""

import sys

import jax
import numpy as np
import torch
from flax import nnx

from benchmarks import side_by_side
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.models.config import CLIP_LENGTH as T
from vasal_jax.models.vasal import saliency
from vasal_jax.torch_reference import VASalReference


def main() -> int:
    return side_by_side.command("benchmarks.forward", __doc__.splitlines()[0], measure, rounds=7)


def measure(rounds: int, allocator: str) -> None:
    """Prints the table of one allocator setting."""
    rng = np.random.default_rng(0)
    shapes = {"frames": (256, 256, 3), "frames_past": (256, 256, 3), "mel": (16, 64, 64, 1), "face_map": (32, 32, 1)}
    batch = {name: rng.uniform(0, 150, (1, T, *shape)).astype(np.float32) for name, shape in shapes.items()}
    config = ModelConfig.released()
    sides = {"JAX float32": jax_side(config, batch)}
    module = VASalReference(config).eval()
    clip = [
        torch.from_numpy(np.moveaxis(batch[n][0], -1, 1).copy()) for n in ("frames_past", "frames", "mel", "face_map")
    ]
    sides["PyTorch eager"] = torch_side(module, clip)
    last = VASalReference(config).eval()
    for parameter in last.parameters():
        parameter.data = channels_last(parameter.data)
    clip_last = [channels_last(x) for x in clip]
    sides["PyTorch channels-last"] = torch_side(last, clip_last)
    sides["PyTorch channels-last bfloat16"] = torch_side(last, clip_last, autocast=True)
    ours, *others = side_by_side.interleave(sides, rounds)
    print(side_by_side.conditions())
    title = f"forward, {T} frames, medians of {rounds}, allocator: {allocator}"
    side_by_side.print_table(title, ours, others, unit=1e-3 * T, unit_name="ms a frame")


def jax_side(config: ModelConfig, batch: dict[str, np.ndarray], faces: int = 0):
    model = VASal(config, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)
    carry = model.initial_carry(1, faces)

    @jax.jit
    def forward(state, batch, carry):
        logits, carry = nnx.merge(graph, state)(**batch, carry=carry)
        return saliency(logits), carry

    return lambda: jax.block_until_ready(forward(state, batch, carry))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """The tensor with its channels innermost in memory, where it has any."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.to(memory_format=formats[x.ndim]) if x.ndim in formats else x


def torch_side(module: torch.nn.Module, clip: list[torch.Tensor], autocast: bool = False):
    def forward() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return torch.softmax(module(*clip).flatten(1), 1)

    return forward


if __name__ == "__main__":
    sys.exit(main())
