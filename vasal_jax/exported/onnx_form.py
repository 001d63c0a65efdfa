"""Programs for ONNX, any number of videos, frames and faces: the model's graph written down from its weights.

No converter takes the model as JAX lowers it: `platform_dependent`, channels-last 3-D convolutions and 5-D pooling are
beyond them. The graph below is that of `vasal_jax.models`, channels first inside as ONNX has it, and as plain as the
figure of the paper; a test holds it equal to the model.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from vasal_jax.config import FRAME_SIZE, MAP_SIZE, MEL_SIZE, MEL_STEPS, ModelConfig
from vasal_jax.exported.description import KEY, Description, checked, refused, sealed
from vasal_jax.exported.interface import Spec
from vasal_jax.exported.onnx_faces import weigh_faces
from vasal_jax.exported.onnx_graph import Graph, Value
from vasal_jax.exported.onnx_layers import Layers, lstm_step, pooled
from vasal_jax.exported.program import Arrays, Program
from vasal_jax.inputs import limits
from vasal_jax.models.vasal import VASal
from vasal_jax.weights.parameters import arrays

OPSET = 18
"""The operator set, which onnxruntime has from 1.14 on."""

_OPERATORS = {
    "Add", "Cast", "Concat", "Conv", "ConvTranspose", "Div", "Exp", "Expand", "Gather", "Identity", "LeakyRelu",
    "MatMul", "Max", "MaxPool", "Mul", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Scan",
    "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


def write(model: VASal, description: Description, path: Path) -> None:
    """Writes the program of a model."""
    interface = description.interface
    graph = Graph()
    results = _vasal(graph, model.config, arrays(model), {name: graph.value(name) for name in interface.taken})
    for name in interface.given:
        graph.give(results[name], name)
    proto = helper.make_model(
        graph.proto("vasal", _infos(interface.taken), _infos(interface.given)),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="vasal-jax",
    )
    helper.set_model_props(proto, {KEY: description.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(sealed(proto.SerializeToString(deterministic=True)))


class OnnxProgram(Program):
    """A program that onnxruntime runs, on the CPU."""

    def __init__(self, description: Description, content: bytes):
        super().__init__(description)
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def _run(self, inputs: Arrays) -> Arrays:
        names = list(self.interface.given)
        fed = {name: np.asarray(value) for name, value in inputs.items()}
        return dict(zip(names, self._session.run(names, fed), strict=True))


def read(content: bytes, path: Path) -> OnnxProgram:
    """The program in a file's bytes. Raises `InputError` for a file that is none of ours."""
    proto: onnx.ModelProto = checked(path, lambda: onnx.load_model_from_string(content))
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    description = Description.from_json(properties.get(KEY), path)
    checked(path, lambda: _check(proto, description, path))
    return checked(path, lambda: OnnxProgram(description, content))


def _vasal(
    graph: Graph, config: ModelConfig, values: Mapping[str, np.ndarray], x: dict[str, Value]
) -> dict[str, Value]:
    """The whole model, as `models.vasal`."""
    layers = Layers(graph, values)
    sizes = x["frames"].sizes(0, 2)  # B, T
    visual, state = _remember(layers, config, _see(layers, x["frames"], x["frames_past"]), sizes, x)
    audio = _hear(layers, config, x["mel"])
    results: dict[str, Value] = {}
    if config.face:
        face_map, results = weigh_faces(layers, config, audio, x)
    else:
        face_map = x["face_map"].reshape(-1, 1, MAP_SIZE, MAP_SIZE)
    logits = _fuse(layers, visual, audio, face_map)
    maps = logits.reshape(-1, MAP_SIZE**2).apply("Softmax", axis=1).reshape(sizes, MAP_SIZE, MAP_SIZE)
    return {"maps": maps} | state | results


def _see(layers: Layers, frames: Value, past: Value) -> Value:
    """(B, T, 256, 256, 3) twice to (M, combine[-1], 32, 32), as `models.visual` without its memory."""
    now, past = (x.reshape(-1, FRAME_SIZE, FRAME_SIZE, 3).transpose(0, 3, 1, 2) for x in (frames, past))

    def conv(name: str, x: Value) -> Value:
        return layers.conv(f"visual.{name}", x).apply("Relu")

    x = pooled(conv("conv1_2", conv("conv1_1", now)), 2, 2)
    x = pooled(conv("conv2_2", conv("conv2_1", x)), 2, 2)
    texture = conv("conv4_1", pooled(conv("conv3_1", x), 2, 2))
    x = layers.graph.concat([past, now], axis=1)
    for name in ("flow1", "flow2", "flow3"):
        x = layers.conv(f"visual.{name}", x, stride=2).apply("LeakyRelu", alpha=0.1)
    motion = layers.conv_transpose("visual.flow_up", pooled(x, 2, 2)).apply("LeakyRelu", alpha=0.1)
    return conv("combine3", conv("combine2", conv("combine1", layers.graph.concat([motion, texture], axis=1))))


def _remember(
    layers: Layers, config: ModelConfig, x: Value, sizes: Value, state: dict[str, Value]
) -> tuple[Value, dict[str, Value]]:
    """(M, C, 32, 32) to (M, lstm[-1], 32, 32) and the state, as `models.convlstm`."""
    graph, following, side = layers.graph, {}, (MAP_SIZE, MAP_SIZE)
    turned = graph.concat([sizes.slice(0, 1, 2), sizes.slice(0, 0, 1)], axis=0)  # T, B
    for cell, hidden in enumerate(config.lstm):
        gates = layers.conv(f"visual.lstm.cells.{cell}.input", x)
        # The first cell's pictures lie by video, those of a scan by step.
        if cell == 0:
            gates = gates.reshape(sizes, 4 * hidden, *side).transpose(1, 0, 2, 3, 4)
        else:
            gates = gates.reshape(turned, 4 * hidden, *side)
        name = f"lstm{cell + 1}"
        before = [state[f"carry_{name}_{part}"].transpose(0, 3, 1, 2) for part in ("h", "c")]
        step = partial(_cell_step, f"visual.lstm.cells.{cell}.recurrent")
        (h, c), x = layers.scan(step, before, [gates])
        following |= {f"next_{name}_h": h.transpose(0, 2, 3, 1), f"next_{name}_c": c.transpose(0, 2, 3, 1)}
        x = x.reshape(-1, hidden, *side)
    x = x.reshape(turned, config.lstm[-1], *side).transpose(1, 0, 2, 3, 4)
    return x.reshape(-1, config.lstm[-1], *side), following


def _cell_step(recurrent: str, layers: Layers, state: list[Value], steps: list[Value]) -> tuple[list[Value], Value]:
    (h, c), (gates,) = state, steps
    h, c = lstm_step(gates + layers.conv(recurrent, h), c, axis=1)
    return [h, c], h


def _hear(layers: Layers, config: ModelConfig, mel: Value) -> Value:
    """(B, T, 16, 64, 64, 1) to (M, 2 * audio[-1], 32, 32), as `models.audio`."""

    def conv(name: str, x: Value) -> Value:
        return layers.conv(f"audio.{name}", x).apply("Relu")

    x = mel.reshape(-1, 1, MEL_STEPS, MEL_SIZE, MEL_SIZE)
    x = pooled(conv("conv1", x), 2, 2, 2)
    x = pooled(conv("conv2b", conv("conv2a", x)), 2, 1, 1)
    x = pooled(conv("conv3", x), 2, 1, 1)  # (M, C, 2, 32, 32): channel * 2 + step is their order in memory
    return x.reshape(-1, 2 * config.audio[-1], MAP_SIZE, MAP_SIZE)


def _fuse(layers: Layers, visual: Value, audio: Value, face: Value) -> Value:
    """The three senses (M, C, 32, 32) to logits (M, 1, 32, 32), as `models.fusion`."""

    def conv(name: str, x: Value) -> Value:
        return layers.conv(f"fusion.{name}", x).apply("Relu")

    senses = {"visual": visual, "audio": audio, "face": face}
    first, second, third = (conv(f"{name}1", x) for name, x in senses.items())
    total = first + second + third
    read = [conv(f"{name}2", layers.graph.concat([total, x], axis=1)) for name, x in senses.items()]
    return layers.conv("fusion.head", layers.graph.concat(read, axis=1))


def _infos(specs: Mapping[str, Spec]) -> list[onnx.ValueInfoProto]:
    kinds = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL}
    return [helper.make_tensor_value_info(name, kinds[spec.dtype], spec.shape) for name, spec in specs.items()]


def _check(proto: onnx.ModelProto, description: Description, path: Path) -> None:
    """Raises `InputError` unless a model is one file with the operators, inputs and outputs that `write` gives it."""
    nodes, graphs = [], [proto.graph]
    while graphs:
        graph = graphs.pop()
        nodes += graph.node
        graphs += [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
        if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer):
            raise refused(path, "its weights are in other files")
    others = {f"{node.domain} {node.op_type}".strip() for node in nodes} - _OPERATORS
    if others or proto.functions or len(nodes) > limits.MAX_PROGRAM_NODES:
        raise refused(path, f"{len(nodes)} nodes, of other kinds: {', '.join(sorted(others)) or 'none'}")
    interface = description.interface
    if list(proto.graph.input) != _infos(interface.taken) or list(proto.graph.output) != _infos(interface.given):
        raise refused(path, "its inputs or outputs are not those of its config")
