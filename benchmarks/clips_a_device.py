"""Training steps of more and more clips on one device: `python -m benchmarks.clips_a_device`.

Each number of clips has a process of its own, which trains the preset `mvva` on drawn clips that lie packed in the
device's memory. What is timed is what a training does once its data is there, unpacking included, several steps in a
row as a training dispatches them. It is no comparison: `benchmarks.train_step` sets a step beside PyTorch's. Needs
torch, for the line of versions.
"""

import argparse
import statistics
import sys
import time
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from benchmarks.harness import machine
from benchmarks.harness.jax_side import matrix_product
from benchmarks.harness.processes import in_fresh_process
from benchmarks.harness.runner import count
from benchmarks.train_step import GMAC_A_FRAME
from configs import mvva
from data.pipeline import MVVA_SUBJECTS, batch_shapes
from vasal_jax.batch import packed_names
from vasal_jax.models import VASal
from vasal_jax.system.terminal import run
from vasal_jax.training.loop import compiled_step
from vasal_jax.training.sharding import make_mesh, place, replicate
from vasal_jax.training.step import Training
from vasal_jax.training.unpacking import unpacker
from vasal_jax.weights.parameters import arrays

CONFIG = mvva.config()
IN_A_ROW = 4  # steps that are timed together


class Measured(NamedTuple):
    """Steps of one number of clips."""

    seconds: float  # a step, the median
    peak: int | None  # bytes of the device's memory in use at most; None where it does not tell


def measure(clips: int, rounds: int) -> Measured:
    """Trains on one batch of drawn clips, over and over; `IN_A_ROW` steps are timed `rounds` times."""
    mesh = make_mesh(jax.devices()[:1])
    training = Training(CONFIG.model, CONFIG.loss, CONFIG.optimizer, CONFIG.updates)
    state = replicate(training.initial_state(arrays(VASal(CONFIG.model, rngs=nnx.Rngs(0)))), mesh)
    batch = place(drawn_batch(training.step_fields, clips), mesh)
    step, unpack = compiled_step(training, mesh), unpacker(mesh)

    def seconds_a_step() -> float:
        nonlocal state
        begin, scalars = time.perf_counter(), None
        for _ in range(IN_A_ROW):
            state, scalars = step(state, unpack(batch))
        jax.block_until_ready(scalars)
        return (time.perf_counter() - begin) / IN_A_ROW

    seconds_a_step()  # compiles
    seconds = statistics.median(seconds_a_step() for _ in range(rounds))
    return Measured(seconds, (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use"))


def drawn_batch(fields: tuple[str, ...], clips: int) -> dict[str, np.ndarray]:
    """What a `PackedBatch` has for those fields of a `Batch`, drawn; every frame is valid."""
    rng, shapes = np.random.default_rng(0), batch_shapes(CONFIG.clips, MVVA_SUBJECTS)
    batch: dict[str, np.ndarray] = {}
    for name in packed_names(fields):
        kind, shape = shapes[name]
        drawn = rng.uniform(0.1, 0.9, (clips, *shape))
        batch[name] = np.round(drawn * 255).astype(kind) if np.issubdtype(kind, np.integer) else drawn.astype(kind)
    for name, of in (("frame_at", "pictures"), ("past_at", "pictures"), ("mel_at", "mel_pictures")):
        batch[name] %= batch[of].shape[1]
    batch["density"] /= batch["density"].sum((2, 3), keepdims=True)
    return batch


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m benchmarks.clips_a_device")
    parser.add_argument("clips", type=count, nargs="*", default=[1, 4, 8, 16], help="how many, number by number")
    parser.add_argument("--rounds", type=count, default=7, help=f"how often {IN_A_ROW} steps are timed")
    args = parser.parse_args()
    print(machine.ask().conditions)
    dtype = CONFIG.model.dtype
    most = in_fresh_process(matrix_product, dtype)
    print(f"a large matrix product: {most / 1e12:.1f} TFLOP/s in {dtype}", flush=True)
    table = Table("clips", "ms a step", "frames/s", "TFLOP/s", "of the product", "memory, GB")
    for clips in args.clips:
        found, frames = in_fresh_process(measure, clips, args.rounds), clips * CONFIG.clips.length
        reached = 3 * 2 * GMAC_A_FRAME * 1e9 * frames / found.seconds
        table.add_row(
            str(clips), f"{1e3 * found.seconds:.2f}", f"{frames / found.seconds:.0f}", f"{reached / 1e12:.1f}",
            f"{reached / most:.0%}", "" if found.peak is None else f"{found.peak / 1e9:.2f}",
        )  # fmt: skip
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
