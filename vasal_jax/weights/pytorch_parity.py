"""The converted model beside the PyTorch reference, stage by stage, on seeded inputs."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
import torch

from vasal_jax.config import CLIP_LENGTH, FRAME_SIZE, MAP_SIZE, MEL_SIZE, MEL_STEPS
from vasal_jax.models.vasal import FaceInputs, VASal, saliency
from vasal_jax.weights.pytorch_reference import VASalReference

TOLERANCE = 1e-4  # largest difference over largest magnitude, float32


class Stage(NamedTuple):
    """How far one tensor of the two models is apart; differences are the largest over its elements."""

    name: str
    shape: tuple[int, ...]  # (T, ...), channels last
    magnitude: float
    absolute: float
    relative: float  # absolute / magnitude

    @property
    def passed(self) -> bool:
        return self.relative <= TOLERANCE


def compare(model: VASal, state: Mapping[str, np.ndarray], seed: int = 0) -> list[Stage]:
    """Runs the reference with the state dict `state`, and `model`, on one drawn clip.

    The inputs are uniform in the ranges of real ones: frames -120..150, mel pictures 0..255, face maps -14.9..240.1.
    """
    rng = np.random.default_rng(seed)
    frames, past = (rng.uniform(-120, 150, (CLIP_LENGTH, FRAME_SIZE, FRAME_SIZE, 3)) for _ in range(2))
    mel = rng.uniform(0, 255, (CLIP_LENGTH, MEL_STEPS, MEL_SIZE, MEL_SIZE, 1))
    face_map = rng.uniform(-14.9, 240.1, (CLIP_LENGTH, MAP_SIZE, MAP_SIZE, 1))
    inputs = [x.astype(np.float32) for x in (frames, past, mel, face_map)]

    ours: dict[str, jax.Array] = {}
    with jax.default_matmul_precision("highest"):
        seen, before, heard, faces = (x[None] for x in inputs)
        logits = model(seen, before, heard, FaceInputs(faces), stages=ours).saliency_logits
    ours |= {"logits": logits[0], "saliency": saliency(logits)[0]}

    reference = VASalReference(model.config)
    reference.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    frames, past, mel, face_map = (torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))) for x in inputs)
    theirs: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        logits = reference(past, frames, mel, face_map, theirs)
        theirs["saliency"] = torch.softmax(logits.flatten(1), 1).reshape(logits.shape)
    return [_stage(name, np.asarray(ours[name]), tensor.numpy()) for name, tensor in theirs.items()]


def _stage(name: str, ours: np.ndarray, theirs: np.ndarray) -> Stage:
    theirs = np.moveaxis(theirs, 1, -1)
    if theirs.ndim > ours.ndim:  # ours has no channel axis where there is one channel
        theirs = theirs[..., 0]
    magnitude = float(np.abs(theirs).max())
    absolute = float(np.abs(ours - theirs).max())
    return Stage(name, ours.shape, magnitude, absolute, absolute / max(magnitude, float(np.finfo(np.float32).tiny)))
