"""What glibc does with freed memory, seen from outside: in processes of their own, which it lasts for."""

import subprocess
import sys

import pytest

SCRIPT = """
from pathlib import Path
from vasal_jax import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if {keep}:
    assert memory.keep_freed_memory()
before = resident()
blocks = [b"x" * 2**20 for _ in range(200)]
del blocks
kept = resident() - before
memory.give_back_freed_memory()
print(kept, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_is_kept_until_it_is_given_back(keep):
    script = SCRIPT.format(keep=keep)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kept, after = map(float, done.stdout.split())
    assert (kept > 150) == keep
    assert after < 50
