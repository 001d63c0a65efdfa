"""What glibc does with memory, seen from outside: in processes of their own, which it lasts for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from pathlib import Path
from vasal_jax.system import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if {keep}:
    memory.tune("evaluate")
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


FRAYS = """
import sys, time
from pathlib import Path
from vasal_jax.system import memory

memory._TRIM_PERIOD = float(sys.argv[1])
memory.tune("evaluate")
blocks = [b"x" * 2**20 for _ in range(200)]
del blocks
time.sleep(0.5)
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
def test_a_kept_heap_is_trimmed_now_and_then():
    commands = ([sys.executable, "-c", FRAYS, period] for period in ("9", ".1"))
    rarely, often = (float(subprocess.run(words, capture_output=True, check=True).stdout) for words in commands)
    assert rarely > often + 150


COMPILES = """
import sys
from vasal_jax.system import memory

memory.tune(sys.argv[1])
calls = []
memory.give_back_freed_memory = lambda: calls.append(1)
import jax
jax.jit(lambda x: x + 1).lower(1.0).compile()
print(len(calls))
"""


@pytest.mark.parametrize(("program", "trims"), [("predict", "1"), ("evaluate", "0")])
def test_prediction_gives_back_what_compiling_took(program, trims):
    done = subprocess.run([sys.executable, "-c", COMPILES, program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [trims]


HEAPS = """
import ctypes, os, sys, threading
from pathlib import Path
sys.path[:0] = sys.argv[1:2]
from vasal_jax.system import accelerators, memory

accelerators._DEVICES = Path(sys.argv[1])

memory.tune(sys.argv[2])
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_size_t
places = []
thread = threading.Thread(target=lambda: places.append(malloc(100)))
thread.start(), thread.join()
places.append(malloc(100))
print(abs(places[1] - places[0]) < 2**26)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
@pytest.mark.parametrize(
    ("program", "plugin", "platforms", "one"),
    [
        ("evaluate", False, "", True),
        ("evaluate", True, "", False),
        ("evaluate", True, "cpu", True),
        ("predict", False, "", False),
    ],
)
def test_threads_share_one_heap_where_evaluation_runs_on_a_cpu(program, plugin, platforms, one, tmp_path):
    if plugin:
        (tmp_path / "jax_plugins").mkdir()
        (tmp_path / "nvidia0").touch()
    command = [sys.executable, "-c", HEAPS, str(tmp_path), program]
    environment = {**os.environ, "JAX_PLATFORMS": platforms}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(one)]


HUGE = """
import os, sys
from pathlib import Path
from vasal_jax.system.memory import tune

print("begun", flush=True)
tune("train")
block = bytearray(2**26)
print(os.environ["GLIBC_TUNABLES"], sys.argv[1:], sys.flags.optimize)
print(" hg" in Path("/proc/self/smaps").read_text())
"""
MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
@pytest.mark.parametrize(
    ("before", "after", "begun"),
    [
        (None, "glibc.malloc.hugetlb=1", 2),
        ("glibc.malloc.arena_max=3", "glibc.malloc.arena_max=3:glibc.malloc.hugetlb=1", 2),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0", 1),  # as its user wants it
    ],
)
def test_a_program_is_started_anew_with_huge_pages(before, after, begun):
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {"GLIBC_TUNABLES": before} if before else {}
    words = [sys.executable, "-O", "-c", HUGE, "a b", "--c"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    *starts, said, huge = done.stdout.splitlines()
    assert starts == ["begun"] * begun
    assert said == f"{after} ['a b', '--c'] 1"
    if MODE.exists() and "[madvise]" in MODE.read_text():  # else the system gives them always, or never
        assert huge == str(begun == 2)
