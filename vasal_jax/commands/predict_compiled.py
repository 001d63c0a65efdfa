"""The programs of a prediction, compiled for a device that need not be there: `predict.py --compile-only`."""

import time
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.sharding import SingleDeviceSharding
from jax.stages import Compiled, Lowered

from vasal_jax.commands.predict_args import PredictArgs, check_model, load_weights
from vasal_jax.config import Memory
from vasal_jax.hardware.cost import cost_of
from vasal_jax.hardware.report import show_cost
from vasal_jax.hardware.topologies import devices_of
from vasal_jax.inputs.clips import blank_batch
from vasal_jax.inputs.faces.found import SLOTS
from vasal_jax.models.layers import for_inference
from vasal_jax.prediction.streaming import clip_length, lowered_features, lowered_results


def show_compiled(args: PredictArgs, topology: str) -> int:
    """Compiles both programs of a clip for one chip of the topology, and prints what each needs.

    Returns:
      0, or 1 where one does not fit.

    Raises:
      InputError: there is no such topology, or the weights cannot be read.
    """
    device = devices_of(topology)[0]
    model = load_weights(args)
    check_model(args, model)
    memory = Memory.chosen(args.memory, model.memory, args.released)
    length = clip_length(memory, args.released)
    slots = SLOTS[0] if model.config.face else None

    def abstract(tree: Any) -> Any:
        there = SingleDeviceSharding(device)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), tree)

    def good(name: str, lowered: Callable[[], Lowered]) -> bool:
        begin, title = time.perf_counter(), f"{name} of a clip of {length} frames, compiled for a chip of {topology}"
        compiled.append(lowered().compile())
        return show_cost(title, cost_of(compiled[-1]), [device], 1, time.perf_counter() - begin)

    compiled: list[Compiled] = []
    graph, parameters = nnx.split(for_inference(model))
    parameters, batch = abstract(parameters), abstract(blank_batch(length, slots))
    carry = abstract(model.initial_carry(1, slots or 0))
    fitting = [good("the features", lambda: lowered_features(graph, parameters, batch))]
    features = abstract(compiled[0].out_info)
    fitting.append(good("the maps", lambda: lowered_results(graph, parameters, features, batch, carry, args.released)))
    return 0 if all(fitting) else 1
