"""What finding faces adds to predict.py: `python -m benchmarks.faces`.

20 s of five talking faces at 1280x720, with the overlay, `--faces auto` and `--faces none` in turn, each in a process
of its own from its start to its end: weights of the released sizes without and with a face branch, and the packaged
ones. Programs are compiled beforehand. Prints what finding takes in peak memory besides.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.processes import Finished, finished, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison

RELEASED, BRANCH, PACKAGED = "released", "released with a face branch", "packaged"
GOALS = {RELEASED: 1 / 1.08, BRANCH: None, PACKAGED: 1 / 1.25}
MEMORY_GOAL = 60.0  # MB, of weights of the released sizes


def measure(rounds: int = 5, seconds: float = 20.0) -> list[Comparison]:
    """Times predict.py with and without faces, for each kind of weights, on a video of so many seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # This process stays small: its own memory is the least that a child's is taken for.
        in_fresh_process(prepare, folder, seconds)
        return [compare(folder, kind, rounds, seconds) for kind in GOALS]


def compare(folder: Path, kind: str, rounds: int, seconds: float) -> Comparison:
    """Predicts with weights of one kind, with and without faces in turn."""
    words = ["predict.py", folder / "video.mp4", "--overlay", folder / "overlay.mp4"]
    if kind != PACKAGED:
        words += ["--weights", folder / f"{kind}.safetensors"]
    sides: dict[str, list[Finished]] = {"auto": [], "none": []}
    for _ in range(rounds + 1):
        for faces, found in sides.items():
            cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
            found.append(finished([*words, "--faces", faces], **cache))
    auto, none = (found[1:] for found in sides.values())  # the first round compiles
    more = statistics.median((a.peak - n.peak) / 1e6 for a, n in zip(auto, none, strict=True))
    met = f" (at most {MEMORY_GOAL:.0f}: {'met' if more <= MEMORY_GOAL else 'not met'})" if kind == RELEASED else ""
    print(f"{kind} weights: finding faces takes {more:.0f} MB{met}")
    times = ([each.seconds for each in found] for found in (auto, none))
    return Comparison(
        f"predict.py, {seconds:g} s, faces found, {kind} weights", "no faces", "float32", *times, GOALS[kind]
    )


def prepare(folder: Path, seconds: float) -> None:
    """Draws the video and the weights of the released sizes."""
    from flax import nnx

    from benchmarks.harness.videos import draw_faces
    from vasal_jax import weights
    from vasal_jax.models import ModelConfig, VASal

    draw_faces(folder / "video.mp4", seconds)
    for kind, config in ((RELEASED, ModelConfig.released()), (BRANCH, ModelConfig.full_audio_faces())):
        weights.save(VASal(config, rngs=nnx.Rngs(0)), folder / f"{kind}.safetensors")


if __name__ == "__main__":
    sys.exit(command("faces", __doc__, seconds=(float, "length of the video, 20 by default")))
