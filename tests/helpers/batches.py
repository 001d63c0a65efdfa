"""Random batches and parameters, and a linear stand-in for the model, for tests of training."""

import jax
import jax.numpy as jnp
import numpy as np

from vasal_jax.batch import Batch, PackedBatch
from vasal_jax.config import RGB_MEAN
from vasal_jax.models import FaceLogits, ModelConfig
from vasal_jax.training.step import Training
from vasal_jax.weights import parameters

_OLD_EMITTERS = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}  # removed in 0.11
FAST_COMPILE = {**_OLD_EMITTERS, "xla_backend_optimization_level": 0}
"""Compiler options: the whole model's step compiles in a fifth of the time, and runs more slowly."""


def drawn_batch(clips: int, steps: int = 2, faces: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """A random batch with the fields of the data pipeline, in which clips lack different annotations.

    Clip 0 has no fixations, clip 1 ends in padding, clip 2 has no faces, clip 3 lacks nothing; clip 4 is like clip 0
    again, and so on.
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(clips) % 4
    shape = (clips, steps)

    def drawn(*size, low=0.0, high=1.0):
        return rng.uniform(low, high, (*shape, *size)).astype(np.float32)

    valid = np.ones(shape, bool)
    valid[kind == 1, -1] = False
    fixated = valid & (kind != 0)[:, None]
    density = drawn(32, 32) ** 8 * fixated[..., None, None]
    fixations = drawn(5, 2, high=32)
    fixations[~fixated] = np.nan
    fixations[:, :, 3:] = np.nan
    mask = rng.random((*shape, faces)) < 0.8
    mask[kind == 3] = True
    mask[kind == 2] = False
    corner = drawn(faces, 2, high=0.6)
    boxes = np.concatenate([corner, corner + drawn(faces, 2, low=0.2, high=0.4)], -1)
    known = rng.random((*shape, faces)) < 0.7
    return {
        "frames": drawn(256, 256, 3, low=-120, high=130),
        "frames_past": drawn(256, 256, 3, low=-120, high=130),
        "mel": drawn(16, 64, 64, 1, high=255),
        "face_map": drawn(32, 32, 1, low=-14.9, high=240.1),
        "face_crops": drawn(faces, 64, 64, 3, low=-120, high=130) * mask[..., None, None, None],
        "face_boxes": boxes * mask[..., None],
        "face_mask": mask,
        "talking": rng.random((*shape, faces)) < 0.5,
        "talking_known": known,
        "density": density / np.maximum(density.sum((2, 3), keepdims=True), 1e-30),
        "fixations": fixations,
        "valid": valid,
        "video": np.array([f"video-{clip}" for clip in range(clips)]),
        "frame": np.tile(np.arange(steps, dtype=np.int32), (clips, 1)),
    }


def drawn_params(config: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Random parameters of a model, scaled so that activations stay bounded."""
    rng = np.random.default_rng(seed)
    shapes = parameters.parameter_shapes(config)
    return {
        name: rng.normal(0, 1 / np.sqrt(max(np.prod(shape[:-1]), 9)), shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def unpacked_by_hand(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A packed batch as a `Batch`, clip by clip and frame by frame, in NumPy."""
    made = {name: value for name, value in batch.items() if name not in _OF_PACKED}
    if "pictures" in batch:
        for name, at in (("frames", "frame_at"), ("frames_past", "past_at")):
            clips = zip(batch["pictures"], batch[at], batch["colour"], strict=True)
            made[name] = np.stack([np.stack([_coloured(own[i], c) for i in places]) for own, places, c in clips])
    if "mel_pictures" in batch:
        clips = zip(batch["mel_pictures"], batch["mel_at"], strict=True)
        mel = np.stack([np.stack([own[window] for window in places]) for own, places in clips])
        made["mel"] = mel[..., None].astype(np.float32) / np.float32(257)
    if "face_pictures" in batch:
        crops = np.stack([_coloured(*clip) for clip in zip(batch["face_pictures"], batch["colour"], strict=True)])
        made["face_crops"] = np.where(batch["face_mask"][..., None, None, None], crops, np.float32(0))
    return made


_OF_PACKED = set(PackedBatch.__required_keys__) - set(Batch.__required_keys__)


def _coloured(rgb: np.ndarray, colour: np.ndarray) -> np.ndarray:
    x = rgb.astype(np.float32)
    if (colour != 1).any():
        brightness, contrast, saturation = colour
        grey = (x * np.array([0.299, 0.587, 0.114], np.float32)).sum(-1, keepdims=True)
        x = np.clip(127.5 + contrast * ((grey + saturation * (x - grey)) * brightness - 127.5), 0, 255)
    return x - RGB_MEAN


def packed_batch(clips: int, steps: int = 2, faces: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """As `drawn_batch`, packed, of the same annotations: pictures in any order, every other clip with other colours."""
    drawn, rng = drawn_batch(clips, steps, faces, seed), np.random.default_rng([seed, 1])
    pictures, sounds = steps + 5, steps + 15
    colour = rng.uniform(0.8, 1.2, (clips, 3)).astype(np.float32)
    colour[::2] = 1
    crops = rng.integers(0, 256, drawn["face_crops"].shape, np.uint8)
    made = {
        "pictures": rng.integers(0, 256, (clips, pictures, 256, 256, 3), np.uint8),
        "frame_at": rng.integers(0, pictures, (clips, steps), np.int32),
        "past_at": rng.integers(0, pictures, (clips, steps), np.int32),
        "colour": colour,
        "mel_pictures": rng.integers(0, 2**16, (clips, sounds, 64, 64), np.uint16),
        "mel_at": rng.integers(0, sounds, (clips, steps, 16), np.int32),
        "face_pictures": crops * drawn["face_mask"][..., None, None, None],
    }
    return made | {name: value for name, value in drawn.items() if name in PackedBatch.__required_keys__}


class StandIn(Training):
    """`Training` with a linear map in place of the model: the same inputs and outputs, but it compiles quickly."""

    def forward(self, params, batch, carry=None):
        frames = batch["frames"].reshape(*batch["frames"].shape[:2], 32, 8, 32, 8, 3).mean((3, 5)) / 64
        logits = frames @ params["visual.conv1_1.kernel"] + params["fusion.head.bias"]
        crops = batch["face_crops"].mean((3, 4)) / 64
        weights = jnp.where(batch["face_mask"], crops @ params["face.weight.kernel"], -jnp.inf)
        none = jnp.broadcast_to(params["face.none.bias"], (*weights.shape[:2], 1))
        return logits, FaceLogits(jnp.concatenate([weights, none], -1), crops @ params["face.talking.kernel"]), carry


def stand_in_params() -> dict[str, np.ndarray]:
    """Random parameters of `StandIn`."""
    shapes = {
        "visual.conv1_1.kernel": (3,),
        "fusion.head.bias": (32, 32),
        "face.weight.kernel": (3,),
        "face.none.bias": (1,),
        "face.talking.kernel": (3,),
    }
    rng = np.random.default_rng(5)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
