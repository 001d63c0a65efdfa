"""Peak memory of predicting videos of several lengths: `python -m benchmarks.memory`.

Each length is drawn as a 1280x720 video with sound, predicted in a process of its own (overlay and maps), and its
peak resident memory is set beside that of the shortest. Exit code 1 where it exceeds 1.1 times that.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness.processes import finished
from benchmarks.harness.videos import FPS, HEIGHT, WIDTH, draw_pattern
from vasal_jax.system.terminal import run

LIMIT = 1.1


def peak_memory(video: Path, weights: Path | None) -> int:
    """Bytes that `predict.py` held at its most."""
    outputs = ["--overlay", video.with_name("overlay.mp4"), "--maps", video.with_name("maps.npz")]
    chosen = ["--weights", weights.absolute()] if weights else []
    return finished(["predict.py", video, *outputs, *chosen]).peak


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 120], help="lengths of the videos")
    parser.add_argument("--weights", type=Path, help="weights to predict with (the packaged ones by default)")
    args = parser.parse_args()
    table = Table(title=f"Peak memory of prediction, {WIDTH}x{HEIGHT} at {FPS} frames a second")
    for name in ("seconds", "frames", "peak (MiB)", f"ratio (limit {LIMIT})"):
        table.add_column(name, justify="right")
    peaks = []
    for seconds in args.seconds:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "video.mp4"
            draw_pattern(video, seconds)
            peaks.append(peak_memory(video, args.weights))
        table.add_row(str(seconds), str(seconds * FPS), f"{peaks[-1] / 2**20:.0f}", f"{peaks[-1] / peaks[0]:.3f}")
    Console().print(table)
    return int(max(peaks) > LIMIT * peaks[0])


if __name__ == "__main__":
    sys.exit(run(main))
