"""Speed and memory of a challenge's videos at 1920x1080: `python -m benchmarks.challenge`.

For each length a challenge of one training video is drawn: talking faces with sound, ground truth of 10 bits as the
challenge stores it, and a submission. Processes of their own read the ground truth, score the submission, predict with
the packaged weights (faces found, maps alone) and prepare the video for training (faces found). The scoring's peak
memory is set beside that of the shortest length. Exit code 1 where it exceeds 1.1 times that.
"""

import argparse
import json
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
from benchmarks.harness.videos import draw_faces
from vasal_jax.system.terminal import run

FPS, WIDTH, HEIGHT, FIXATIONS = 25, 1920, 1080, 70
LIMIT = 1.1


def draw_challenge(root: Path, seconds: int) -> None:
    """A challenge of one training video, with a submission beside it."""
    for folder in ("Videos", "SaliencyTrain", "FixationsTrain/1", "Submission"):
        root.joinpath(folder).mkdir(parents=True)
    root.joinpath("TrainTestSplit.json").write_text(json.dumps({"train": ["1"], "public_test": []}))
    frames = seconds * FPS
    draw_faces(root / "Videos/1.mp4", seconds, FPS, WIDTH, HEIGHT)
    _draw_maps(root / "SaliencyTrain/1.mp4", frames, "yuv420p10le", {"crf": "0", "preset": "ultrafast"})
    _draw_maps(root / "Submission/1.mp4", frames, "yuv420p", {"preset": "ultrafast"})
    points = np.random.default_rng(0).integers(0, (HEIGHT, WIDTH), (frames, FIXATIONS, 2))
    root.joinpath("FixationsTrain/1/fixations.json").write_text(json.dumps(points.tolist()))


def _draw_maps(path: Path, frames: int, pix_fmt: str, options: dict[str, str]) -> None:
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


def read(root: Path) -> float:
    """Seconds of reading ground truth."""
    from vasal_jax.inputs.map_videos import read_maps

    begun = time.monotonic()
    for _ in read_maps(root / "SaliencyTrain/1.mp4"):
        pass
    return time.monotonic() - begun


def score(root: Path) -> tuple[float, int]:
    """Seconds of scoring a submission, and the bytes that this process held at its most."""
    from data.challenge import read_challenge
    from vasal_jax.evaluation import challenge
    from vasal_jax.evaluation.ground_truth import GroundTruth
    from vasal_jax.inputs.map_videos import MapVideo

    record = read_challenge(root, progress=False)[0].records[0]
    truth = GroundTruth.of(record)
    begun = time.monotonic()
    challenge.score_videos([truth], lambda _: MapVideo(root / "Submission/1.mp4").__getitem__, lambda _: None)
    return time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def model(root: Path) -> float:
    """Seconds of predicting with the packaged weights, compiling not included."""
    import vasal_jax
    from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS

    weights = vasal_jax.load(PACKAGED_WEIGHTS)
    begun = 0.0
    for _ in range(2):  # the first time compiles
        begun = time.monotonic()
        vasal_jax.predict(weights, root / "Videos/1.mp4")
    return time.monotonic() - begun


def prepare(root: Path) -> tuple[float, int]:
    """Seconds of preparing for training with one process, starting TensorFlow not included; bytes on disk."""
    from data.builder import BuilderArgs, build

    begun = time.monotonic()
    build(BuilderArgs(root, root / "prepared", faces="auto", processes=1))
    return time.monotonic() - begun, sum(path.stat().st_size for path in root.glob("prepared/**/*.array_record*"))


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60], help="lengths of the videos")
    args = parser.parse_args()
    table = Table(
        title=f"A challenge at {WIDTH}x{HEIGHT}, frames/s; kB a frame; peak of scoring, its ratio (limit {LIMIT})"
    )
    for name in ("length", "reading", "scoring", "model", "preparing", "kB prepared", "peak (MiB)", "ratio"):
        table.add_column(name, justify="right")
    peaks = []
    for seconds in args.seconds:
        with tempfile.TemporaryDirectory() as folder:
            root, frames = Path(folder), seconds * FPS
            draw_challenge(root, seconds)
            reading, scoring, peak = in_fresh_process(read, root), *in_fresh_process(score, root)
            predicting, preparing, size = in_fresh_process(model, root), *in_fresh_process(prepare, root)
        peaks.append(peak)
        rates = (f"{frames / taken:.1f}" for taken in (reading, scoring, predicting, preparing))
        sizes = f"{size / frames / 1000:.1f}", f"{peak / 2**20:.0f}", f"{peak / peaks[0]:.3f}"
        table.add_row(f"{seconds} s", *rates, *sizes)
    Console().print(table)
    return int(max(peaks) > LIMIT * peaks[0])


if __name__ == "__main__":
    sys.exit(run(main))
