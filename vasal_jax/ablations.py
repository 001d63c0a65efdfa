"""Ablations: what is taken from a model's inputs, to measure what it is worth. For NumPy and JAX arrays alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from vasal_jax.batch import Batch, PackedBatch

AnyBatch = TypeVar("AnyBatch", Batch, PackedBatch)

OTHER_MEL = "mel_of_another"
"""Name of the entry of a batch that holds the log-mel pictures of another video, (B, T, 16, 64, 64, 1)."""


@dataclass(frozen=True)
class Ablation:
    """One change of a model's inputs.

    Attributes:
      name: as it is written in tables, on the command line and in the keys of saved scores.
      change: maps a batch to the changed one. Neither the batch nor its arrays are written to.
      needs_other_sound: whether `change` reads `OTHER_MEL`.
    """

    name: str
    change: Callable[[Batch], Batch]
    needs_other_sound: bool = False


def _mute(batch: Batch) -> Batch:
    name = "mel_pictures" if "mel_pictures" in batch else "mel"  # a `PackedBatch`, of training
    arrays: Any = batch
    return Batch(**{**arrays, name: _zeros_like(arrays[name])})


def _take_other_sound(batch: Batch) -> Batch:
    assert OTHER_MEL in batch  # as `needs_other_sound` asks
    return {**batch, "mel": batch[OTHER_MEL]}


def _drop_faces(batch: Batch) -> Batch:
    zeros = {name: _zeros_like(value) for name, value in batch.items() if name.startswith("face_")}
    return Batch(**{**batch, **zeros})


def _freeze_motion(batch: Batch) -> Batch:
    return {**batch, "frames_past": batch["frames"]}


def _zeros_like(array: Any) -> Any:
    return array.__array_namespace__().zeros_like(array)


MUTED = Ablation("muted", _mute)
"""Silence: log-mel pictures of zeros."""
OTHER_SOUND = Ablation("another video's sound", _take_other_sound, needs_other_sound=True)
NO_FACES = Ablation("no faces", _drop_faces)
"""Face maps of zeros, face masks of False."""
NO_MOTION = Ablation("no motion", _freeze_motion)
"""Past frames that equal the frames."""

ABLATIONS = {ablation.name: ablation for ablation in (MUTED, OTHER_SOUND, NO_FACES, NO_MOTION)}

SENSES = {"sound": MUTED, "faces": NO_FACES}
"""What takes a sense away, by the sense."""


def without_senses(batch: AnyBatch, senses: Iterable[str]) -> AnyBatch:
    """The batch, packed or not, without each of `SENSES` that is named."""
    left: Any = batch
    for sense in senses:
        left = SENSES[sense].change(left)
    return left
