"""Exported programs as files: written in the form that is asked for, read in the form that their content has."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from vasal_jax.errors import InputError
from vasal_jax.exported.description import MAX_SIZE, Description, check_seal
from vasal_jax.exported.program import Program
from vasal_jax.inputs import limits
from vasal_jax.models.vasal import VASal
from vasal_jax.system.files import replacing
from vasal_jax.system.reading import read_bytes

Form = Literal["jax", "onnx", "tflite"]
FORMS: tuple[Form, ...] = get_args(Form)


def save(model: VASal, path: str | os.PathLike, form: Form, sizes: Mapping[str, int] | None = None) -> None:
    """Writes a model as a program with its weights in it, one file.

    Args:
      model: from `vasal_jax.load`, with the compute type float32.
      path: the file, which is replaced whole.
      form: of what runs it: "jax" (`jax.export`, for CPU, CUDA and TPU), "onnx", or "tflite".
      sizes: of tflite, whose programs take clips of one shape: "B" videos, "T" frames and "N" faces. By default one
        video, 2 frames and 4 faces. In the other forms all three stay open.

    Raises:
      InputError: another compute type, sizes that the form does not take, or the file system refuses.
    """
    path = Path(path)
    if model.config.dtype != "float32":
        raise InputError(f"an exported program computes in float32, found {model.config.dtype}; load the weights so")
    description = Description(model.config, model.memory, _sizes(model, form, sizes))
    write = _module(form).write
    with replacing(path) as temporary:
        write(model, description, temporary)


def load(path: str | os.PathLike) -> Program:
    """The program in a file that `save` wrote; what it is, its content says.

    Raises:
      InputError: the file is missing, larger than `limits` has it, damaged, or not of `save`; or what runs it is not
        installed.
    """
    path = Path(path)
    content = read_bytes(path, "an exported program", limits.MAX_EXPORTED_BYTES)
    check_seal(content, path)
    form: Form = "tflite" if content[4:8] == b"TFL3" else "jax" if content[8:9] == b"{" else "onnx"
    return _module(form).read(content, path)


def _module(form: Form) -> Any:
    """The module of a form, with its functions `write` and `read`; it loads what the extra installs."""
    try:
        return import_module(f"vasal_jax.exported.{form}_form")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise InputError(f"{package} is not installed; {form} needs pip install 'vasal-jax[export]'") from None


def _sizes(model: VASal, form: Form, sizes: Mapping[str, int] | None) -> dict[str, int]:
    if form != "tflite":
        if sizes:
            raise InputError(f"{form}: takes any number of videos, frames and faces; leave their sizes out")
        return {}
    chosen: dict[str, int] = {"B": 1, "T": 2} | ({"N": 4} if model.config.face else {}) | dict(sizes or {})
    if "N" in chosen and not model.config.face:
        raise InputError("a model without a face branch takes no number of faces; leave it out")
    if not all(1 <= size <= MAX_SIZE for size in chosen.values()):
        raise InputError(f"expected 1 to {MAX_SIZE} videos, frames and faces, found {list(chosen.values())}")
    return chosen
