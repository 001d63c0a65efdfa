"""What a reader may take to refuse a file: a GiB above the idle program, ten seconds; measured in a child."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MEMORY = 2**30
SECONDS = 10.0

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
resource.setrlimit(resource.RLIMIT_DATA, (idle + 6 * 2**30,) * 2)  # to fail rather than take the machine down
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
    """What a reader made of a file."""

    said: str  # "accepted", or "refused: " with the message
    seconds: float  # of the processor
    memory: int  # bytes above the idle program


def outcome(reader: str, *arguments: object) -> Outcome:
    """Calls a reader, "module:function", in a process of its own and follows it to its end.

    Raises:
      AssertionError: it ended with anything but an `InputError`, or took more than it may to refuse the file.
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
    """The message with which a reader refuses a file, within its budget."""
    found = outcome(reader, *arguments)
    assert found.said.startswith("refused: "), found
    return found.said.removeprefix("refused: ")
