"""A packed batch to the fields that the model takes, on the device: each picture once to every frame that shows it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float32, Int32, UInt8, UInt16

from vasal_jax.batch import MEL_LEVELS, PACKED
from vasal_jax.config import RGB_MEAN
from vasal_jax.training.sharding import AXIS

_PARTS = {part for parts in PACKED.values() for part in parts}


def unpacker(mesh: Mesh) -> Callable[[Any], dict[str, Any]]:
    """`unpacked` on the devices of a mesh, each of its own clips.

    It is a program of its own, so that what the step computes of the model's inputs does not depend on their form.
    """
    along = PartitionSpec(AXIS)
    return jax.jit(jax.shard_map(unpacked, mesh=mesh, in_specs=along, out_specs=along, check_vma=False))


def unpacked(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Batch` from those of a `PackedBatch`, as far as it has them; a `Batch` stays as it is.

    Pictures whose colours are not changed are the stored ones to the bit, less the mean.
    """
    made = {name: value for name, value in batch.items() if name not in _PARTS}
    for name, at in (("frames", "frame_at"), ("frames_past", "past_at")):
        if at in batch:
            made[name] = coloured(_at(batch["pictures"], batch[at]), batch["colour"])
    if "mel_pictures" in batch:
        made["mel"] = _heard(batch["mel_pictures"], batch["mel_at"])
    if "face_pictures" in batch:
        present = batch["face_mask"][..., None, None, None]
        made["face_crops"] = jnp.where(present, coloured(batch["face_pictures"], batch["colour"]), 0)
    return made


def coloured(rgb: UInt8[Array, "b *size 3"], factors: Float32[Array, "b 3"]) -> Float32[Array, "b *size 3"]:
    """RGB minus its mean, with brightness, contrast and saturation of each clip multiplied by its `factors`.

    Contrast is around the middle grey; what leaves 0..255 is cut off. Factors of 1 change nothing.
    """
    plain = rgb.astype(jnp.float32)
    one_a_clip = (-1, *[1] * (rgb.ndim - 1))
    brightness, contrast, saturation = (factors[:, i].reshape(one_a_clip) for i in range(3))
    unchanged = (factors == 1).all(-1).reshape(one_a_clip)
    grey = 0.299 * plain[..., 0:1] + 0.587 * plain[..., 1:2] + 0.114 * plain[..., 2:3]
    changed = (grey + saturation * (plain - grey)) * brightness
    changed = jnp.clip(127.5 + contrast * (changed - 127.5), 0, 255)
    return jnp.where(unchanged, plain, changed) - RGB_MEAN


def _heard(pictures: UInt16[Array, "b m 64 64"], at: Int32[Array, "b t 16"]) -> Float32[Array, "b t 16 64 64 1"]:
    return (_at(pictures, at).astype(jnp.float32) / MEL_LEVELS)[..., None]


def _at(pictures: Array, at: Array) -> Array:
    """The pictures of each clip (B, P, ...) at places (B, ...) of it. The pipeline gives no place outside."""
    return jax.vmap(lambda own, places: own.at[places].get(mode="promise_in_bounds"))(pictures, at)
