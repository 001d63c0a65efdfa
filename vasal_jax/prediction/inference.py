"""The model on one clip each of several videos, in two halves: features without memory, then maps with it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from vasal_jax.batch import Batch
from vasal_jax.models.vasal import Carry, FaceInputs, Features, saliency


def by_columns(logits: jax.Array) -> jax.Array:
    """The released system's softmax, over the rows of each column: logits (..., H, W) to the same shape."""
    return jax.nn.softmax(logits, axis=-2)


class ClipResults(NamedTuple):
    """Maps and face weights of one clip each of B videos, float32."""

    maps: jax.Array  # (B, T, 32, 32), each summing to 1
    weights: jax.Array | None  # (B, T, N+1), of each face slot and of "no face", summing to 1; None without a branch
    talking: jax.Array | None  # (B, T, N), probability of each face talking


@partial(jax.jit, static_argnames=("graph", "mesh"))
def clip_features(graph: nnx.GraphDef, parameters: nnx.State, batch: Batch, *, mesh: Mesh | None = None) -> Features:
    """What `clip_results` starts from, which needs nothing of the clips before. Arguments as there."""

    def run(parameters: nnx.State, batch: Batch) -> Features:
        return nnx.merge(graph, parameters).features(batch["frames"], batch["frames_past"], batch["mel"])

    return _on_each_device(run, mesh)(parameters, batch)


@partial(jax.jit, static_argnames=("graph", "by_column", "mesh"))
def clip_results(
    graph: nnx.GraphDef,
    parameters: nnx.State,
    features: Features,
    batch: Batch,
    carry: Carry,
    *,
    by_column: bool = False,
    mesh: Mesh | None = None,
) -> tuple[ClipResults, Carry]:
    """Runs the model on one clip each of B videos, compiled once for a shape.

    Args:
      graph, parameters: `nnx.split` of the model.
      features: `clip_features` of the batch.
      batch: the model's inputs, (B, T, ...) each.
      carry: of the clips before, from `VASal.initial_carry(B, N)` on.
      by_column: the released system's softmax.
      mesh: devices along an axis "videos", whose number divides B; each runs the same program on its share.

    Returns:
      The results, and the carry for the clips after.
    """

    def run(parameters: nnx.State, features: Features, batch: Batch, carry: Carry) -> tuple[ClipResults, Carry]:
        model = nnx.merge(graph, parameters)
        output = model.from_features(features, batch["mel"], FaceInputs.of(batch), carry)
        maps = (by_columns if by_column else saliency)(output.saliency_logits)
        if output.faces is None:
            return ClipResults(maps, None, None), output.carry
        weights, talking = jax.nn.softmax(output.faces.weights), jax.nn.sigmoid(output.faces.talking)
        return ClipResults(maps, weights, talking), output.carry

    return _on_each_device(run, mesh)(parameters, features, batch, carry)


def _on_each_device(run: Callable, mesh: Mesh | None) -> Callable:
    """A function of the parameters and of arrays by video, on the devices' shares of these."""
    if mesh is None:
        return run
    videos = PartitionSpec("videos")

    def sharded(parameters: nnx.State, *by_video: Any) -> Any:
        specs = PartitionSpec(), *[videos] * len(by_video)
        return jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=videos)(parameters, *by_video)

    return sharded
