"""What a program does with too little memory."""

import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.helpers.media import write_video
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import probe
from vasal_jax.system import address_space

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit of Linux")
@pytest.mark.parametrize("words", [["predict.py", "a.mp4"], ["train.py", "tiny"], ["evaluate.py", "data"]])
def test_too_small_an_address_space_costs_one_line(words):
    """JAX would crash in native code, or fail to load, with a traceback that speaks of its files."""
    limited = f"ulimit -v {2 * 2**20} && exec {sys.executable} {' '.join(words)}"
    done = subprocess.run(["sh", "-c", limited], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    expected = (
        "error: too little memory is allowed (ulimit -v): expected 3072 MB or more, found 2048 MB; raise the limit\n"
    )
    assert done.stderr == expected


def test_a_lack_of_memory_is_no_damage_of_a_file(tmp_path, monkeypatch):
    """FFmpeg also says it of absurd sizes in a damaged file, so what can be had decides."""
    path = write_video(tmp_path / "a.mkv", 4)

    def fail(*_: object, **__: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    for scarce, expected in ((True, MemoryError), (False, InputError)):
        monkeypatch.setattr(address_space, "is_scarce", lambda scarce=scarce: scarce)
        monkeypatch.setattr(av, "open", fail)
        with pytest.raises(expected):
            probe(path)
