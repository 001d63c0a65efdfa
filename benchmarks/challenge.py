"""Speed and memory of scoring by the challenge's protocol at 1920x1080: `python -m benchmarks.challenge`.

Ground truth (10 bits, as the challenge stores it) and a submission are drawn for each length. One process reads the
ground truth alone, another scores, and the peak memory of the second is set beside that of the shortest length. Exit
code 1 where it exceeds 1.1 times that.
"""

import argparse
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness.processes import in_fresh_process
from benchmarks.harness.runner import run

FPS, WIDTH, HEIGHT, FIXATIONS = 25, 1920, 1080, 70
LIMIT = 1.1


def draw_maps(path: Path, frames: int, pix_fmt: str, options: dict[str, str]) -> None:
    """A video of maps whose bright place moves."""
    bell = cv2.getGaussianKernel(256, 40) @ cv2.getGaussianKernel(256, 40).T
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(FPS), options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index in range(frames):
            picture = np.zeros((HEIGHT, WIDTH), np.uint16)
            x, y = (WIDTH - 256) * index // frames, (HEIGHT - 256) // 2
            picture[y : y + 256, x : x + 256] = 65535 * bell / bell.max()
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray16le")))
        output.mux(stream.encode(None))


def read(truth: Path) -> float:
    """Frames a second of reading ground truth."""
    from vasal_jax.inputs.map_videos import read_maps

    begun = time.monotonic()
    return sum(1 for _ in read_maps(truth)) / (time.monotonic() - begun)


def score(truth: Path, submission: Path, frames: int) -> tuple[float, int]:
    """Frames a second of scoring a submission, and the bytes that this process held at its most."""
    from data.challenge_files import ChallengeVideo
    from vasal_jax.evaluation import challenge
    from vasal_jax.evaluation.ground_truth import GroundTruth
    from vasal_jax.inputs.map_videos import MapVideo
    from vasal_jax.size import Size

    size = Size(HEIGHT, WIDTH)
    video = ChallengeVideo("challenge", "1", truth, None, frames, FPS, WIDTH, HEIGHT, size, truth, truth, "public_test")
    points = np.random.default_rng(0).uniform(0, (WIDTH, HEIGHT), (frames, FIXATIONS, 2)).astype(np.float32)
    begun = time.monotonic()
    challenge.score_videos(
        [GroundTruth(video, points, True)], lambda _: MapVideo(submission).__getitem__, lambda _: None
    )
    rate = frames / (time.monotonic() - begun)
    return rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60], help="lengths of the videos")
    args = parser.parse_args()
    table = Table(title=f"The challenge's protocol at {WIDTH}x{HEIGHT}")
    for name in ("seconds", "reading (frames/s)", "scoring (frames/s)", "peak (MiB)", f"ratio (limit {LIMIT})"):
        table.add_column(name, justify="right")
    peaks = []
    for seconds in args.seconds:
        with tempfile.TemporaryDirectory() as folder:
            truth, submission = Path(folder, "truth.mp4"), Path(folder, "submission.mp4")
            draw_maps(truth, seconds * FPS, "yuv420p10le", {"crf": "0", "preset": "ultrafast"})
            draw_maps(submission, seconds * FPS, "yuv420p", {"preset": "ultrafast"})
            reading = in_fresh_process(read, truth)
            scoring, peak = in_fresh_process(score, truth, submission, seconds * FPS)
        peaks.append(peak)
        ratio = f"{peak / peaks[0]:.3f}"
        table.add_row(str(seconds), f"{reading:.1f}", f"{scoring:.1f}", f"{peak / 2**20:.0f}", ratio)
    Console().print(table)
    return int(max(peaks) > LIMIT * peaks[0])


if __name__ == "__main__":
    sys.exit(run(main))
