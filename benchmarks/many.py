"""One command for many videos beside a command each and beside the release's way: `python -m benchmarks.many`.

Eight videos of talking faces of 10 s at 1280x720 with sound, weights of the released sizes, each video's overlay as
H.264 with the sound in it. One `predict.py` takes all eight; beside it eight commands, one after the other, with the
compiled programs of the first kept as predict.py keeps them, and `benchmarks.released_way` on each. All of that counts,
loading and compiling too; the first command finds no compiled code. Needs torch besides what predict.py does.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.harness.processes import finished, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison
from benchmarks.predict import prepare

VIDEOS = 8
GOALS = {"cpu": (1.25, 2.2), "cuda": (1.25, 5.0)}  # against a command each, and the release's way


def measure(rounds: int = 3, seconds: float = 10.0) -> list[Comparison]:
    """Eight videos in one command, beside eight commands and the release's way of working."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = folder / "weights.safetensors", folder / "weights.pt"
        films = [folder / f"{number}.mp4" for number in range(VIDEOS)]
        for film in films:
            device = in_fresh_process(prepare, film, film.with_suffix(".wav"), ours, theirs, seconds)
        found: dict[str, list[float]] = {"one": [], "each": [], "release": []}
        for _ in range(rounds):
            found["one"].append(_in_one(films, ours))
            found["each"].append(_one_each(films, ours))
            found["release"].append(_released(films, theirs, device))
    one = found["one"]
    rate = VIDEOS * seconds * 24 / min(one)
    print(f"{VIDEOS} videos in one command: {rate:.1f} frames/s at best, from start to end")
    work, (goal_each, goal_release) = (
        f"{VIDEOS} videos of {seconds:g} s, 1280x720, overlays, one command",
        GOALS[device],
    )
    return [
        Comparison(work, "a command each", "float32", one, found["each"], goal_each),
        Comparison(work, "the release's way", "float32", one, found["release"], goal_release),
    ]


def _in_one(films: list[Path], weights: Path) -> float:
    with tempfile.TemporaryDirectory(dir=weights.parent) as out:
        options = ["--weights", weights, "--faces", "none", "--out", Path(out) / "out"]
        return finished(["predict.py", *films, *options], JAX_COMPILATION_CACHE_DIR=out).seconds


def _one_each(films: list[Path], weights: Path) -> float:
    with tempfile.TemporaryDirectory(dir=weights.parent) as out:
        options = ["--weights", weights, "--faces", "none", "--overlay", Path(out) / "overlay.mp4"]
        return sum(finished(["predict.py", film, *options], JAX_COMPILATION_CACHE_DIR=out).seconds for film in films)


def _released(films: list[Path], weights: Path, device: str) -> float:
    with tempfile.TemporaryDirectory(dir=weights.parent) as out:
        target = Path(out) / "overlay.mp4"
        words = (["-m", "benchmarks.released_way", film, film.with_suffix(".wav")] for film in films)
        return sum(finished([*words_of_one, weights, target, device]).seconds for words_of_one in words)


if __name__ == "__main__":
    sys.exit(command("many", __doc__, seconds=(float, "length of each video, 10 by default")))
