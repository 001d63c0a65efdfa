"""Programs for TensorFlow Lite (LiteRT), by `jax2tf`: clips of one shape, for phones and small machines.

Open axes do not convert: what each frame is mapped through becomes a loop over a list, which needs TensorFlow's own
operations. So the numbers of videos, frames and faces are fixed when the program is written.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import Builder
from flax import nnx

from vasal_jax.exported.description import KEY, Description, checked, refused, sealed
from vasal_jax.exported.jax_form import results_of
from vasal_jax.exported.program import Arrays, Program
from vasal_jax.models.vasal import VASal
from vasal_jax.ops import native
from vasal_jax.system.processor import cores

if TYPE_CHECKING:
    import tensorflow as tf

_AS_ON = "cuda"
"""The platform whose forms of the operations are converted: 2-D convolutions alone and no loops. Those of the CPU, made
for XLA, take twice as long in TensorFlow Lite."""


def write(model: VASal, description: Description, path: Path) -> None:
    """Writes the program of a model; needs TensorFlow."""
    content = _converter(model, description).convert()
    path.write_bytes(sealed(_with_metadata(content, description.to_json())))


class TfliteProgram(Program):
    """A program that TensorFlow Lite runs, on the CPU."""

    def __init__(self, description: Description, content: bytes, path: Path):
        super().__init__(description)
        self._interpreter = Interpreter(model_content=content, num_threads=cores())
        self._runner = self._interpreter.get_signature_runner()
        for found, expected in (
            (self._runner.get_input_details(), self.interface.taken),
            (self._runner.get_output_details(), self.interface.given),
        ):
            claims = {
                name: (tuple(info["shape"].tolist()), np.dtype(info["dtype"]).name) for name, info in found.items()
            }
            if claims != {name: (spec.shape, spec.dtype) for name, spec in expected.items()}:
                raise refused(path, "its inputs or outputs are not those of its config")

    def _run(self, inputs: Arrays) -> Arrays:
        return self._runner(**{name: np.asarray(value) for name, value in inputs.items()})


def read(content: bytes, path: Path) -> TfliteProgram:
    """The program in a file's bytes. Raises `InputError` for a file that is none of ours."""
    text = checked(path, lambda: _metadata(content))
    description = Description.from_json(text, path)
    return checked(path, lambda: TfliteProgram(description, content, path))


def _converter(model: VASal, description: Description) -> "tf.lite.TFLiteConverter":
    import tensorflow as tf
    from jax.experimental import jax2tf

    graph, state = nnx.split(_with_linear_as_convolutions(model))
    interface = description.interface

    def program(inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return results_of(nnx.merge(graph, state), interface, inputs)

    converted = jax2tf.convert(program, with_gradient=False, native_serialization_platforms=(_AS_ON,))
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in interface.taken.items()]

    class Module(tf.Module):
        """What the converter takes."""

        @tf.function(autograph=False, input_signature=specs)
        def __call__(self, *values: Any) -> Any:
            return converted(dict(zip(interface.taken, values, strict=True)))

    module: Any = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _with_linear_as_convolutions(model: VASal) -> VASal:
    """The model with linear layers that are 1x1 convolutions: the converter fails on products with several axes."""

    def product(x: jax.Array, kernel: jax.Array, *_: Any, **options: Any) -> jax.Array:
        y = native.conv2d(x.reshape(-1, 1, 1, x.shape[-1]), kernel[None, None], padding=0)
        return y.reshape(*x.shape[:-1], kernel.shape[-1])

    model = nnx.merge(*nnx.split(model))
    for _, layer in nnx.iter_modules(model):
        if isinstance(layer, nnx.Linear):
            layer.dot_general = product
    return model


def _with_metadata(content: bytes, text: str) -> bytes:
    """A TensorFlow Lite file with a text among its metadata."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = Builder(len(content) + len(text) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _metadata(content: bytes) -> str | None:
    """The text that `_with_metadata` left."""
    model: Any = schema.Model.GetRootAs(content)
    entries = (model.Metadata(number) for number in range(model.MetadataLength()))
    entry = next((entry for entry in entries if entry.Name() == KEY.encode()), None)
    return None if entry is None else model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
