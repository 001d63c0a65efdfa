"""Runs each benchmark once per allocator setting, each time in a child process, and prints all rows as one table.

A benchmark is a module with `measure(rounds=..., **options) -> list[Comparison]`.
"""

import argparse
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import machine
from benchmarks.harness.processes import ROOT
from benchmarks.harness.side_by_side import Row, print_table
from vasal_jax.errors import InputError
from vasal_jax.system.files import check_writable, replacing
from vasal_jax.system.terminal import run

# glibc returns large blocks to the system, so each use faults their pages in again, which can double a convolution's
# time. "kept" tells glibc to keep the blocks. Both sides of a comparison always run in the same setting.
ALLOCATORS = {
    "default": {},
    "kept": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_TOP_PAD_": "268435456",
    },
}
ACCELERATOR = {"device": {}}  # memory there is the device's own


def command_line(description: str, program: str) -> argparse.ArgumentParser:
    """A parser with the arguments of all benchmarks."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument(
        "--rounds", type=count, metavar="N", help="times that each side is timed; 7 by default, 3 for predict"
    )
    parser.add_argument("--allocator", choices=ALLOCATORS, help="in this setting alone (an accelerator has but one)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    return parser


def command(name: str, description: str, *, strict: bool = False, **options: tuple[type, str]) -> int:
    """The command line of the benchmark `benchmarks.name`; returns the exit code.

    Args:
      description: its first line is shown by --help.
      strict: return exit code 1 if a goal is missed.
      options: further arguments of the module's `measure`: type and help.
    """
    parser = command_line(description.splitlines()[0], f"python -m benchmarks.{name}")
    for option, (kind, text) in options.items():
        parser.add_argument(f"--{option}", type=kind, help=text)
    args = parser.parse_args()
    given = {key: getattr(args, key) for key in ("rounds", *options) if getattr(args, key) is not None}

    def measured() -> int:
        rows, code = report([f"benchmarks.{name}"], given, args.allocator, args.json)
        return code or int(strict and any(row.met is False for row in rows))

    return run(measured)


def report(
    modules: list[str], options: dict[str, object], allocator: str | None = None, json_file: Path | None = None
) -> tuple[list[Row], int]:
    """Runs benchmarks, prints their rows as a table, and writes them to `json_file`.

    Args:
      modules: the benchmarks, by their modules' full names.
      options: arguments for the `measure` of each.
      allocator: the only setting to run in; by default both.
      json_file: the JSON file to write the rows to; by default none.

    Returns:
      The rows, and the exit code: of the first benchmark that failed, whose rows are missing, or 0.
    """
    if json_file:
        check_writable(json_file)
    here = machine.ask()
    settings = ALLOCATORS if here.device == "cpu" else ACCELERATOR
    if allocator in settings:
        settings = {allocator: settings[allocator]}
    rows: list[Row] = []
    first_failure = 0
    for module in modules:
        for setting, variables in settings.items():
            print(f"{module}, allocator: {setting}", file=sys.stderr)
            found, code = _in_own_process(module, options, setting, variables)
            rows += found
            first_failure = first_failure or code
            if code:
                break
    if not rows:
        return rows, first_failure
    print(here.conditions)
    print_table(rows)
    if json_file:
        with replacing(json_file) as temporary:
            temporary.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    return rows, first_failure


def _in_own_process(
    module: str, options: dict[str, object], setting: str, variables: dict[str, str]
) -> tuple[list[Row], int]:
    """Rows and exit code of one benchmark in one setting: glibc reads its variables when a process starts."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        words = [sys.executable, "-m", "benchmarks.harness.runner", module, json.dumps(options), setting, str(out)]
        code = subprocess.run(words, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode
        return ([] if code else [Row(**row) for row in json.loads(out.read_text())]), code


def _measure(module: str, options: str, setting: str, out: str) -> int:
    """The main function of the child process: writes the rows of one benchmark to `out` as JSON."""
    try:
        measure = importlib.import_module(module).measure
    except ModuleNotFoundError as error:
        raise InputError(f"{module} needs {error.name}, which is not installed; see its first lines") from None
    rows = [Row.of(found, machine.device(), setting) for found in measure(**json.loads(options))]
    Path(out).write_text(json.dumps([dataclasses.asdict(row) for row in rows]))
    return 0


def count(text: str) -> int:
    """A number of times from a command line, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(run(lambda: _measure(*sys.argv[1:])))
