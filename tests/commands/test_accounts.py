"""An account that can write nothing but its output, without a home: a web server's, or one in a container."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.synthetic import SyntheticArgs, generate
from tests.helpers.flashes import write_flash
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.size import Size

ROOT = Path(__file__).parents[2]
ACCOUNT = 12345
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv")

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="only root can become another account, by setpriv of Linux")


def as_account(*words: object) -> list[str]:
    """The command that runs Python as an account without home, locale or terminal."""
    paths = f"{ROOT}:{sysconfig.get_path('purelib')}"
    environment = ["HOME=/", "PATH=/usr/bin", "TERM=dumb", "LC_ALL=C", f"PYTHONPATH={paths}"]
    account = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups", "env", "-i", *environment]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if subprocess.run([*account, python, "-c", "import numpy"], cwd=ROOT, capture_output=True).returncode == 0:
            return [*account, python, *map(str, words)]
    pytest.skip("no interpreter and packages that another account may read")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the account may enter, with `out`, the one that it may write to. pytest's own is root's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "out").mkdir()
    os.chown(folder / "out", ACCOUNT, ACCOUNT)
    weights.save(narrow_model(), folder / "w.safetensors")
    yield folder
    shutil.rmtree(folder)


def run(place: Path, *words: object) -> subprocess.CompletedProcess:
    done = subprocess.run(as_account(*words), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.lstat().st_uid for path in (place / "out").rglob("*")} == {ACCOUNT}
    return done


def test_prediction(place):
    """With a name beyond ASCII, from a folder that cannot be written."""
    video = write_flash(place / "é [y] 1.mkv", n=14, flash=5)
    done = run(place, "predict.py", video, "--weights", place / "w.safetensors", "--faces", "none",
               "--overlay", place / "out" / "o.mp4", "--maps", place / "out" / "m.npz")  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if line.startswith(("warning", "error"))]
    assert len(np.load(place / "out" / "m.npz")["maps"]) == 14
    assert sorted(path.name for path in (place / "out").iterdir()) == ["m.npz", "o.mp4"]


@pytest.mark.slow
def test_evaluating_and_preparing(place):
    data = place / "data"
    generate(SyntheticArgs(data, videos=3, seconds=1.0, seed=4, size=Size(72, 128), workers=1, fps=(24.0,)))
    run(place, "evaluate.py", data, "--weights", place / "w.safetensors", "--out", place / "out" / "R.json",
        "--resolution", "64x36", "--negatives", "300", "--split-rule", "test=100,312 training=231")  # fmt: skip
    assert (place / "out" / "R.md").exists()
    run(place, "-m", "data.builder", data, place / "out" / "prepared", "--processes", "2")
    assert list((place / "out" / "prepared").glob("face_saliency/*/1.0.0/*.array_record*"))
