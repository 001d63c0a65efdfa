"""Peak memory of predicting videos of several lengths: `python -m benchmarks.memory`.

Each length is drawn as a 1280x720 video with sound, predicted in a process of its own (overlay and maps), and its
peak resident memory is set beside that of the shortest. Exit code 1 where it exceeds 1.1 times that.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vasal_jax.encoding import video_writer
from vasal_jax.inputs.audio import SAMPLE_RATE

ROOT = Path(__file__).parents[1]
LIMIT = 1.1
FPS = 25


def draw_video(path: Path, seconds: int) -> None:
    """1280x720 at 25 frames a second: a drifting pattern and a warbling tone."""
    y, x = np.mgrid[:720, :1280].astype(np.float32)
    picture = np.stack([127 + 120 * np.sin(x / 40 + y / 90), (x + y) % 256, 127 + 120 * np.cos(y / 30)], axis=-1)
    picture = picture.astype(np.uint8)
    time = np.arange(SAMPLE_RATE * seconds) / SAMPLE_RATE
    sound = (0.4 * np.sin(2 * np.pi * 220 * time + 40 * np.sin(2 * time))).astype(np.float32)
    with video_writer(path, 1280, 720, FPS, sound) as write:
        for index in range(seconds * FPS):
            write(np.roll(picture, 3 * index, axis=1), index / FPS)


def peak_memory(video: Path, weights: Path | None) -> int:
    """Bytes that `predict.py` held at its most."""
    outputs = ["--overlay", video.with_name("overlay.mp4"), "--maps", video.with_name("maps.npz")]
    chosen = ["--weights", weights] if weights else []
    process = subprocess.Popen([sys.executable, ROOT / "predict.py", video, *outputs, *chosen])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"predict.py ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 120], help="lengths of the videos")
    parser.add_argument("--weights", type=Path, help="weights to predict with (the packaged ones by default)")
    args = parser.parse_args()
    table = Table(title="Peak memory of prediction, 1280x720 at 25 frames a second")
    for name in ("seconds", "frames", "peak (MiB)", f"ratio (limit {LIMIT})"):
        table.add_column(name, justify="right")
    peaks = []
    for seconds in args.seconds:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "video.mp4"
            draw_video(video, seconds)
            peaks.append(peak_memory(video, args.weights))
        table.add_row(str(seconds), str(seconds * FPS), f"{peaks[-1] / 2**20:.0f}", f"{peaks[-1] / peaks[0]:.3f}")
    Console().print(table)
    sys.exit(max(peaks) > LIMIT * peaks[0])


if __name__ == "__main__":
    main()
