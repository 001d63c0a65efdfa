"""Runs a reader on a hostile file in a child process and checks that it takes at most 1 GiB and 10 s to refuse it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MEMORY = 2**30  # bytes above those of the idle program
SECONDS = 10.0  # of processor time

_CHILD = """
import importlib, json, os, resource, sys, time
from pathlib import Path

def held():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024, int(fields["VmRSS"].split()[0]) * 1024

module, function, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
read = importlib.import_module(module)
for name in function.split("."):
    read = getattr(read, name)
from vasal_jax.errors import InputError
_, idle = held()
resource.setrlimit(resource.RLIMIT_DATA, (idle + 6 * 2**30,) * 2)  # before the machine has none left
begin = time.process_time()
try:
    found = read(*arguments)
    if hasattr(found, "__next__"):
        for _ in found: pass
    said = "accepted"
except InputError as error:
    said = "refused: " + "; ".join(map(str, error.args))
print(json.dumps([said, time.process_time() - begin, held()[0] - idle]))
"""


class Outcome(NamedTuple):
    """How a reader dealt with a file."""

    said: str  # "accepted", or "refused: " with the message
    seconds: float  # of processor time
    memory: int  # bytes above those of the idle program


def outcome(reader: str, *arguments: object) -> Outcome:
    """Calls a reader, "module:function", in a child process, and exhausts it if it returns an iterator.

    Raises:
      AssertionError: the reader raised another error than `InputError`, or refused the file but took more memory or
        time than `MEMORY` or `SECONDS`.
    """
    words = [sys.executable, "-c", _CHILD, *reader.split(":"), json.dumps([str(a) for a in arguments])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = Outcome(*json.loads(done.stdout.splitlines()[-1]))
    if found.said != "accepted":
        assert found.said.count("\n") == 0, found.said
        assert found.seconds < SECONDS, found
        assert found.memory < MEMORY, found
    return found


def refusal(reader: str, *arguments: object) -> str:
    """The message with which a reader refuses a file. Fails if the reader accepts it or exceeds the budget."""
    found = outcome(reader, *arguments)
    assert found.said.startswith("refused: "), found
    return found.said.removeprefix("refused: ")
