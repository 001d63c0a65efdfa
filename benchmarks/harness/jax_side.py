"""The JAX side of a comparison: the meaning of the dtypes in the tables, a random clip, a forward pass."""

import contextlib
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.harness.side_by_side import Call
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.models.vasal import FaceInputs, saliency

_PRECISIONS = {"float32": "highest", "TF32": "tensorfloat32"}


def compute_type(dtype: str) -> str:
    """The model's compute type for a dtype of the tables: float32 for TF32, which only changes how it is multiplied."""
    return "float32" if dtype == "TF32" else dtype


def precision(dtype: str) -> contextlib.AbstractContextManager:
    """A context in which matrix products use the precision of a dtype of the tables; on a CPU, the default."""
    on_cpu = jax.default_backend() == "cpu"
    return jax.default_matmul_precision(None if on_cpu else _PRECISIONS.get(dtype))


def drawn_clip(frames: int) -> dict[str, np.ndarray]:
    """A batch of one random clip, for models without a face branch."""
    rng = np.random.default_rng(0)
    shapes = {"frames": (256, 256, 3), "frames_past": (256, 256, 3), "mel": (16, 64, 64, 1), "face_map": (32, 32, 1)}
    return {name: rng.uniform(0, 150, (1, frames, *shape)).astype(np.float32) for name, shape in shapes.items()}


def forward_call(config: ModelConfig, batch: dict[str, np.ndarray], dtype: str = "float32", faces: int = 0) -> Call:
    """Returns a call that computes the saliency maps of a batch of one clip, which lies on the device already."""
    model = VASal(config, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)
    carry = model.initial_carry(1, faces)
    placed = jax.device_put(batch)

    @jax.jit
    def forward(state, batch, carry):
        inputs = (batch[name] for name in ("frames", "frames_past", "mel"))
        output = nnx.merge(graph, state)(*inputs, FaceInputs.of(batch), carry=carry)
        return saliency(output.saliency_logits), output.carry

    def call() -> None:
        with precision(dtype):
            jax.block_until_ready(forward(state, placed, carry))

    return call


def matrix_product(dtype: str) -> float:
    """Operations a second that this device reaches in a large product of drawn matrices; of ones a GPU takes less."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    x = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(9):
        begin = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / statistics.median(seconds)
