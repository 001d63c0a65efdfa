"""Exported programs beside `jit` of the same model: `python -m benchmarks.exported`.

A clip of the released size through each form of program, all in turn, on as many threads. Needs the extra `export`,
torch, for the line of versions, and rich besides the core.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import jax
from flax import nnx

from benchmarks.harness.jax_side import drawn_clip, forward_call
from benchmarks.harness.processes import fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Call, Comparison, Side, interleave
from vasal_jax import exported
from vasal_jax.config import CLIP_LENGTH as T
from vasal_jax.models import ModelConfig, VASal

JIT = "jit"


def measure(rounds: int = 7) -> list[Comparison]:
    """Each form of program against `jit`."""
    with tempfile.TemporaryDirectory() as folder:
        for form in exported.FORMS:
            with fresh_process() as process:  # converting loads TensorFlow
                process.submit(write, form, Path(folder)).result()
        with fresh_process() as process:
            sides = {JIT: Side(process, partial(forward_call, ModelConfig.released(), drawn_clip(T)))}
            sides |= {form: Side(process, partial(program_call, Path(folder) / form)) for form in exported.FORMS}
            seconds = interleave(sides, rounds)
    bare = seconds.pop(JIT)
    return [Comparison(f"{form}, {T} frames", JIT, "float32", values, bare) for form, values in seconds.items()]


def write(form: exported.Form, folder: Path) -> None:
    """Exports the released model."""
    sizes = {"T": T} if form == "tflite" else None
    exported.save(VASal(ModelConfig.released(), rngs=nnx.Rngs(0)), folder / form, form, sizes)
    print(f"{form}: {(folder / form).stat().st_size:,} bytes", flush=True)


def program_call(path: Path) -> Call:
    """Returns a call that computes the saliency maps of a clip by an exported program."""
    program = exported.load(path)
    inputs = drawn_clip(T) | program.initial_carry(1)
    return lambda: jax.block_until_ready(program(inputs))


if __name__ == "__main__":
    sys.exit(command("exported", __doc__))
