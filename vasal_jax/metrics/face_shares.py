"""How the fixations of a frame are shared out among its faces: what face weights are taught and measured by."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Float32


def fixation_shares(batch: Mapping[str, Any], size: tuple[int, int]) -> Float32[Array, "b t weights"]:
    """Share of a frame's fixations on each face, the target of the face weights.

    A fixation on overlapping faces is divided equally among them; one on no face counts for the last entry.

    Args:
      batch: `fixations` float (B, T, S, 2) x, y in cells of the map, NaN where none; `face_boxes` float (B, T, N, 4)
        x1, y1, x2, y2 in 0..1; `face_mask` bool (B, T, N).
      size: height and width of the map whose cells the fixations count.

    Returns:
      float32 (B, T, N+1), sums to 1; zeros where the frame has no fixations.
    """
    on_map = inside_map(batch["fixations"], size)
    x, y = jnp.moveaxis(batch["fixations"], -1, 0) / jnp.array(size[::-1], jnp.float32)[:, None, None, None]
    x1, y1, x2, y2 = jnp.moveaxis(batch["face_boxes"], -1, 0)[:, :, :, None]
    x, y = x[..., None], y[..., None]
    on_face = (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2) & batch["face_mask"][:, :, None]
    faces = jnp.concatenate([on_face, ~on_face.any(-1, keepdims=True)], -1)  # (B, T, S, N+1)
    shares = on_map[..., None] * faces / faces.sum(-1, keepdims=True)
    return shares.sum(-2) / jnp.maximum(on_map.sum(-1), 1)[..., None]


def inside_map(fixations: Float[Array, "*b 2"], size: tuple[int, int]) -> Bool[Array, "*b"]:
    """Which fixations lie on the map: bool (...).

    Args:
      fixations: float (..., 2) x, y in cells of the map, 0..W and 0..H, both ends included; NaN lies nowhere.
      size: H, W.
    """
    return ((fixations >= 0) & (fixations <= jnp.array(size[::-1], fixations.dtype))).all(-1)
