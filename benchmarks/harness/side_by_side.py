"""Times two implementations of the same work in turn, and prints a table of the ratios of their times."""

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.harness.processes import fresh_process

Call = Callable[[], object]  # does the work once and returns when it is done, not when it is dispatched
Goals = Mapping[tuple[str, str], float | None]  # least ratio by (ours, theirs); None if there is no goal

WARM_UP = 2  # calls before the first that counts


class Side(NamedTuple):
    """One implementation of the work."""

    process: Executor
    make: Callable[[], Call]  # makes the call in that process; a module-level function or a partial of one


@dataclass(frozen=True)
class Comparison:
    """The times of one pair of sides."""

    work: str
    against: str
    dtype: str  # of our side; if their side has another, its name says so
    ours: list[float]  # seconds of each round
    theirs: list[float]  # of the same rounds
    goal: float | None = None  # the least ratio theirs / ours; None if there is no goal


@dataclass(frozen=True)
class Row:
    """A comparison as printed and saved. Times are medians in seconds; ratios are theirs / ours of each round."""

    work: str
    against: str
    device: str
    dtype: str
    allocator: str
    rounds: int
    ours_s: float
    theirs_s: float
    ratio: float
    ratio_min: float
    ratio_max: float
    goal: float | None

    @classmethod
    def of(cls, found: Comparison, device: str, allocator: str) -> "Row":
        ratios = [theirs / ours for ours, theirs in zip(found.ours, found.theirs, strict=True)]
        return cls(
            work=found.work,
            against=found.against,
            device=device,
            dtype=found.dtype,
            allocator=allocator,
            rounds=len(ratios),
            ours_s=statistics.median(found.ours),
            theirs_s=statistics.median(found.theirs),
            ratio=statistics.median(ratios),
            ratio_min=min(ratios),
            ratio_max=max(ratios),
            goal=found.goal,
        )

    @property
    def met(self) -> bool | None:
        """Whether the median ratio reaches the goal; None if there is no goal."""
        return None if self.goal is None else self.ratio >= self.goal


def interleave(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """Times each side once a round, each time after an untimed call; returns the seconds of every round by side."""
    for name, side in sides.items():
        side.process.submit(_prepare, name, side.make).result()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side.process.submit(_time, name).result())
    return seconds


_calls: dict[str, Call] = {}  # of the sides in this process


def _prepare(name: str, make: Callable[[], Call]) -> None:
    _calls[name] = make()
    for _ in range(WARM_UP):
        _calls[name]()


def _time(name: str) -> float:
    # The untimed call undoes what happened while the other sides ran: the cores clocked down, and a virtual machine
    # returned freed memory to its host. Getting it back takes 0.2 s of a training step of 1 s.
    _calls[name]()
    begin = time.perf_counter()
    _calls[name]()
    return time.perf_counter() - begin


def compare(
    work: str,
    goals: Goals,
    ours: Callable[[str], Call],
    theirs: Callable[[str], Call],
    rounds: int,
    environment: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Times all sides that the goals name in turn, and compares each pair.

    Our sides run in one process and theirs in another, as users run them. In one process with PyTorch, where freed
    memory was kept, ours took a third longer.

    Args:
      goals: the goal of each pair to compare, by the names of our side (its dtype) and of theirs.
      ours, theirs: make the call of a side from its name; module-level functions or partials of them.
      environment: the environment of the process of our sides; by default that of this process.
    """
    our_names, their_names = (dict.fromkeys(names) for names in zip(*goals, strict=True))  # each once
    with fresh_process(environment) as here, fresh_process() as there:
        sides = {name: Side(here, partial(ours, name)) for name in our_names}
        sides |= {name: Side(there, partial(theirs, name)) for name in their_names}
        times = interleave(sides, rounds)
    return [Comparison(work, them, us, times[us], times[them], goal) for (us, them), goal in goals.items()]


def print_table(rows: list[Row]) -> None:
    """Prints the rows as a table, with the goals beside the ratios."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    words = "work", "against", "allocator", "dtype"
    numbers = "rounds", "ours ms", "theirs ms", "ratio", "least", "most", "goal", "met"
    for column in (*words, *numbers):
        table.add_column(column, justify="left" if column in words else "right", no_wrap=True)
    for row in rows:
        times = (f"{1e3 * seconds:.1f}" for seconds in (row.ours_s, row.theirs_s))
        ratios = (f"{ratio:.2f}" for ratio in (row.ratio, row.ratio_min, row.ratio_max))
        goal = ("", "") if row.goal is None else (f"{row.goal:.2f}", "yes" if row.met else "no")
        table.add_row(row.work, row.against, row.allocator, row.dtype, str(row.rounds), *times, *ratios, *goal)
    Console(width=200, highlight=False).print(table)  # wide enough for every row, also in a pipe
