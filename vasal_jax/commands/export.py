"""Models as programs for other runtimes: what `vasal export` runs."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vasal_jax import exported, weights
from vasal_jax.errors import InputError
from vasal_jax.exported import Form
from vasal_jax.system.files import check_writable
from vasal_jax.system.terminal import say

_Number = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class ExportArgs:
    """Export weights as a program in one file, for JAX, ONNX or TensorFlow Lite (pip install "vasal-jax[export]")."""

    weights: Positional[Annotated[str, arg(metavar="WEIGHTS", help_behavior_hint="")]]
    """A .safetensors file, an Orbax folder or a PyTorch checkpoint."""
    out: Positional[Annotated[Path, arg(metavar="OUT", help_behavior_hint="")]]
    """The file to write."""
    format: Annotated[Literal["jax", "onnx", "tflite"] | None, arg(help_behavior_hint="")] = None
    """What is to run it. By default told from OUT's name: .jax, .onnx or .tflite."""
    videos: _Number = None
    """For tflite, whose programs take clips of one shape: how many videos at once. By default 1."""
    frames: _Number = None
    """For tflite: how many frames a clip has. By default 2."""
    faces: _Number = None
    """For tflite, of weights with a face branch: how many faces at a time. By default 4."""


def export(args: ExportArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    form = _form(args)
    check_writable(args.out)
    given = {"B": args.videos, "T": args.frames, "N": args.faces}
    sizes = {axis: size for axis, size in given.items() if size is not None}
    exported.save(weights.load(args.weights, dtype="float32"), args.out, form, sizes)
    say(f"wrote {args.out} ({form}, {args.out.stat().st_size:,} bytes)")
    return 0


def _form(args: ExportArgs) -> Form:
    suffix = args.out.suffix.lower().removeprefix(".")
    if args.format is not None:
        return args.format
    if suffix not in exported.FORMS:
        raise InputError(f"{args.out}: expected a name with .jax, .onnx or .tflite, or --format")
    return suffix
