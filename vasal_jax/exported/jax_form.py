"""Programs for JAX, of `jax.export`: one file for CPU, CUDA and TPU, any number of videos, frames and faces.

The file is a `.safetensors`: the program in an array of bytes, the parameters beside it, the description in its
metadata. The parameters go in as arguments, so that the three platforms share them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from flax import nnx
from jax import export

from vasal_jax.exported.description import KEY, Description, checked, refused, sealed
from vasal_jax.exported.interface import Interface, Spec
from vasal_jax.exported.program import Arrays, Program
from vasal_jax.inputs import limits
from vasal_jax.models.vasal import Carry, FaceInputs, VASal, saliency
from vasal_jax.system.reading import parse_json
from vasal_jax.weights.parameters import arrays, check_arrays, parameter_shapes

PLATFORMS = ("cpu", "cuda", "tpu")
_PROGRAM = "program"  # no parameter has this name: theirs have dots


def results_of(model: VASal, interface: Interface, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What is exported, in any form but ONNX: a function from `interface.taken` to `interface.given`."""
    structure = jax.tree.structure(jax.eval_shape(lambda: model.initial_carry(1, 1)))
    carry: Carry = jax.tree.unflatten(structure, [inputs[name] for name in interface.carry])
    output = model(inputs["frames"], inputs["frames_past"], inputs["mel"], FaceInputs.of(inputs), carry=carry)
    results = {"maps": saliency(output.saliency_logits)}
    if output.faces is not None:
        results["face_weights"] = jax.nn.softmax(output.faces.weights)
        results["face_talking"] = jax.nn.sigmoid(output.faces.talking)
    return results | dict(zip(interface.following, jax.tree.leaves(output.carry), strict=True))


def write(model: VASal, description: Description, path: Path) -> None:
    """Writes the program of a model."""
    graph, state = nnx.split(model)
    structure, values = jax.tree.structure(state), arrays(model)

    def program(parameters: dict[str, jax.Array], inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        # `nnx.State` cannot be serialised, so the parameters go in as a plain dict; `values` has the state's order.
        model = nnx.merge(graph, jax.tree.unflatten(structure, [parameters[name] for name in values]))
        return results_of(model, description.interface, inputs)

    exported = export.export(jax.jit(program), platforms=PLATFORMS)(*_arguments(description))
    tensors = values | {_PROGRAM: np.frombuffer(exported.serialize(), np.uint8)}
    path.write_bytes(sealed(safetensors.numpy.save(tensors, metadata={KEY: description.to_json()})))


def _arguments(description: Description) -> tuple[dict[str, jax.ShapeDtypeStruct], ...]:
    """Shapes and types of the parameters and of the inputs."""
    scope = export.SymbolicScope()

    def struct(spec: Spec) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(export.symbolic_shape(str(spec), scope=scope), spec.dtype)

    parameters = {name: Spec(shape) for name, shape in parameter_shapes(description.config).items()}
    return tuple(
        {name: struct(spec) for name, spec in part.items()} for part in (parameters, description.interface.taken)
    )


class JaxProgram(Program):
    """A program that XLA runs on whatever device JAX uses."""

    def __init__(self, description: Description, values: Arrays, exported: export.Exported):
        super().__init__(description)
        self._parameters = jax.device_put(values)
        self._call = jax.jit(exported.call)

    def _run(self, inputs: Arrays) -> Arrays:
        return self._call(self._parameters, inputs)


def read(content: bytes, path: Path) -> JaxProgram:
    """The program in a file's bytes. Raises `InputError` for a file that is none of ours."""
    size = int.from_bytes(content[:8], "little")
    if size > limits.MAX_WEIGHTS_HEADER_BYTES:
        raise refused(path, f"a header of {size} bytes")
    metadata = checked(path, lambda: dict(parse_json(content[8 : 8 + size])["__metadata__"]))
    description = Description.from_json(metadata.get(KEY), path)
    values: Arrays = checked(path, lambda: safetensors.numpy.load(content))
    program = values.pop(_PROGRAM, None)
    if program is None or program.dtype != np.uint8 or program.size > limits.MAX_PROGRAM_BYTES:
        raise refused(path, f"expected a program of at most {limits.MAX_PROGRAM_BYTES} bytes")
    check_arrays(values, parameter_shapes(description.config), path)
    exported = checked(path, lambda: export.deserialize(bytearray(program.tobytes())))
    checked(path, lambda: _check(exported, description, path))
    return JaxProgram(description, values, exported)


def _check(exported: export.Exported, description: Description, path: Path) -> None:
    """Raises `InputError` unless a program takes and gives what it should and calls nothing outside itself."""
    (arguments, options), results = (
        jax.tree.map(_described, jax.tree.unflatten(tree, avals))
        for tree, avals in ((exported.in_tree, exported.in_avals), (exported.out_tree, exported.out_avals))
    )
    given = {name: (tuple(map(str, spec.shape)), spec.dtype) for name, spec in description.interface.given.items()}
    if (arguments, options, results) != (jax.tree.map(_described, _arguments(description)), {}, given):
        raise refused(path, "its inputs or outputs are not those of its config")
    text = exported.mlir_module()
    if text.count("custom_call") != text.count("custom_call @shape_assertion"):
        raise refused(path, "it calls something outside itself")


def _described(array: Any) -> tuple[tuple[str, ...], str]:
    return tuple(map(str, array.shape)), str(array.dtype)
