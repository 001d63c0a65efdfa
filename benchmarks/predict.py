"""predict.py on a video beside the release's way of working: `python -m benchmarks.predict`.

30 s of talking faces at 1280x720 with sound, weights of the released sizes. Ours reads and writes a stream, with the
overlay as H.264 and the sound in it; theirs is `benchmarks.released_way`. Neither looks for faces: `benchmarks.faces`
tells what that adds. Each runs in a process of its own, in turn, from its start to its end: loading counts, and so does
compiling, since ours finds no compiled code. predict.py has glibc keep freed memory by itself, so in the "default"
setting theirs alone gives it back; in "kept" both keep it. Prints the peak memory of both. Needs torch besides what
predict.py does.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.harness.processes import Finished, finished, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison

GOALS = {"cpu": 1.4, "cuda": 5.0}
MEMORY_GOAL = 1.5  # GB


def measure(rounds: int = 3, seconds: float = 30.0) -> list[Comparison]:
    """predict.py on a whole video, beside the release's way of working."""
    with tempfile.TemporaryDirectory() as folder:
        names = "video.mp4", "sound.wav", "weights.safetensors", "weights.pt", "ours.mp4", "theirs.mp4"
        video, sound, our_weights, their_weights, our_out, their_out = (Path(folder) / name for name in names)
        # This process stays small and leaves the GPU alone: its own memory is the least that a child's is taken for,
        # and what JAX holds of a GPU's memory would be missing there.
        device = in_fresh_process(prepare, video, sound, our_weights, their_weights, seconds)
        commands = {
            "predict.py": ["predict.py", video, "--weights", our_weights, "--faces", "none", "--overlay", our_out],
            "the release's way": ["-m", "benchmarks.released_way", video, sound, their_weights, their_out, device],
        }
        found: dict[str, list[Finished]] = {side: [] for side in commands}
        for _ in range(rounds):
            for side, words in commands.items():
                with tempfile.TemporaryDirectory(dir=folder) as cache:
                    found[side].append(finished(words, JAX_COMPILATION_CACHE_DIR=cache))
    (_, ours), (against, theirs) = found.items()
    peak, their_peak = (max(each.peak for each in side) / 1e9 for side in (ours, theirs))
    met = "met" if peak < MEMORY_GOAL else "not met"
    print(f"peak memory: predict.py {peak:.2f} GB (under {MEMORY_GOAL} GB: {met}), {against} {their_peak:.2f} GB")
    times = ([each.seconds for each in side] for side in (ours, theirs))
    return [Comparison(f"predict.py, {seconds:g} s of 1280x720, overlay", against, "float32", *times, GOALS[device])]


def prepare(video: Path, sound: Path, our_weights: Path, their_weights: Path, seconds: float) -> str:
    """Draws the video, its sound and the weights; returns the device of both sides, "cpu" or "cuda"."""
    from flax import nnx
    from scipy.io import wavfile

    from benchmarks.harness.torch_side import torch_device
    from benchmarks.harness.videos import draw_faces
    from vasal_jax import weights
    from vasal_jax.inputs.sound import SAMPLE_RATE
    from vasal_jax.models import ModelConfig, VASal
    from vasal_jax.weights import pytorch
    from vasal_jax.weights.parameters import arrays

    device = torch_device()
    model = VASal(ModelConfig.released(), rngs=nnx.Rngs(0))
    weights.save(model, our_weights)
    pytorch.write(arrays(model), their_weights)
    wavfile.write(sound, SAMPLE_RATE, draw_faces(video, seconds))
    return device


if __name__ == "__main__":
    sys.exit(command("predict", __doc__, seconds=(float, "length of the video, 30 by default")))
