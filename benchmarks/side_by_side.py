"""How two ways of doing the same work are timed: in turn, in one process, in each allocator setting."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

# glibc hands large blocks back to the system and faults them in again at every use, which can double a convolution's
# time. "kept" tells it not to; both sides always run in the same setting.
ALLOCATORS = {
    "default": {},
    "kept": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_TOP_PAD_": "268435456",
    },
}


class Timing(NamedTuple):
    """Seconds of each round; all sides of a comparison have the same rounds in the same order."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def interleave(sides: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> list[Timing]:
    """Times each side once a round. A side's call must not return before its work is done."""
    for call in sides.values():
        for _ in range(warm_up):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return [Timing(name, values) for name, values in seconds.items()]


def ratios(theirs: Timing, ours: Timing) -> list[float]:
    """How many times faster ours is, round by round."""
    return [a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True)]


def print_table(title: str, ours: Timing, others: list[Timing], unit: float, unit_name: str) -> None:
    """A row a side: median time over `unit` seconds, and how many times faster ours is (median, least, most)."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("side", unit_name, "ours is faster by", "least", "most"):
        table.add_column(column, justify="left" if column == "side" else "right", no_wrap=True)
    table.add_row(ours.name, f"{ours.median / unit:.1f}", "", "", "")
    for other in others:
        rows = ratios(other, ours)
        spread = (f"{statistics.median(rows):.2f} x", f"{min(rows):.2f}", f"{max(rows):.2f}")
        table.add_row(other.name, f"{other.median / unit:.1f}", *spread)
    Console(width=100).print(table)


def in_each_allocator(module: str, *arguments: str) -> int:
    """Runs `python -m module --allocator NAME ...` for both settings, which must be set before a process starts."""
    for name, variables in ALLOCATORS.items():
        command = [sys.executable, "-m", module, "--allocator", name, *arguments]
        code = subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
        if code:
            return code
    return 0


def command(module: str, description: str, measure: Callable[[int, str], None], rounds: int) -> int:
    """The command line of a benchmark that calls `measure(rounds, allocator)` in both settings; its exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--allocator", choices=ALLOCATORS, help="run in this process, already set up")
    args = parser.parse_args()
    if args.allocator is None:
        return in_each_allocator(module, "--rounds", str(args.rounds))
    measure(args.rounds, args.allocator)
    return 0


def conditions() -> str:
    """One line: processor, threads, versions."""
    import jax
    import torch

    device = jax.devices()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {device.platform} "
        f"{device.device_kind}; Python {platform.python_version()}, jax {jax.__version__}, torch {torch.__version__}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
