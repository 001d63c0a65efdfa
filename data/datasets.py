"""Any supported dataset by its folder: what kind it is, its usable videos and its splits."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data import challenge, dhf1k, mvva, stavis
from data.records import Dataset
from data.splits import DEFAULT, Splits, parse_splits
from vasal_jax.errors import InputError


@dataclass(frozen=True)
class _Layout:
    """A layout whose datasets bring their own splits and maps."""

    recognises: Callable[[Path], bool]
    name: Callable[[Path], str]
    read: Callable[[Path, bool], tuple[Dataset, Splits]]


_LAYOUTS = (
    _Layout(challenge.is_challenge, lambda root: challenge.NAME, challenge.read_challenge),
    _Layout(dhf1k.is_dhf1k, lambda root: dhf1k.NAME, dhf1k.read_dhf1k),
    _Layout(dhf1k.is_clip_folders, dhf1k.clip_folders_name, dhf1k.read_clip_folders),
)


def own_name(root: str | os.PathLike) -> str | None:
    """The name of a dataset that brings its own splits and maps, from its folder's layout; None for any other one."""
    return next((layout.name(Path(root)) for layout in _LAYOUTS if layout.recognises(Path(root))), None)


def open_dataset(
    root: str | os.PathLike, dataset: str = "mvva", split: str | None = None, progress: bool = True
) -> tuple[Dataset, Splits]:
    """Reads a dataset folder; each bad video gets one logged line a problem and is left out.

    A folder with `fold_lists` in it has the STAViS layout, one with `TrainTestSplit.json` that of the AIM and NTIRE
    challenges, with video/ and annotation/ that of DHF1K, with training/ or testing/ that of Hollywood-2 and
    UCF-Sports; any other one is taken as the MVVA release.

    Args:
      root: the folder.
      dataset: in the STAViS layout, which of the datasets in it ("DIEM").
      split: a rule as of `parse_splits`. By default `test=281-343 validation=220-280`, in the STAViS layout the first
        pair of fold lists, in the others what the dataset says itself.
      progress: show a progress bar on standard error.

    Raises:
      InputError: no such folder, nothing usable in it, or the rule is none.
    """
    for layout in _LAYOUTS:
        if layout.recognises(Path(root)):
            records, splits = layout.read(Path(root), progress)
            return records, parse_splits(split) if split else splits
    if not (Path(root) / "fold_lists").is_dir():
        if dataset != "mvva":
            raise InputError(f"{root}: has no fold_lists, so it is no STAViS layout with a dataset {dataset!r} in it")
        splits = parse_splits(split or DEFAULT)
        return mvva.read_release(root, progress=progress)[0], splits
    lists = stavis.fold_lists(root, dataset)
    splits = parse_splits(split or _first_fold(lists, dataset))
    folds = [stavis.read_fold(root, dataset, fold, progress) for fold in _once(lists)]
    records = {record.id: record for fold in folds for record in fold.records}
    problems = tuple(problem for fold in folds for problem in fold.problems)
    return Dataset(dataset, sum(fold.found for fold in folds), tuple(records.values()), problems), splits


def _first_fold(lists: dict[str, Path], dataset: str) -> str:
    """The rule that the first pair of lists stands for."""
    names = {"training": ("train_1", "train"), "validation": ("val_1", "val"), "test": ("test_1", "test")}
    words = [
        f"{split}={shlex.quote(str(lists[name]))}" for split, two in names.items() for name in two if name in lists
    ]
    if not words:
        raise InputError(f"{dataset}: expected fold lists of fold 1, found {', '.join(lists)}; name lists in the split")
    return " ".join(words)


def _once(lists: dict[str, Path]) -> list[Path]:
    """Lists that together hold every video, each once: those of one fold, or one list where it stands alone."""
    fold = min(name.partition("_")[2] for name in lists)
    return [path for name, path in lists.items() if name.partition("_")[2] == fold]
