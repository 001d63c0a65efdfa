"""A graph of ONNX, written down as it is computed: values with operators, on `onnx.helper`."""

from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

Number = Union[int, float, "Value"]


class Graph:
    """The nodes and constants of a graph, or of the body of a loop in one, which sees the values around it."""

    def __init__(self, around: "Graph | None" = None):
        self._nodes: list[NodeProto] = []
        # The body of a loop has its constants outside: there, a runtime prepares them once.
        self._constants: list[TensorProto] = [] if around is None else around._constants
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {} if around is None else around._known
        self._names: list[str] = [] if around is None else around._names

    def value(self, name: str) -> "Value":
        """An input, by its name."""
        return Value(self, name)

    def constant(self, array: Any, dtype: Any = np.float32, name: str | None = None) -> "Value":
        """A constant; equal ones are stored once."""
        array = np.asarray(array, dtype, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = name or self._name("constant")
            self._constants.append(numpy_helper.from_array(array, self._known[key]))
        return Value(self, self._known[key])

    def __call__(self, operator: str, *inputs: Number, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; its output, or a tuple of several."""
        names = [self._as_value(value).name for value in inputs]
        results = [self._name(operator.lower()) for _ in range(outputs)]
        self._nodes.append(helper.make_node(operator, names, results, **attributes))
        values = tuple(Value(self, name) for name in results)
        return values if outputs > 1 else values[0]

    def give(self, value: "Value", name: str) -> None:
        """Gives a value out under a name."""
        self._nodes.append(helper.make_node("Identity", [value.name], [name]))

    def scan(
        self, step: Callable[..., tuple[list["Value"], "Value"]], state: list["Value"], steps: list["Value"]
    ) -> tuple[list["Value"], "Value"]:
        """`lax.scan`: steps along the first axis.

        Args:
          step: from a body's graph, the state and one step's values to the state after it and an output.
          state: the state before the first step, floats.
          steps: values (T, ...), floats.

        Returns:
          The state after the last step, and the outputs (T, ...).
        """
        body = Graph(self)
        taken = [body._name("taken") for _ in (*state, *steps)]
        values = [body.value(name) for name in taken]
        after, output = step(body, values[: len(state)], values[len(state) :])
        given = [*after, output]
        for number, value in enumerate(given):
            body.give(value, name := body._name("given"))
            given[number] = body.value(name)
        starts = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in taken]
        ends = [helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None) for value in given]
        proto = helper.make_graph(body._nodes, body._name("step"), starts, ends)
        count = len(state) + 1
        *last, all_outputs = self("Scan", *state, *steps, outputs=count, body=proto, num_scan_inputs=len(steps))
        return last, all_outputs

    def proto(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> GraphProto:
        """The finished graph."""
        return helper.make_graph(self._nodes, name, inputs, outputs, self._constants)

    def concat(self, values: Sequence["Value"], axis: int) -> "Value":
        """Values side by side."""
        return self("Concat", *values, axis=axis)

    def where(self, mask: "Value", value: "Value", other: Number) -> "Value":
        """`value` where the mask is True, else `other`."""
        return self("Where", mask, value, other)

    def _as_value(self, number: Number) -> "Value":
        return number if isinstance(number, Value) else self.constant(number)

    def _name(self, word: str) -> str:
        self._names.append(word)
        return f"{word}_{len(self._names)}"


class Value:
    """What a node gives, or a constant."""

    def __init__(self, graph: Graph, name: str):
        self.graph, self.name = graph, name

    def __add__(self, other: Number) -> "Value":
        return self.graph("Add", self, other)

    def __sub__(self, other: Number) -> "Value":
        return self.graph("Sub", self, other)

    def __mul__(self, other: Number) -> "Value":
        return self.graph("Mul", self, other)

    def __truediv__(self, other: Number) -> "Value":
        return self.graph("Div", self, other)

    def __matmul__(self, other: Number) -> "Value":
        return self.graph("MatMul", self, other)

    def apply(self, operator: str, **attributes: Any) -> "Value":
        """An operator of this value alone, such as "Relu"."""
        return self.graph(operator, self, **attributes)

    def transpose(self, *order: int) -> "Value":
        """The axes in another order."""
        return self.graph("Transpose", self, perm=order)

    def sizes(self, start: int, end: int) -> "Value":
        """The sizes of the axes from `start` to `end`, int64."""
        return self.graph("Shape", self, start=start, end=end)

    def reshape(self, *sizes: "int | Value") -> "Value":
        """Another shape; sizes that are open are values of `sizes`, (n,) for n axes."""
        parts = [size if isinstance(size, Value) else self.graph.constant([size], np.int64) for size in sizes]
        return self.graph("Reshape", self, self.graph.concat(parts, axis=0), allowzero=1)

    def slice(self, axis: int, start: int, end: int = 2**31 - 1) -> "Value":
        """The entries from `start` to `end` of an axis; negative ones count from its end."""
        bounds = [self.graph.constant([number], np.int64) for number in (start, end, axis)]
        return self.graph("Slice", self, *bounds)

    def at(self, axis: int, index: int) -> "Value":
        """One entry of an axis, which goes."""
        return self.graph("Gather", self, self.graph.constant(index, np.int64), axis=axis)

    def expand(self, axis: int) -> "Value":
        """A new axis of one."""
        return self.graph("Unsqueeze", self, self.graph.constant([axis], np.int64))

    def reduce(self, operator: str, *axes: int, keep: bool = True) -> "Value":
        """ReduceMean, ReduceSum, ReduceMax or ReduceMin over axes."""
        return self.graph(operator, self, self.graph.constant(list(axes), np.int64), keepdims=int(keep))
