"""Runs commands and functions in child processes, so that time, memory and environment are theirs alone."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from vasal_jax.system.memory import HUGE_PAGES
from vasal_jax.system.processes import failure, started

ROOT = Path(__file__).parents[2]


class Finished(NamedTuple):
    """A command that has run."""

    seconds: float  # from its start to its end, loading included
    peak: int  # the largest resident memory, in bytes


def finished(command: list[str | Path], **environment: str) -> Finished:
    """Runs `python` with the arguments `command` in the checkout and waits for its end; its output is not shown.

    Raises:
      InputError: it failed; the message has the last line that it printed.
    """
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = started(command, log, ROOT, **environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise failure(process, log)
    return Finished(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def in_fresh_process(function: Callable, *arguments: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Calls a module-level function in a child process and returns its result."""
    with fresh_process(environment) as process:
        return process.submit(function, *arguments).result()


@contextmanager
def fresh_process(environment: Mapping[str, str] | None = None) -> Iterator[ProcessPoolExecutor]:
    """A spawned child process that runs module-level functions; it ends with the `with` block.

    Args:
      environment: its variables; those of this process by default.
    """
    own = dict(os.environ)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        _become(own if environment is None else environment)
        try:
            process.submit(int).result()  # it starts with its first work
        finally:
            _become(own)
        yield process


def as_train_py_has_it() -> dict[str, str]:
    """This process's environment with the allocator settings of train.py: huge pages, no `MALLOC_` variable."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return rest | {"GLIBC_TUNABLES": HUGE_PAGES}


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
