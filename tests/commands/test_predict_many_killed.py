"""Many videos while workers and the whole command are killed: nothing is half under its name, nothing is lost."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import picture, write_video
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands import output_records
from vasal_jax.inputs.map_videos import read_maps

ROOT = Path(__file__).parents[2]
FRAMES = 20


def draw(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        height, width = 32 + 2 * (number % 9), 48 + 2 * (number % 7)
        pictures = [np.roll(picture(height, width), 3 * index + number, 1) for index in range(FRAMES)]
        write_video(folder / f"{number:02d}.mkv", pictures, codec="ffv1", pix_fmt="bgr0")
    weights.save(narrow_model(), folder / "narrow.safetensors")
    return folder


def start(films: Path, out: Path, *options: str) -> subprocess.Popen:
    words = ["predict.py", films, "--out", out, "--write", "overlay", "maps", "--faces", "none", *options]
    chosen = [sys.executable, *words, "--weights", films / "narrow.safetensors"]
    return subprocess.Popen(chosen, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, out + error


def shown(folder: Path) -> list[Path]:
    """What has its final name."""
    return sorted(path for path in folder.glob("[0-9]*") if path.suffix in (".mp4", ".npz"))


def check_whole(path: Path) -> None:
    if path.suffix == ".mp4":
        assert len(list(read_maps(path))) == FRAMES
    else:
        with np.load(path) as content:
            assert content["maps"].shape == (FRAMES, 32, 32)


@contextlib.contextmanager
def watched(folder: Path, kills: int) -> Iterator[None]:
    """Looks at each output as soon as it has its name: it is whole, and only a video that was killed is done again."""
    seen: dict[Path, int] = {}
    problems: list[str] = []
    again: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in shown(folder):
                identity = path.stat().st_ino
                if path not in seen:
                    try:
                        check_whole(path)
                    except Exception as error:
                        problems.append(f"{path.name} was half written: {error}")
                elif seen[path] != identity:
                    again.add(path.name[:2])
                seen[path] = identity
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not problems
    assert seen
    assert len(again) <= kills


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shown(folder)}


def wait_for_outputs(process: subprocess.Popen, out: Path, count: int) -> None:
    while len(shown(out)) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def killed_and_gone_on_with(tmp_path: Path, videos: int, kills: int, *options: str) -> None:
    films, quiet, out = draw(tmp_path / "films", videos), tmp_path / "quiet", tmp_path / "out"
    finish(start(films, quiet))
    rng = np.random.default_rng(3)
    with watched(out, kills):
        for number in range(kills):
            process = start(films, out, *options)
            wait_for_outputs(process, out, 2 * videos * number // kills + 3)  # one video is whole
            time.sleep(rng.uniform(0, 0.1))
            kill(process)
        finish(start(films, out, *options))
    assert contents(out) == contents(quiet)
    statuses = [video["status"] for video in json.loads((out / "summary.json").read_text())["videos"]]
    assert "skipped" in statuses
    assert "failed" not in statuses
    assert not list(out.glob(".vasal_jax*"))
    assert len(list((out / output_records.FOLDER).rglob("*.json"))) == videos


def test_a_killed_command_goes_on(tmp_path):
    killed_and_gone_on_with(tmp_path, videos=4, kills=1)


@pytest.mark.slow
def test_a_command_killed_three_times_goes_on(tmp_path):
    killed_and_gone_on_with(tmp_path, videos=40, kills=3)


def descendants(ancestor: int, name: str) -> list[int]:
    """The processes below one whose command line has this name in it."""
    parents, found = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(place.name)] = int(re.sub(r".*\)", "", (place / "stat").read_text()).split()[1])
            if name in (place / "cmdline").read_text():
                found.append(int(place.name))

    def is_below(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == ancestor:
                return True
        return False

    return [process for process in found if is_below(process)]


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'vasal-jax[ray]'")
RAY = ("--engine", "ray", "--workers", "2")


@pytest.mark.slow
@needs_ray
def test_workers_of_ray_killed_three_times_each_and_the_command_once(tmp_path):
    """The quiet run has such workers, too: with another number of cores XLA rounds sums otherwise, by 1e-8."""
    films, quiet, out = draw(tmp_path / "films", 40), tmp_path / "quiet", tmp_path / "out"
    finish(start(films, quiet, *RAY))
    with watched(out, kills=7):
        process = start(films, out, *RAY)
        for number in range(6):
            wait_for_outputs(process, out, 8 * number + 1)  # a video further, so that none is hit twice
            workers = descendants(process.pid, "ray::_Worker")
            os.kill(workers[number % len(workers)], signal.SIGKILL)
        wait_for_outputs(process, out, 60)
        kill(process)
        time.sleep(3)  # the workers of a command that is no more end, too
        finish(start(films, out, *RAY))
    assert contents(out) == contents(quiet)
    finish(start(films, tmp_path / "here"))
    for path in (tmp_path / "here").glob("*.npz"):
        with np.load(path) as here, np.load(out / path.name) as there:
            np.testing.assert_allclose(there["maps"], here["maps"], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--workers", "3"), pytest.param(RAY, marks=needs_ray)])
def test_ctrl_c_ends_all_workers_and_leaves_nothing_half(tmp_path, options):
    films, out = draw(tmp_path / "films", 40), tmp_path / "out"
    process = start(films, out, *options)
    wait_for_outputs(process, out, 3)
    below = descendants(process.pid, "ray")
    assert bool(below) == (options == RAY)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == "stopped; no output was left half written"
    assert not list(out.rglob(".vasal_jax*"))
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in below):
        assert time.monotonic() < deadline
        time.sleep(0.1)
