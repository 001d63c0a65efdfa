"""The model's layers in ONNX, channels first."""

from collections.abc import Callable, Mapping

import numpy as np

from vasal_jax.exported.onnx_graph import Graph, Value


class Layers:
    """The model's layers by name; pictures are (M, C, H, W), M = B * T."""

    def __init__(self, graph: Graph, values: Mapping[str, np.ndarray]):
        self.graph, self._values = graph, values

    def conv(self, name: str, x: Value, stride: int = 1) -> Value:
        """A 2-D or 3-D convolution with its bias, where it has one."""
        kernel = self._values[f"{name}.kernel"]
        kernel = np.moveaxis(kernel, (-1, -2), (0, 1))  # (O, I, ...)
        dims, padding = kernel.ndim - 2, kernel.shape[2] // 2
        inputs = [self.graph.constant(kernel, name=f"{name}.kernel")]
        if f"{name}.bias" in self._values:
            inputs.append(self.vector(f"{name}.bias"))
        return self.graph("Conv", x, *inputs, pads=[padding] * 2 * dims, strides=[stride] * dims)

    def linear(self, name: str, x: Value) -> Value:
        """(..., I) to (..., O)."""
        y = x @ self.graph.constant(self._values[f"{name}.kernel"], name=f"{name}.kernel")
        return y + self.vector(f"{name}.bias") if f"{name}.bias" in self._values else y

    def conv_transpose(self, name: str, x: Value) -> Value:
        """The transposed convolution, whose kernel ONNX has flipped, as PyTorch does."""
        kernel = self._values[f"{name}.kernel"][::-1, ::-1].transpose(2, 3, 0, 1)
        weights = self.graph.constant(kernel, name=f"{name}.kernel")
        return self.graph("ConvTranspose", x, weights, pads=[1] * 4, strides=[2, 2])

    def scan(
        self,
        step: Callable[["Layers", list[Value], list[Value]], tuple[list[Value], Value]],
        state: list[Value],
        steps: list[Value],
    ) -> tuple[list[Value], Value]:
        """`Graph.scan`, for a step that has layers."""
        return self.graph.scan(lambda body, *values: step(Layers(body, self._values), *values), state, steps)

    def vector(self, name: str) -> Value:
        """A parameter as it is."""
        return self.graph.constant(self._values[name], name=name)


def pooled(x: Value, *window: int) -> Value:
    """The maximum over blocks."""
    return x.apply("MaxPool", kernel_shape=window, strides=window)


def lstm_step(gates: Value, c: Value, axis: int) -> tuple[Value, Value]:
    """The gates i, f, g, o along an axis and c to h and c."""
    i, f, g, o = gates.graph("Split", gates, outputs=4, axis=axis, num_outputs=4)
    c = f.apply("Sigmoid") * c + i.apply("Sigmoid") * g.apply("Tanh")
    return o.apply("Sigmoid") * c.apply("Tanh"), c
