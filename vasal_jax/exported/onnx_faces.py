"""The face branch in ONNX, as `vasal_jax.models.face` has it; faces are (B, T, N, ...)."""

import math

import numpy as np

from vasal_jax.config import CROP_SIZE, MAP_MEAN, MAP_SIZE, MEL_SIZE, MEL_STEPS, MIN_SIGMA, SIGMA_SCALE, ModelConfig
from vasal_jax.exported.onnx_graph import Graph, Value
from vasal_jax.exported.onnx_layers import Layers, lstm_step, pooled
from vasal_jax.models import face


def weigh_faces(
    layers: Layers, config: ModelConfig, audio: Value, x: dict[str, Value]
) -> tuple[Value, dict[str, Value]]:
    """Weighs the faces of a clip.

    Args:
      layers: of the model.
      config: of the model.
      audio: (B * T, C, 32, 32), what is heard.
      x: all inputs and the state by name.

    Returns:
      The face map (B * T, 1, 32, 32), and the faces' weights, whether they talk, and the state by name.
    """
    graph, mask = layers.graph, x["face_mask"]
    present, boxes = mask.expand(3), graph.where(mask.expand(3), x["face_boxes"], 0)
    look = _look(layers, config, x["face_crops"], mask)
    before = graph.concat([x["carry_face_features"].expand(1), look.slice(1, 0, -1)], axis=1)
    seen = graph.concat([x["carry_face_seen"].expand(1), mask.slice(1, 0, -1)], axis=1).expand(3)
    kept = graph.where(present.at(1, -1), look.at(1, -1), 0)
    look = graph.concat([look, graph.where(seen, (look - before) * face.CHANGE_SCALE, 0)], axis=3)
    low, high = boxes.slice(3, 0, 2), boxes.slice(3, 2, 4)
    inputs = [look, low + high - 1, (high - low) * 2]
    if config.face_audio:
        sound = _sound(layers, config, audio, x["mel"]).reshape(mask.sizes(0, 2), 1, config.face_audio)
        everywhere = graph.concat([mask.sizes(0, 3), graph.constant([config.face_audio], np.int64)], axis=0)
        inputs += [sound * layers.linear("face.look", look), graph("Expand", sound, everywhere)]
    gates = layers.linear("face.lstm_input", graph.concat(inputs, axis=3))
    by_step = [value.transpose(1, 0, 2, 3) for value in (gates, present.apply("Cast", to=1))]
    (h, c), hidden = layers.scan(_step, [x["carry_face_h"], x["carry_face_c"]], by_step)
    weights, talking = _weigh(layers, hidden.transpose(1, 0, 2, 3), mask)
    state = {"h": h, "c": c, "features": kept, "seen": mask.at(1, -1)}
    results = {"face_weights": weights, "face_talking": talking}
    return _gaussian_map(graph, boxes, weights.slice(2, 0, -1)), results | {
        f"next_face_{n}": v for n, v in state.items()
    }


def _look(layers: Layers, config: ModelConfig, crops: Value, mask: Value) -> Value:
    """Crops (B, T, N, 64, 64, 3) to features (B, T, N, F)."""
    x = layers.graph.where(mask.expand(3).expand(4).expand(5), crops, 0)
    x = x.reshape(-1, CROP_SIZE, CROP_SIZE, 3).transpose(0, 3, 1, 2) / face.CROP_SCALE
    for name in ("conv1", "conv2", "conv3"):
        x = pooled(layers.conv(f"face.{name}", x).apply("Relu"), 2, 2)
    x = x.transpose(0, 2, 3, 1).reshape(-1, (CROP_SIZE // 8) ** 2 * config.face[2])
    return layers.linear("face.features", x).reshape(mask.sizes(0, 3), config.face[3])


def _sound(layers: Layers, config: ModelConfig, audio: Value, mel: Value) -> Value:
    """What is heard around a frame and with it, (B * T, face_audio)."""
    heard = audio.reduce("ReduceMean", 2, 3, keep=False)
    heard = heard / ((heard * heard).reduce("ReduceMean", 1) + 1).apply("Sqrt")
    cells = MEL_SIZE // face.CELL
    picture = (mel.at(2, MEL_STEPS // 2) - face.MEL_MEAN) / face.MEL_SCALE
    picture = picture.reshape(-1, cells, face.CELL, cells, face.CELL).reduce("ReduceMean", 2, 4, keep=False)
    return layers.linear("face.sound", layers.graph.concat([heard, picture.reshape(-1, cells**2)], axis=1))


def _step(layers: Layers, state: list[Value], steps: list[Value]) -> tuple[list[Value], Value]:
    (h, c), (gates, present) = state, steps
    h, c = lstm_step(gates + layers.linear("face.lstm_recurrent", h), c, axis=2)
    h, c = h * present, c * present
    return [h, c], h


def _weigh(layers: Layers, h: Value, mask: Value) -> tuple[Value, Value]:
    """(B, T, N, H) to the faces' weights (B, T, N+1) and whether they talk (B, T, N)."""
    graph = layers.graph
    x = (layers.linear("face.own", h) + layers.linear("face.everyone", _mean_face(graph, h, mask))).apply("Relu")
    none = layers.linear("face.none", _mean_face(graph, x, mask)).at(3, 0)
    weight, talking = (layers.linear(f"face.{name}", x).at(3, 0) for name in ("weight", "talking"))
    logits = graph.concat([graph.where(mask, weight, -math.inf), none], axis=2)
    return logits.apply("Softmax", axis=2), graph.where(mask, talking, 0).apply("Sigmoid")


def _mean_face(graph: Graph, x: Value, mask: Value) -> Value:
    count = graph("Max", mask.apply("Cast", to=1).reduce("ReduceSum", 2), 1.0).expand(3)
    return graph.where(mask.expand(3), x, 0).reduce("ReduceSum", 2) / count


def _gaussian_map(graph: Graph, boxes: Value, weights: Value) -> Value:
    """Boxes (B, T, N, 4) and weights (B, T, N) of the faces, zeros where there is none, to (B * T, 1, 32, 32)."""
    cells = graph.constant((np.arange(MAP_SIZE) + 0.5) / MAP_SIZE)

    def bells(low: Value, high: Value) -> Value:
        sigma = graph("Max", (high - low) * SIGMA_SCALE, MIN_SIGMA).expand(3)
        offsets = (cells - ((low + high) / 2).expand(3)) / sigma
        return (offsets * offsets * -0.5).apply("Exp") / (sigma * math.sqrt(2 * math.pi))

    x1, y1, x2, y2 = (boxes.at(3, edge) for edge in range(4))
    rows, columns = bells(y1, y2), bells(x1, x2)
    share = weights.reduce("ReduceSum", 2).expand(3)
    mixture = (rows * weights.expand(3)).transpose(0, 1, 3, 2) @ columns / graph("Max", share, 1e-12)
    mixture = mixture - mixture.reduce("ReduceMin", 2, 3)
    span = graph("Max", mixture.reduce("ReduceMax", 2, 3), 1e-3)
    return (share * (mixture / span * 255 - MAP_MEAN)).reshape(-1, 1, MAP_SIZE, MAP_SIZE)
