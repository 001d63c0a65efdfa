"""Memory stays where it is over many videos, and over a long one."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import picture, write_video

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def resident(process: subprocess.Popen) -> int:
    """Bytes, 0 once it has ended."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def run(*words: object) -> subprocess.Popen:
    command = [sys.executable, "predict.py", *map(str, words), "--faces", "none"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_memory_is_flat_over_200_videos_of_all_sizes(tmp_path):
    rng, films, out = np.random.default_rng(0), tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for number in range(200):
        height, width = (2 * rng.integers(16, 360, 2)).tolist()
        pictures = [np.roll(picture(height, width), index, 1) for index in range(10)]
        write_video(films / f"{number:03d}.mkv", pictures)
    process, by_count = run(films, "--out", out, "--write", "overlay", "maps"), dict[int, int]()
    while process.poll() is None:
        done = len(list(out.glob("*.npz")))
        by_count[done] = max(by_count.get(done, 0), resident(process))
        time.sleep(0.02)
    assert process.returncode == 0
    first, second = (max(by_count.get(count, 0) for count in range(end - 30, end)) for end in (100, 200))
    print(f"{first / 2**20:.0f} MiB around the 100th video, {second / 2**20:.0f} around the 200th")
    assert second <= 1.05 * first


def test_memory_is_flat_over_a_long_video(tmp_path):
    """11,000 frames; before the heap was trimmed it grew from 586 to 605 MB and on."""
    video = write_video(tmp_path / "long.mkv", [np.roll(picture(), index, 1) for index in range(64)] * 172)
    process, samples = run(video, "--maps", tmp_path / "maps.npz"), list[int]()
    while process.poll() is None:
        samples.append(resident(process))
        time.sleep(0.2)
    assert process.returncode == 0
    quarter = len(samples) // 4
    second, last = max(samples[quarter : 2 * quarter]), max(samples[3 * quarter :])
    print(f"{second / 2**20:.0f} MiB in the second quarter, {last / 2**20:.0f} in the last")
    assert last <= 1.03 * second
