"""What is read of a synthetic dataset: by what it is known, what it is called, and what is known of its videos alone.

A folder that `data.synthetic` wrote has the layout of MVVA, and `synthetic.json` at its top says that it is synthetic.
Its videos are never called MVVA's, wherever above or below that file a reader starts.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data.gaze_law import GazeLaw
from data.mvva_files import MvvaVideo
from vasal_jax.errors import InputError
from vasal_jax.inputs.npz import open_npz
from vasal_jax.scenes import Scene
from vasal_jax.system.reading import read_json

SETTINGS_FILE = "synthetic.json"
_FOLDERS_ABOVE = 4  # between a video and the settings file, its own included
_LAW = "gaze_"  # before the names of `GazeLaw`'s arrays in a truth file


@dataclasses.dataclass(frozen=True, eq=False)
class SceneTruth:
    """What is known of a synthetic video and of no recorded one."""

    mouth_moving: np.ndarray  # bool (N,F), speaking or moving the mouth in silence
    object_positions: np.ndarray  # float32 (F,2) x, y of the passing object on the 1280x720 grid, NaN while absent
    openings: np.ndarray  # float32 (N,F) of the mouths, 0 shut .. 1 wide


@dataclasses.dataclass(frozen=True)
class SyntheticVideo(MvvaVideo):
    """One video of a synthetic dataset, in MVVA's layout."""

    truth_file: Path

    def gaze_density(self, frames: Sequence[int], size: tuple[int, int], sigma: float) -> np.ndarray | None:
        """As `GazeLaw.density`; None where the dataset was written before the law was kept."""
        law = read_gaze_law(self.truth_file)
        return None if law is None else law.density(frames, size, sigma)


def recognised(record: MvvaVideo) -> MvvaVideo:
    """The record, as what it is: one of a synthetic dataset where its video lies in one.

    Raises:
      InputError: the settings file is damaged.
    """
    root = _root_of(record.video)
    if root is None:
        return record
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    fields["dataset"] = dataset_name(root)
    return SyntheticVideo(**fields, truth_file=truth_path(root, record.id))


@lru_cache(maxsize=1024)
def dataset_name(root: Path) -> str:
    """What the synthetic dataset in a folder is called: that it is synthetic, and what its videos depend on.

    Raises:
      InputError: the settings file is damaged.
    """
    path = root / SETTINGS_FILE
    try:
        content = read_json(path, "the settings of a synthetic dataset", 2**20)
        settings = content["settings"]
        numbers = {name: settings[name] for name in ("seed", "seconds", "width", "height")} | {"v": content["version"]}
        style = settings.get("style", "drawn")  # older files name none
        if (
            style not in Scene.STYLES
            or not content["synthetic"]
            or not all(isinstance(number, int | float) for number in numbers.values())
        ):
            raise TypeError("other settings")
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: damaged, expected the settings of a synthetic dataset; write it again") from None
    name = "synthetic (seed {seed}, {seconds:g} s, {width}x{height}, version {v}{filmed})"
    return name.format(**numbers, filmed=", filmed" if style == "filmed" else "")


def truth_path(root: str | os.PathLike, video: str) -> Path:
    """Where what is known of one video lies; the ID may be padded or not."""
    return Path(root) / "truth" / f"{video:0>3}.npz"


def write_truth(path: Path, truth: SceneTruth, law: GazeLaw) -> None:
    """Writes a truth file."""
    np.savez(path, **vars(truth), **{_LAW + name: array for name, array in vars(law).items()})


def read_truth(root: str | os.PathLike, video: str) -> SceneTruth:
    """Reads what is known of one video of a synthetic dataset; the ID may be padded or not.

    Raises:
      InputError: no such video in it, or a damaged file.
    """
    return SceneTruth(**_read(truth_path(root, video), [field.name for field in dataclasses.fields(SceneTruth)]))


@lru_cache(maxsize=8)
def read_gaze_law(path: Path) -> GazeLaw | None:
    """Reads the law of the gaze of one video; None where the file was written before it was kept.

    Raises:
      InputError: no such file, or a damaged one.
    """
    names = [field.name for field in dataclasses.fields(GazeLaw)]
    arrays = _read(path, [_LAW + name for name in names], optional=True)
    return GazeLaw(*(arrays[_LAW + name] for name in names)) if arrays else None


def _root_of(video: Path) -> Path | None:
    """The folder of the synthetic dataset that a video lies in."""
    return _marked_folder(video.resolve().parent)


@lru_cache(maxsize=1024)
def _marked_folder(folder: Path) -> Path | None:
    above = (folder, *folder.parents)[:_FOLDERS_ABOVE]
    return next((place for place in above if (place / SETTINGS_FILE).is_file()), None)


def _read(path: Path, names: Sequence[str], optional: bool = False) -> Mapping[str, Any]:
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file; only datasets written by data.synthetic have it")
        with open_npz(path, "what is known of a synthetic video") as arrays:
            if optional and not set(names) <= set(arrays.members):
                return {}
            return {name: arrays.read(name) for name in names}
    except InputError:
        raise
    # A damaged archive ends in nearly any exception.
    except Exception as error:
        raise InputError(f"{path}: damaged file ({type(error).__name__}); delete it and run data.synthetic") from None
