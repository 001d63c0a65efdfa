"""Rows of maps for one video: what the model makes of it without a sense, other weights, and maps made elsewhere."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasal_jax.ablations import MUTED, NO_FACES, NO_MOTION, Ablation
from vasal_jax.errors import InputError
from vasal_jax.evaluation.map_folders import SUFFIXES, VIDEO_SUFFIXES, VideoMaps, find_maps
from vasal_jax.inputs.video import count_frames
from vasal_jax.outputs.prediction_files import Outputs, open_outputs
from vasal_jax.web.models import Models
from vasal_jax.web.predicting import Prediction
from vasal_jax.web.rooms import Example

OTHER_SOUND = "another sound"
SWITCHES: dict[str, Ablation | None] = {
    "mute": MUTED,
    OTHER_SOUND: None,  # heard in place of the video's own
    "no faces": NO_FACES,
    "no motion": NO_MOTION,
}
"""What may be taken from the model's inputs on the page, by the name of the switch."""

_MADE_ELSEWHERE = "video"  # the name of the one video in a folder of maps
_MOST_FILES = 4000


@dataclass(frozen=True)
class Row:
    """Maps of one video under the name that is shown."""

    name: str
    maps: VideoMaps


def own_row(prediction: Prediction, name: str) -> Row:
    """The maps of the prediction itself."""
    assert prediction.outputs.maps is not None  # always written
    return Row(name, _of_npz(prediction.outputs.maps))


def switched_row(
    models: Models, prediction: Prediction, example: Example, switch: str, report: Callable[[int], object]
) -> Row:
    """The maps without what a switch takes away, computed once. Told of the number of each frame.

    Raises:
      InputError: no such switch.
    """
    if switch not in SWITCHES:
        raise InputError(f"expected one of {', '.join(SWITCHES)}, found {switch[:80]!r}")
    path = prediction.folder / f"{switch.replace(' ', '_')}.npz"
    options = {"ablation": SWITCHES[switch], "sound": example.other if switch == OTHER_SOUND else None}
    return Row(switch, _predicted(models, prediction, prediction.weights, path, options, report))


def other_row(models: Models, prediction: Prediction, weights: str, report: Callable[[int], object]) -> Row:
    """The maps of other weights, computed once. Raises `InputError` for weights that are not on the page."""
    names = list(models)
    if weights not in names:
        raise InputError(f"expected one of the weights on the page, found {weights[:80]!r}; choose from the list")
    path = prediction.folder / f"weights_{names.index(weights)}.npz"
    return Row(weights, _predicted(models, prediction, weights, path, {}, report))


def brought_row(prediction: Prediction, files: Sequence[Path], folder: Path) -> Row:
    """Maps made elsewhere: pictures whose names end in the frame's number, an `.npz`, or a grey video.

    Args:
      prediction: of the video that the maps are of.
      files: as they were uploaded; only the ending and the number of a name are used.
      folder: an empty one, which the files are put into.

    Raises:
      InputError: they hold no maps of the video's frames.
    """
    if not files:
        raise InputError("expected maps made elsewhere, found none; bring pictures, an .npz or a grey video")
    if len(files) > _MOST_FILES:
        raise InputError(f"expected at most {_MOST_FILES:,} pictures of maps, found {len(files):,}; bring a grey video")
    place = folder / _MADE_ELSEWHERE
    place.mkdir()
    for file in files:
        suffix = file.suffix.lower()
        if suffix in VIDEO_SUFFIXES and len(files) == 1:
            place.rmdir()
            shutil.copyfile(file, folder / f"{_MADE_ELSEWHERE}{suffix}")
        elif suffix in (".npz", *SUFFIXES):
            shutil.copyfile(file, place / file.name)
        else:
            known = ", ".join((*SUFFIXES, ".npz"))
            raise InputError(f"{file.name}: expected maps in {known}, or one grey video; found another kind of file")
    found, _ = find_maps(folder, {_MADE_ELSEWHERE: count_frames(prediction.info.path)})
    return Row("made elsewhere", found[_MADE_ELSEWHERE])


def _predicted(
    models: Models,
    prediction: Prediction,
    weights: str,
    path: Path,
    options: dict[str, Any],
    report: Callable[[int], object],
) -> VideoMaps:
    if not path.exists():
        frames = models[weights].stream(prediction.info, faces=prediction.faces, **options)
        settings = {"video": prediction.info.path.name, "weights": weights, "changed": path.stem}
        with open_outputs(Outputs(maps=path), prediction.info, None, settings) as add, closing(frames):
            for frame in frames:
                add(frame)
                report(frame.index + 1)
    return _of_npz(path)


def _of_npz(path: Path) -> VideoMaps:
    found, _ = find_maps(path.parent, {path.stem: 1})
    return found[path.stem]
