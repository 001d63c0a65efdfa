"""Damaged files of every kind: one line or a result, never a traceback, a hang, much memory or half an output."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 10_000, 20_000, 30_000, 40_000])
def test_damaged_files(tmp_path, seed):
    """Two minutes each; `tests/programs/fuzz_readers.py` says how one goes on with a seed that failed."""
    program = [
        sys.executable,
        "-X",
        "faulthandler",
        "-m",
        "tests.programs.fuzz_readers",
        str(tmp_path),
        str(seed),
        "120",
    ]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
