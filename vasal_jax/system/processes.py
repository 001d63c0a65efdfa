"""Programs started as processes of their own, side by side, and what they say when they fail."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from vasal_jax.errors import InputError


def started(command: list[str | Path], log: IO, folder: Path, **environment: str) -> subprocess.Popen:
    """Starts a command, given as Python's arguments, in a folder; what it prints goes to the file `log`."""
    words = [sys.executable, *map(str, command)]
    return subprocess.Popen(words, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log)


def finished_side_by_side(
    commands: Mapping[str, list[str | Path]],
    logs: Path,
    folder: Path,
    at_once: int,
    meanwhile: Callable[[], None] = lambda: None,
    **environment: str,
) -> None:
    """Runs commands to their end, in their order, `at_once` at a time and each on its share of the CPU's cores.

    If a command fails, or this process is interrupted, the others are sent SIGTERM and waited for.

    Args:
      commands: by name, each as Python's arguments.
      logs: the folder for NAME.log, where each command's output goes.
      folder: where the commands run.
      at_once: how many run at a time.
      meanwhile: called several times a second.
      environment: variables of the commands, besides those of this process.

    Raises:
      InputError: a command failed; the message has its last line.
    """
    shares = core_shares(at_once)
    waiting, running = list(commands), {}
    try:
        while waiting or running:
            while waiting and shares:
                name, share = waiting.pop(0), shares.pop(0)
                log = (logs / f"{name}.log").open("w+b")
                running[name] = started(commands[name], log, folder, **environment), log, share
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
    """The cores that this process may use, in `parts` shares; empty sets where the system does not tell."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [set(cores[part % len(cores) :: parts]) if cores else set() for part in range(parts)]


def failure(process: subprocess.Popen, log: IO) -> InputError:
    """The error that says how a process ended, with the last line of its log."""
    assert isinstance(process.args, list)  # from `started`
    log.seek(0)
    last = (log.read().decode(errors="replace").strip().splitlines() or ["nothing said"])[-1]
    return InputError(f"{' '.join(map(str, process.args[1:]))}: ended with exit code {process.returncode} ({last})")
