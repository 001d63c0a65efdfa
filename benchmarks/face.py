"""What the face branch adds to the forward pass: `python -m benchmarks.face`.

A 12-frame clip of released size with a ready-made face map, beside the same model that makes its map of 4 faces,
without and with sound; all sides in turn. Exit code 1 where a branch adds more than 35%. Needs torch, for the line
of versions, and rich besides the core.
"""

import sys
from functools import partial

import numpy as np

from benchmarks.harness.jax_side import drawn_clip, forward_call
from benchmarks.harness.processes import fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison, Side, interleave
from vasal_jax.config import CLIP_LENGTH as T
from vasal_jax.models import ModelConfig

GOAL = 1 / 1.35
BARE = "ready-made map"
PRESETS = {
    BARE: ModelConfig.released,
    "face branch": ModelConfig.full,
    "face branch with sound": ModelConfig.full_audio_faces,
}


def measure(rounds: int = 7, faces: int = 4) -> list[Comparison]:
    """The model with a face branch against the same model without one."""
    batch = drawn_batch(faces)
    with fresh_process() as process:
        sides = {
            name: Side(process, partial(forward_call, make(), batch, faces=faces)) for name, make in PRESETS.items()
        }
        seconds = interleave(sides, rounds)
    bare = seconds.pop(BARE)
    work = f"forward, {T} frames, {faces} faces"
    return [Comparison(f"{work}, {name}", BARE, "float32", values, bare, GOAL) for name, values in seconds.items()]


def drawn_batch(faces: int) -> dict[str, np.ndarray]:
    """A clip with so many faces."""
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.7, (1, T, faces, 2)).astype(np.float32)
    return drawn_clip(T) | {
        "face_crops": rng.uniform(0, 150, (1, T, faces, 64, 64, 3)).astype(np.float32),
        "face_boxes": np.concatenate([low, low + 0.2], -1),
        "face_mask": np.ones((1, T, faces), bool),
    }


if __name__ == "__main__":
    sys.exit(command("face", __doc__, strict=True, faces=(int, "faces in every frame, 4 by default")))
