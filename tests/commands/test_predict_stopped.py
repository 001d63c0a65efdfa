"""A run that is stopped, killed or starved of space leaves no half output, and what was there before stays."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import picture, write_video
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.system.terminal import run

ROOT = Path(__file__).parents[2]
OUTPUTS = {"overlay": "o.mp4", "saliency": "s.mp4", "frames": "f", "maps": "m.npz"}


@pytest.fixture(scope="module")
def long_video(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("long") / "v.mkv", [picture()] * 5000)


def script(video: Path, folder: Path, **options) -> subprocess.Popen:
    flags = [item for key, name in OUTPUTS.items() for item in (f"--{key}", folder / name)]
    command = [sys.executable, ROOT / "predict.py", video, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_until_writing(process: subprocess.Popen, folder: Path) -> None:
    while not any(path.name == "00030.png" for path in folder.rglob("*.png")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_is_quiet_and_clean(long_video, tmp_path, number):
    (tmp_path / "m.npz").write_bytes(b"an earlier run")
    process = script(long_video, tmp_path)
    wait_until_writing(process, tmp_path)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert error.splitlines()[-1] == "stopped; no output was left half written"
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]
    assert (tmp_path / "m.npz").read_bytes() == b"an earlier run"


def test_stopping_while_it_loads(long_video, tmp_path):
    process = script(long_video, tmp_path)
    maps = Path(f"/proc/{process.pid}/maps")
    while "jaxlib" not in maps.read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "stopped; no output was left half written\n"
    assert list(tmp_path.iterdir()) == []


def assert_stopped_at_random_moments(video: Path, folder: Path, runs: int) -> None:
    """From the end of the interpreter's own start to the last frames of a run."""
    rng = np.random.default_rng(7)
    for run_number in range(runs):
        out = folder / str(run_number)
        out.mkdir()
        process = script(video, out)
        maps = Path(f"/proc/{process.pid}/maps")
        while "jaxlib" not in maps.read_text():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 6))
        process.send_signal([signal.SIGINT, signal.SIGTERM, signal.SIGHUP][run_number % 3])
        begin = time.monotonic()
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        assert time.monotonic() - begin < 3
        assert error.splitlines()[-1] == "stopped; no output was left half written"
        assert "Traceback" not in error
        assert "Exception ignored" not in error
        assert list(out.iterdir()) == []


def test_a_request_is_never_lost(long_video, tmp_path):
    assert_stopped_at_random_moments(long_video, tmp_path, 3)


@pytest.mark.slow
def test_none_of_100_requests_is_lost(long_video, tmp_path):
    assert_stopped_at_random_moments(long_video, tmp_path, 100)


def test_a_killed_run_leaves_no_final_name_and_the_next_one_clears_up(long_video, tmp_path):
    process = script(long_video, tmp_path)
    wait_until_writing(process, tmp_path)
    process.kill()
    process.communicate()
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == len(OUTPUTS)
    assert all(name.startswith(".vasal_jax.partial-") for name in left)

    short = write_video(tmp_path / "v.mkv", 2)
    assert run(lambda: predict(PredictArgs(short, **{key: tmp_path / name for key, name in OUTPUTS.items()}))) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*OUTPUTS.values(), "v.mkv"}


@pytest.mark.parametrize("kind", ["overlay", "saliency", "frames", "maps"])
def test_no_space_for_one_output_loses_nothing(tmp_path, kind):
    """A limit on the size of files does what a full disk does: writing fails part-way, for the files that grow."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 48, 64, 3), np.uint8)
    video = write_video(tmp_path / "v.mkv", list(noise))
    out = tmp_path / OUTPUTS[kind]
    limit = {"overlay": 40_000, "saliency": 4_000, "frames": 100, "maps": 200_000}[kind]
    code = (
        "import resource, sys; from vasal_jax.commands.main import predict_main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); predict_main()"
    )
    command = [sys.executable, "-c", code, video, f"--{kind}", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {out}: cannot be written (File too large)")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["v.mkv"]
