"""How long predict.py takes to its first map: `python -m benchmarks.cold_start`.

From the start of the process to the first picture in the folder of `--frames`, on a 2 s clip with the packaged weights:
with an empty compilation cache, and at once again with the one that the first start has filled. The first map should be
there within 15 s.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness.processes import ROOT, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison
from benchmarks.harness.videos import draw_faces
from vasal_jax.system.processes import failure, started

GOAL = 15.0  # seconds
CLIP = 2.0  # seconds


def measure(rounds: int = 7) -> list[Comparison]:
    """Seconds to the first map, with an empty and with a filled cache of compiled programs."""
    filled, empty = [], []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        in_fresh_process(draw_faces, video, CLIP)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                empty.append(first_map(video, cache))
                filled.append(first_map(video, cache))
    first, again = statistics.median(empty), statistics.median(filled)
    met = "met" if first <= GOAL else "not met"
    print(f"first map after {first:.1f} s, {again:.1f} s where compiled before (within {GOAL:.0f} s: {met})")
    return [Comparison(f"first map of a {CLIP:g} s clip, cache filled", "cache empty", "float32", filled, empty)]


def first_map(video: Path, cache: str) -> float:
    """Seconds from the start of predict.py to its first map; it then runs to its end."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        words = ["predict.py", video, "--frames", Path(folder) / "frames"]
        begin = time.perf_counter()
        process = started(words, log, ROOT, JAX_COMPILATION_CACHE_DIR=cache)
        seconds = None
        while process.poll() is None:
            # The folder has another name until it is whole.
            if seconds is None and next(Path(folder).rglob("*.png"), None):
                seconds = time.perf_counter() - begin
            time.sleep(0.005)
        if process.returncode or seconds is None:
            raise failure(process, log)
        return seconds


if __name__ == "__main__":
    sys.exit(command("cold_start", __doc__))
