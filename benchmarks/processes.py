"""Work done in processes of its own, for what can only be seen from outside or must not be left behind."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from vasal_jax.errors import InputError

ROOT = Path(__file__).parents[1]


class Finished(NamedTuple):
    """A command that has run."""

    seconds: float  # from its start to its end, loading included
    peak: int  # bytes of memory that it held at its most


def finished(command: list[str | Path], **environment: str) -> Finished:
    """Runs a command, as Python's arguments, to its end in the checkout; what it prints is not shown.

    Raises `InputError` with the command's last line if it fails.
    """
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = started(command, log, **environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise failure(process, log)
    return Finished(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def started(command: list[str | Path], log: Any, **environment: str) -> subprocess.Popen:
    """The process of a command, as Python's arguments, that prints to the file `log`."""
    words = [sys.executable, *map(str, command)]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)


def failure(process: subprocess.Popen, log: Any) -> InputError:
    log.seek(0)
    last = (log.read().decode(errors="replace").strip().splitlines() or ["nothing said"])[-1]
    return InputError(f"{' '.join(process.args[1:])}: ended with exit code {process.returncode} ({last})")


def in_fresh_process(function: Callable, *arguments: Any) -> Any:
    """What a function of a module gives for the arguments, called in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
