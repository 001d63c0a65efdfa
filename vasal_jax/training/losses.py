"""What training minimises: how far saliency logits and face weights are from where people looked.

Every term is a mean over what was annotated: frames with a density, frames with fixations, frames with faces and
fixations, faces of whom somebody noted whether they talk. `sums` and `counts` are its two halves. Those of the parts of
a batch add up to those of the whole, so a batch split over devices or micro-batches, however unevenly annotated, has
exactly the loss it has in one piece.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Float32

from vasal_jax.batch import Batch
from vasal_jax.errors import InputError
from vasal_jax.metrics.face_shares import fixation_shares, inside_map
from vasal_jax.models.face import FaceLogits

Terms = dict[str, Float32[Array, ""]]
"""Float32 () by the name of a term of the loss."""

FACE_TERMS = ("faces", "talking", "speaker")
"""The terms that a face branch alone answers for."""


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """How much each term counts in the loss. A term of weight 0 is still reported where the model allows it."""

    kl: float = 1.0
    """Kullback-Leibler divergence of the density from the saliency map, the released model's loss."""
    cc: float = 0.0
    """Linear correlation coefficient of map and density; its weighted value is subtracted, as higher is better."""
    nss: float = 0.0
    """Normalised scanpath saliency at the fixations; its weighted value is subtracted, as higher is better."""
    faces: float = 0.0
    """Kullback-Leibler divergence of the faces' shares of the fixations from the face weights."""
    talking: float = 0.0
    """Binary cross-entropy of who is talking."""
    speaker: float = 0.0
    """Cross-entropy of the face weights on whoever is talking, among the faces of whom it is known: teaches faster
    than `faces`, for gaze comes late."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise InputError(f"loss weights: {field.name} must be a finite number from 0 on, found {value}")
        if not any(dataclasses.astuple(self)):
            raise InputError("loss weights: all are 0, so there is nothing to learn; set at least one")


def total(
    logits: Float[Array, "b t h w"],
    faces: FaceLogits | None,
    batch: Batch,
    weights: LossWeights,
    whole: Terms | None = None,
) -> tuple[Float32[Array, ""], Terms]:
    """The loss of a batch and its terms.

    Args:
      logits, faces, batch: as in `sums`.
      weights: how much each term counts.
      whole: `counts` of the batch that this one is a part of. The results are then this part's share: over all parts
        they add up to the loss and terms of the whole. None: this batch is the whole.

    Returns:
      The loss, float32 (), and the unweighted means by name, float32 () each, 0 where nothing was annotated.

    Raises:
      InputError: a term of the face branch has a weight, but the model has no face branch.
    """
    whole = counts(batch) if whole is None else whole
    means = {name: value / jnp.maximum(whole[name], 1) for name, value in sums(logits, faces, batch).items()}
    wanted = {name: weight for name, weight in dataclasses.asdict(weights).items() if weight}
    if missing := sorted(set(wanted) - set(means)):
        raise InputError(
            f"loss weights: {', '.join(missing)} set, but the model has no face branch; set 0 or choose another preset"
        )
    return weighted(means, weights), means


def weighted(means: Mapping[str, Any], weights: LossWeights) -> Any:
    """The loss from the means of its terms, those that there are: their weighted sum, `cc` and `nss` subtracted."""
    signs = {"cc": -1, "nss": -1}
    wanted = {name: weight for name, weight in dataclasses.asdict(weights).items() if weight and name in means}
    return sum(signs.get(name, 1) * weight * means[name] for name, weight in wanted.items())


def counts(batch: Batch) -> Terms:
    """How many frames, or faces, each term of `sums` adds up: float32 () by name."""
    return {name: mask.sum(dtype=jnp.float32) for name, mask in _annotated(batch).items()}


def sums(logits: Float[Array, "b t h w"], faces: FaceLogits | None, batch: Batch) -> Terms:
    """Each term added up over what was annotated: float32 () by name.

    Args:
      logits: float (B, T, H, W), the model's saliency logits.
      faces: what the face branch says, if there is one.
      batch: the annotations, see `Batch`.
    """
    *frames, height, width = logits.shape
    size = height, width
    flat = logits.reshape(*frames, -1).astype(jnp.float32)
    density = batch["density"].reshape(flat.shape)
    log_map = jax.nn.log_softmax(flat)
    standard = _standardised(jnp.exp(log_map))
    values = {
        "kl": _divergence(density, log_map),
        "cc": (standard * _standardised(density)).mean(-1),  # Pearson's correlation
        "nss": _scanpath_saliency(standard, batch["fixations"], size),
    }
    masks = _annotated(batch)
    if faces is not None:
        log_weights = jax.nn.log_softmax(faces.weights.astype(jnp.float32))
        values["faces"] = _divergence(fixation_shares(batch, size), log_weights)
        speakers = _speakers(batch)
        # Zeros in place of the masked logits, which may hold anything, keep NaN out of the gradient too.
        talking = jnp.where(masks["talking"], faces.talking.astype(jnp.float32), 0)
        values["talking"] = optax.sigmoid_binary_cross_entropy(talking, batch["talking"])
        log_known = _among_known(faces.weights.astype(jnp.float32), batch)
        values["speaker"] = -jnp.where(speakers, log_known, 0).sum(-1) / jnp.maximum(speakers.sum(-1), 1)
    return {name: jnp.where(masks[name], value, 0).sum() for name, value in values.items()}


def _annotated(batch: Batch) -> dict[str, Bool[Array, "b t ..."]]:
    """Where each term has something to say: bool (B, T), for talking (B, T, N)."""
    valid = batch["valid"]
    has_density = valid & (batch["density"] > 0).any((-2, -1))
    has_fixation = valid & inside_map(batch["fixations"], batch["density"].shape[2:]).any(-1)
    masks = {"kl": has_density, "cc": has_density, "nss": has_fixation}
    if "face_mask" in batch:
        masks["faces"] = has_fixation & batch["face_mask"].any(-1)
        masks["talking"] = valid[..., None] & batch["face_mask"] & batch["talking_known"]
        masks["speaker"] = valid & _speakers(batch).any(-1)
    return masks


def _speakers(batch: Batch) -> Bool[Array, "b t n"]:
    """Which faces are seen and known to talk, bool (B, T, N)."""
    return batch["face_mask"] & batch["talking_known"] & batch["talking"]


def _among_known(weights: Float32[Array, "b t weights"], batch: Batch) -> Float32[Array, "b t n"]:
    """Log weights (B, T, N) among the faces that are known to talk or not, and no face; -inf for the others.

    A face that is not known to be silent may not be taught as such, by taking weight from it for one that talks.
    """
    known = jnp.concatenate([batch["talking_known"], jnp.ones_like(batch["talking_known"][..., :1])], -1)
    return jax.nn.log_softmax(jnp.where(known, weights, -jnp.inf))[..., :-1]


def _divergence(target: Float[Array, "b t c"], log_probabilities: Float[Array, "b t c"]) -> Float[Array, "b t"]:
    """Sum over the last axis of q (log q - log p). Where q is 0 the term is 0, even at log p = -inf."""
    present = target > 0
    log_target = jnp.log(jnp.where(present, target, 1))
    return jnp.where(present, target * (log_target - log_probabilities), 0).sum(-1)


def _standardised(x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
    """Maps (..., H*W) that sum to 1, minus their mean, over their standard deviation; constant ones become 0."""
    x = x * x.shape[-1]  # multiples of the uniform map, so that squares stay far from float32's smallest numbers
    x = x - x.mean(-1, keepdims=True)
    variance = (x * x).mean(-1, keepdims=True)
    # Below this it is rounding alone that varies, and dividing by it would make that the gradient.
    varies = variance > 1e-10
    return jnp.where(varies, x / jnp.sqrt(jnp.where(varies, variance, 1)), 0)


def _scanpath_saliency(
    standard: Float[Array, "b t c"], fixations: Float[Array, "b t s 2"], size: tuple[int, int]
) -> Float[Array, "b t"]:
    """Mean over a frame's fixations of a standardised map (..., H*W); 0 without fixations."""
    height, width = size
    inside = inside_map(fixations, size)
    cells = jnp.where(inside[..., None], fixations, 0).astype(jnp.int32)  # truncation: these are not negative
    column, row = jnp.minimum(cells[..., 0], width - 1), jnp.minimum(cells[..., 1], height - 1)
    values = jnp.take_along_axis(standard, row * width + column, -1)
    return jnp.where(inside, values, 0).sum(-1) / jnp.maximum(inside.sum(-1), 1)
