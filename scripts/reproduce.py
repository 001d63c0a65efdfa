"""A dataset from its folder to a page: prepares it, trains on it, scores the weights, takes senses away, and tells.

    python scripts/reproduce.py DATASET OUT

Each step is a command of this project that a person could type, and is run as a process of its own with its log in
OUT/logs. A step that is done is not done again; one that was stopped goes on where it was. At the end OUT/index.md has
every command with its time, the validations, the table of scores, and what each sense is worth with intervals and
tests; the page of `evaluate.py --report` lies beside it.
"""

import csv
import dataclasses
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from tyro.conf import Positional

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout: data, configs, train

from configs import PRESETS
from data.datasets import open_dataset
from vasal_jax.ablations import SENSES
from vasal_jax.errors import InputError
from vasal_jax.evaluation import comparison, result_files, tables
from vasal_jax.evaluation.scores import versions
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.locks import only_one
from vasal_jax.system.processes import finished_side_by_side
from vasal_jax.system.reading import read_json
from vasal_jax.system.terminal import run, say

ROOT = Path(__file__).parents[1]
MODEL = "weights"  # the name of the weights' file, and so of their row
ABLATIONS = ("--mute", "--shuffle-sound", "--drop-faces", "--freeze-motion")
_PRESETS_OF = {"synthetic": "synthetic_tiny", "challenge": "challenge"}  # by how a dataset's name begins


@dataclasses.dataclass(frozen=True)
class ReproduceArgs:
    """Prepare a dataset, train on it, evaluate, take senses away, and write a page; a stopped run is gone on with."""

    folder: Positional[Path]
    """The dataset, as `evaluate.py` takes it."""
    out: Positional[Path]
    """Where everything goes."""
    dataset: str = "mvva"
    """In the STAViS layout: which of the datasets, such as DIEM."""
    split_rule: str | None = None
    """Which video is in which split, as in "test=281-343 validation=220-280"; the default is the dataset's."""
    preset: str = ""
    """What to train; by default mvva_full for datasets with face tracks, mvva for those without, challenge and
    synthetic_tiny for what they are named after."""
    retrain: tuple[Literal["sound", "faces"], ...] = ()
    """Senses to train without as well, a training each; else they are only taken from the trained model."""
    train: str = ""
    """Further arguments of train.py, as in --train="--init start.safetensors --updates 20000"."""
    evaluate: str = ""
    """Further arguments of evaluate.py, as in --evaluate="--resolution 160x90"."""

    def __post_init__(self) -> None:
        if self.preset and self.preset not in PRESETS:
            raise InputError(f"--preset: expected one of {', '.join(PRESETS)}, found {self.preset!r}")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command."""

    name: str
    command: tuple[str, ...]
    """Python's arguments."""
    result: Path
    """What it makes."""


def reproduce(args: ReproduceArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    args.out.mkdir(parents=True, exist_ok=True)
    with only_one(args.out, "reproducing"), naming_file_errors(args.out):
        (args.out / "logs").mkdir(exist_ok=True)
        dataset, splits = open_dataset(args.folder, args.dataset, args.split_rule)
        for split in ("training", "validation", "test"):
            splits.select(dataset.records, split)  # now, rather than after days of training
        tracks = all(record.tracks() is not None for record in dataset.records)
        times: list[Mapping[str, Any]] = []
        for step in steps(args, preset_of(args, dataset.name, tracks)):
            times.append(_timed(step, args.out, times))
        page = args.out / "index.md"
        with replacing(page) as temporary:
            temporary.write_text(page_of(args, dataset.name, splits.description, times), encoding="utf-8")
    say(f"wrote {page}")
    return 0


def preset_of(args: ReproduceArgs, name: str, tracks: bool) -> str:
    """The preset to train: what was asked for, or what suits a dataset of a name, with face tracks or without."""
    named = (preset for start, preset in _PRESETS_OF.items() if name.startswith(start))
    return args.preset or next(named, "mvva_full" if tracks else "mvva")


def steps(args: ReproduceArgs, preset: str) -> list[Step]:
    """The commands from the dataset to the scores, one after the other."""
    folder, out = str(args.folder.resolve()), args.out.resolve()
    prepared = out / "prepared"
    split = ("--split", args.split_rule) if args.split_rule else ()
    rule = ("--split-rule", args.split_rule) if args.split_rule else ()
    found = [
        Step("prepare", ("-m", "data.builder", folder, str(prepared), "--dataset", args.dataset, *split), prepared)
    ]
    for sense in (None, *args.retrain):
        ending = f"_without_{sense}" if sense else ""
        weights, results = out / f"{MODEL}{ending}.safetensors", out / f"results{ending}.json"
        runs = ("--data", str(prepared), "--run", str(out / "runs" / f"train{ending}"), "--export", str(weights))
        lacking = ("--without", sense) if sense else ()
        train = ("train.py", preset, *runs, *lacking, *shlex.split(args.train))
        found.append(Step(f"train{ending}", train, weights))
        rows = {"sound": ("--mute",), "faces": ("--drop-faces",)}[sense] if sense else ABLATIONS
        report = () if sense else ("--report", str(out / "report"))
        scored = ("evaluate.py", folder, "--weights", str(weights), "--dataset", args.dataset, *rule, "--out")
        evaluate = (*scored, str(results), *report, *rows, *shlex.split(args.evaluate))
        found.append(Step(f"evaluate{ending}", evaluate, results))
    return found


def _timed(step: Step, out: Path, before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Does a step unless it was done, after the same steps before it; its command and the seconds it took."""
    path = out / "logs" / f"{step.name}.json"
    key = hashlib.sha256(json.dumps([*(one["key"] for one in before), step.command]).encode()).hexdigest()
    if path.exists() and step.result.exists():
        done = read_json(path, "what a step took", 2**16)
        if done.get("key") == key:
            say(f"{step.name}: done before")
            return done
    say(f"{step.name}: {shlex.join(('python', *step.command))}")
    start = time.monotonic()
    finished_side_by_side({step.name: list(step.command)}, out / "logs", ROOT, 1)
    if not step.result.exists():
        raise InputError(f"{step.name}: was stopped and saved what there was; the same command goes on from here")
    taken = {"name": step.name, "key": key, "command": list(step.command), "seconds": time.monotonic() - start}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(taken, indent=1) + "\n")
    return taken


def page_of(args: ReproduceArgs, name: str, rule: str, times: Sequence[Mapping[str, Any]]) -> str:
    """The page, in Markdown."""
    results = result_files.read_json(args.out / "results.json")
    parts = [f"# {name}", f"Split: `{rule}`. Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}."]
    parts += ["## Commands", "\n".join(_command_lines(times)), "## Validation", _validation(args.out, times)]
    parts += ["## Scores", tables.markdown(results), "[The page to look at](report/index.html)"]
    parts += ["## What each sense is worth", "The whole model less what lacks a sense, video by video."]
    for title, second, path in _lacking(args, results):
        readers = (partial(result_files.read_frames, of) for of in (args.out / "results.json", path))
        found = comparison.compare(results, result_files.read_json(path), MODEL, second, *readers)
        parts += [f"### {title}", tables.comparison(found, MODEL, second)]
    return "\n\n".join(parts) + "\n"


def _lacking(args: ReproduceArgs, results: Mapping[str, Any]) -> list[tuple[str, str, Path]]:
    """What the whole model is held against: a title, the name of the row and the file of results it stands in."""
    names = [row["name"] for row in results["rows"]]
    taken = [name for name in names if name.startswith(f"{MODEL}, ") and not name.endswith(", against half")]
    found = [
        (f"Taken from the trained model: {name.partition(', ')[2]}", name, args.out / "results.json") for name in taken
    ]
    for sense in args.retrain:
        row = f"{MODEL}_without_{sense}, {SENSES[sense].name}"
        found.append((f"Trained without {sense}", row, args.out / f"results_without_{sense}.json"))
    return found


def _command_lines(times: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| step | minutes | command |", "| --- | ---: | --- |"]
    return lines + [
        f"| {one['name']} | {one['seconds'] / 60:.1f} | `{shlex.join(('python', *one['command']))}` |" for one in times
    ]


def _validation(out: Path, times: Sequence[Mapping[str, Any]]) -> str:
    """The validations of each training, as they were logged."""
    parts = []
    for one in times:
        path = out / "runs" / one["name"] / "validation.csv"
        if one["name"].startswith("train") and path.exists():
            with path.open() as file:
                heads, *rows = list(csv.reader(file))
            lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *map(_rounded, rows))]
            parts.append("\n".join([f"{one['name']}:", "", *lines]))
    return "\n\n".join(parts)


def _rounded(cells: Sequence[str]) -> list[str]:
    return [
        f"{float(cell):.4g}" if cell.count(".") == 1 and cell.replace(".", "").isdigit() else cell for cell in cells
    ]


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(lambda: reproduce(tyro.cli(ReproduceArgs, prog="python scripts/reproduce.py", args=args)))


if __name__ == "__main__":
    sys.exit(main())
