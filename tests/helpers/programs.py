"""Inputs for exported programs."""

import numpy as np

from vasal_jax.exported import Program


def sampled(program: Program, videos: int, frames: int, faces: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs in the ranges of real ones, without the state; some of the faces are absent."""
    rng, sizes, inputs = np.random.default_rng(seed), {"B": videos, "T": frames, "N": faces}, {}
    for name, spec in program.interface.inputs.items():
        shape = [sizes.get(size, size) for size in spec.shape]
        if name == "face_mask":
            inputs[name] = rng.random(shape) < 0.7
        elif name == "face_boxes":
            inputs[name] = np.float32(rng.uniform(0, 0.4, shape) + np.array([0, 0, 0.5, 0.5]))
        else:
            inputs[name] = rng.uniform(0, 255, shape).astype(np.float32)
    return inputs


def handed_on(outputs: dict) -> dict:
    """The state that came out of a clip, under the names by which it goes into the next."""
    return {name.replace("next_", "carry_"): value for name, value in outputs.items() if name.startswith("next_")}
