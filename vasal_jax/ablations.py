"""Ablations: what is taken from a model's inputs, to measure what it is worth. For NumPy and JAX arrays alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Arrays = dict[str, Any]

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
    change: Callable[[Arrays], Arrays]
    needs_other_sound: bool = False


def _mute(batch: Arrays) -> Arrays:
    return batch | {"mel": _zeros_like(batch["mel"])}


def _take_other_sound(batch: Arrays) -> Arrays:
    return batch | {"mel": batch[OTHER_MEL]}


def _drop_faces(batch: Arrays) -> Arrays:
    return {name: _zeros_like(value) if name.startswith("face_") else value for name, value in batch.items()}


def _freeze_motion(batch: Arrays) -> Arrays:
    return batch | {"frames_past": batch["frames"]}


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


def without_senses(batch: Arrays, senses: Iterable[str]) -> Arrays:
    """The batch without each of `SENSES` that is named."""
    for sense in senses:
        batch = SENSES[sense].change(batch)
    return batch
