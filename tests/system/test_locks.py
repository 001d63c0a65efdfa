"""Of two programs in one folder the second is refused, and a crash leaves no lock behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vasal_jax.errors import InputError
from vasal_jax.system.locks import LOCK_NAME, only_one

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from vasal_jax.system.locks import only_one
with only_one(Path(sys.argv[1]), "writing"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_by_name_until_the_first_is_gone(tmp_path):
    folder = tmp_path / "new" / "out"
    with only_one(folder, "writing"):
        refused = pytest.raises(InputError, match=r"out: another program is writing here; wait until it has ended")
        with refused, only_one(folder, "writing"):
            pass
        with only_one(tmp_path / "other", "writing"):
            pass
    with only_one(folder, "writing"):
        assert [path.name for path in folder.iterdir()] == [LOCK_NAME]


def test_a_killed_program_leaves_no_lock(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="another program is writing here"), only_one(tmp_path, "writing"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with only_one(tmp_path, "writing"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written"), only_one(tmp_path / "file", "writing"):
        pass
