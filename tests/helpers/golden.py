"""Random weights and inputs from which the released model made `fixtures/released_forward_seed7.npz`."""

import zlib
from pathlib import Path

import cv2
import numpy as np

from vasal_jax.models import ModelConfig
from vasal_jax.weights.pytorch import pytorch_shapes

FIXTURES = Path(__file__).parents[1] / "fixtures"


def drawn_state(config: ModelConfig, seed: int = 7) -> dict[str, np.ndarray]:
    """Weights by released name: normal, scaled to keep the variance of signals through the layers."""
    state = {}
    for key, shape in pytorch_shapes(config).items():
        rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.05
        state[key] = (rng.standard_normal(shape) * scale).astype(np.float32)
    return state


def drawn_clip(seed: int = 7, steps: int = 12) -> tuple[np.ndarray, ...]:
    """x1, x2 (T,3,256,256), x3 (T,1,16,64,64), x4 (T,1,32,32): smooth noise in the ranges of real inputs."""
    rng = np.random.default_rng([seed, 1])
    drawn = [
        (rng.uniform(-120, 150, (steps, 3, 256, 256)), 3),
        (rng.uniform(-120, 150, (steps, 3, 256, 256)), 3),
        (rng.uniform(0, 255, (steps, 1, 16, 64, 64)), 3),
        (rng.uniform(-14.9, 240.1, (steps, 1, 32, 32)), 1),
    ]
    clip = []
    for values, sigma in drawn:
        values = values.astype(np.float32)
        planes = values.reshape(-1, *values.shape[-2:])
        clip.append(np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in planes]).reshape(values.shape))
    return tuple(clip)


def to_batch(*clips: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """The released model's inputs x1..x4 of each clip as one batch under this project's names, channels last."""
    x1, x2, x3, x4 = (np.stack(parts) for parts in zip(*clips, strict=True))
    return {
        "frames": np.moveaxis(x2, 2, -1),
        "frames_past": np.moveaxis(x1, 2, -1),
        "mel": np.moveaxis(x3, 2, -1),
        "face_map": np.moveaxis(x4, 2, -1),
    }
