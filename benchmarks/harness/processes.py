"""Work done in processes of its own, for what can only be seen from outside or must not be left behind."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from vasal_jax.errors import InputError
from vasal_jax.system.memory import HUGE_PAGES

ROOT = Path(__file__).parents[2]


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


def finished_side_by_side(
    commands: Mapping[str, list[str | Path]],
    logs: Path,
    at_once: int,
    meanwhile: Callable[[], None] = lambda: None,
    **environment: str,
) -> None:
    """Runs named commands to their end, so many at a time and each on its share of the CPU's cores, in their order.

    What they print goes to NAME.log in the folder `logs`; `meanwhile` is called several times a second. If one fails,
    or this process is interrupted, the others are sent SIGTERM and waited for.

    Raises `InputError` with the command's last line if one fails.
    """
    shares = core_shares(at_once)
    waiting, running = list(commands), {}
    try:
        while waiting or running:
            while waiting and shares:
                name, share = waiting.pop(0), shares.pop(0)
                log = (logs / f"{name}.log").open("w+b")
                running[name] = started(commands[name], log, **environment), log, share
                if share:
                    os.sched_setaffinity(running[name][0].pid, share)
            time.sleep(0.2)
            meanwhile()
            for name in [name for name, (process, *_) in running.items() if process.poll() is not None]:
                process, log, share = running.pop(name)
                with log:
                    if process.returncode:
                        raise failure(process, log)
                shares.append(share)
    finally:
        for process, *_ in running.values():
            process.terminate()
        for process, log, _ in running.values():
            process.wait()
            log.close()


def core_shares(parts: int) -> list[set[int]]:
    """The cores that this process may use, dealt out; empty sets where the system does not tell."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [set(cores[part % len(cores) :: parts]) if cores else set() for part in range(parts)]


def failure(process: subprocess.Popen, log: Any) -> InputError:
    log.seek(0)
    last = (log.read().decode(errors="replace").strip().splitlines() or ["nothing said"])[-1]
    return InputError(f"{' '.join(process.args[1:])}: ended with exit code {process.returncode} ({last})")


def in_fresh_process(function: Callable, *arguments: Any, environment: Mapping[str, str] | None = None) -> Any:
    """What a function of a module gives for the arguments, called in a process of its own."""
    with fresh_process(environment) as process:
        return process.submit(function, *arguments).result()


@contextmanager
def fresh_process(environment: Mapping[str, str] | None = None) -> Iterator[ProcessPoolExecutor]:
    """A process that inherits nothing, for functions of a module; it ends with the `with` block.

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
    """The environment with the memory of train.py, which asks for huge pages by itself, and for nothing else."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return rest | {"GLIBC_TUNABLES": HUGE_PAGES}


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
