"""What the face branch adds to the forward pass: `python -m benchmarks.face`.

A 12-frame clip of released size with a ready-made face map, beside the same model that makes its map of 4 faces,
without and with sound; all sides in turn. Exit code 1 where a branch adds more than 35%. Needs rich besides the core.
"""

import argparse
import statistics
import sys

import numpy as np

from benchmarks import side_by_side
from benchmarks.forward import jax_side
from vasal_jax.models import ModelConfig
from vasal_jax.models.config import CLIP_LENGTH as T

LIMIT = 0.35
PRESETS = {
    "ready-made map": ModelConfig.released,
    "face branch": ModelConfig.full,
    "face branch with sound": ModelConfig.full_audio_faces,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("--allocator", choices=side_by_side.ALLOCATORS, help="run in this process, already set up")
    args = parser.parse_args()
    if args.allocator is None:
        arguments = ("--rounds", str(args.rounds), "--faces", str(args.faces))
        return side_by_side.in_each_allocator("benchmarks.face", *arguments)
    batch = drawn_batch(args.faces)
    sides = {name: jax_side(preset(), batch, args.faces) for name, preset in PRESETS.items()}
    bare, *others = side_by_side.interleave(sides, args.rounds)
    print(side_by_side.conditions())
    title = f"forward, {T} frames, {args.faces} faces, medians of {args.rounds}, allocator: {args.allocator}"
    side_by_side.print_table(title, bare, others, unit=1e-3 * T, unit_name="ms a frame")
    added = {other.name: statistics.median(side_by_side.ratios(other, bare)) - 1 for other in others}
    for name, share in added.items():
        print(f"{name}: adds {share:.1%} (limit {LIMIT:.0%})")
    return int(max(added.values()) > LIMIT)


def drawn_batch(faces: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "frames": (256, 256, 3),
        "frames_past": (256, 256, 3),
        "mel": (16, 64, 64, 1),
        "face_map": (32, 32, 1),
        "face_crops": (faces, 64, 64, 3),
    }
    batch = {name: rng.uniform(0, 150, (1, T, *shape)).astype(np.float32) for name, shape in shapes.items()}
    low = rng.uniform(0, 0.7, (1, T, faces, 2)).astype(np.float32)
    return batch | {"face_boxes": np.concatenate([low, low + 0.2], -1), "face_mask": np.ones((1, T, faces), bool)}


if __name__ == "__main__":
    sys.exit(main())
