"""What stands beside the numbers of a table: the truth they are held against, and the model."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from vasal_jax.config import Memory
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.models.vasal import VASal


def truth_settings(evaluation: Evaluation, training_videos: int) -> dict[str, Any]:
    """What is scored against, and by which conventions.

    Args:
      evaluation: with the truths and the conventions.
      training_videos: how many the centre prior is learnt from.
    """
    truths, conventions = evaluation.truths, evaluation.conventions
    own = truths[0].has_pictures
    grid = "x".join(map(str, truths[0].video.grid[::-1]))
    learnt = f"mean density of {training_videos} training videos"
    masks = [truth.pixels(conventions)[1] for truth in truths]
    return {
        "videos": len(truths),
        "frames": sum(truth.video.n_frames for truth in truths),
        "frames_without_fixations": sum(int((~mask.any(1)).sum()) for mask in masks),
        "fixations": sum(int(mask.sum()) for mask in masks),
        "density": "the dataset's own maps" if own else f"Gaussian, sigma {conventions.sigma:g} pixels of {grid}",
        "sigma": None if own else conventions.sigma,
        "truth_resolution": "x".join(map(str, conventions.size[::-1])),
        "negatives_per_video": conventions.negatives,
        "centre_prior": learnt if training_videos else "Gaussian at the centre",
        "information_gain_over": "centre prior",
        "sim": "maps summing to 1, without stretching them first",
        "seed": conventions.seed,
        **evaluation.digests,
    }


def model_settings(path: Path, model: VASal) -> dict[str, Any]:
    """The weights' name and SHA-256, of all files of a folder in the order of their names, and the config."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return {
        "weights": path.name,
        "weights_sha256": digest.hexdigest(),
        "config": dataclasses.asdict(model.config),
    }


def memory_settings(model: VASal, chosen: Memory) -> dict[str, Any]:
    """What the recurrent state remembers, and what the weights say that they were trained with."""
    return {"memory": str(chosen), "trained_with_memory": None if model.memory is None else str(model.memory)}
