"""One step of training, written for one device.

A step sees its device's part of the batch and joins the others along the axis `AXIS`: first the counts of what is
annotated (a handful of numbers), then, once, the gradients. `sharding.parallelise` runs it on whatever devices there
are. Losses are means over the whole batch, so the devices' number does not change what is learnt.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array, lax

from vasal_jax.batch import Batch
from vasal_jax.config import FRAME_SIZE
from vasal_jax.errors import InputError
from vasal_jax.models import FaceInputs, FaceLogits, ModelConfig, VASal
from vasal_jax.models.vasal import Carry, carry_of_zeros
from vasal_jax.training import losses
from vasal_jax.training.losses import LossWeights, Terms
from vasal_jax.training.optimizer import OptimizerConfig, learning_rate_schedule, make_optimizer, trained
from vasal_jax.training.sharding import AXIS
from vasal_jax.weights import parameters

Params = dict[str, Array]
"""A model's parameters by dotted name, float32, as in a weights file."""

_PICTURES = ("frames", "frames_past")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a step changes. Neither the model nor the step draws random numbers, so there is no RNG in it."""

    step: Array
    """int32 (), batches seen, those skipped included."""
    params: Params
    """The weights."""
    opt_state: optax.OptState
    """The optimiser's own, of the trained parameters."""
    ema: Params
    """The running mean of the weights."""
    skipped: Array
    """int32 (), batches skipped because loss or gradient was not finite."""
    skipped_in_a_row: Array
    """int32 (), those since the last one that was not."""


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained and how; makes states and steps."""

    model: ModelConfig
    weights: LossWeights
    optimizer: OptimizerConfig
    updates: int
    """Length of the training, which the learning-rate schedule is laid over."""
    live_frames: int = 0
    """Rematerialisation: frames of a clip whose activations are in memory at once; the others' are computed a second
    time. 0: all. Must divide the clip length."""

    def __post_init__(self) -> None:
        if self.updates < 1:
            raise InputError(f"training: updates must be an integer from 1 on, found {self.updates}")
        if self.live_frames < 0:
            raise InputError(f"training: live_frames must be an integer from 0 on, found {self.live_frames}")
        learning_rate_schedule(self.optimizer, self.updates)
        of_faces = [name for name in losses.FACE_TERMS if getattr(self.weights, name)]
        if of_faces and not self.model.face:
            raise InputError(
                f"training: loss weights of {' and '.join(of_faces)} need a model with a face branch; set them 0"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the model reads of a batch."""
        faces = ("face_crops", "face_boxes", "face_mask") if self.model.face else ("face_map",)
        return ("frames", "frames_past", "mel", *faces)

    @property
    def fields(self) -> tuple[str, ...]:
        """What `evaluate` reads of a batch; the rest (video IDs, frame numbers) stays on the host."""
        talking = ("talking", "talking_known") if self.model.face else ()
        return (*self.inputs, "density", "fixations", "valid", *talking)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """What `step` reads of a batch: the same, but no pictures where the face branch alone is trained."""
        return tuple(name for name in self.fields if not (self._faces_alone and name in _PICTURES))

    @property
    def _faces_alone(self) -> bool:
        return not (self.weights.kl or self.weights.cc or self.weights.nss)

    def initial_state(self, params: Mapping[str, Any]) -> TrainState:
        """The state before the first step, from a model's parameters by dotted name (`parameters.arrays`)."""
        # Copies, for a step may reuse the memory of the state it is given (donation), and no buffer twice.
        own, ema = (jax.tree.map(partial(jnp.array, dtype=jnp.float32), dict(params)) for _ in range(2))
        free = {name: own[name] for name in trained(self.optimizer, own)}
        opt_state = make_optimizer(self.optimizer, self.updates).init(free)
        return TrainState(jnp.int32(0), own, opt_state, ema, jnp.int32(0), jnp.int32(0))

    def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Terms]:
        """One update, as seen by one device.

        Args:
          state: the same on every device.
          batch: this device's clips of the batch, `step_fields` by name.

        Returns:
          The state after it and, float32 () each and the same on every device: `loss`, the loss's terms by name,
          `gradient_norm`, `learning_rate`, and `skipped_in_a_row`. If loss or gradient is not finite the parameters,
          their means and the optimiser stay as they were.
        """
        if self._faces_alone:
            blank = jnp.zeros((*batch["valid"].shape, FRAME_SIZE, FRAME_SIZE, 3))
            batch = {**batch, "frames": blank, "frames_past": blank}
        whole = _summed(losses.counts(batch))
        names = trained(self.optimizer, state.params)
        free = {name: state.params[name] for name in names}

        def loss(free: Params, part: Batch) -> tuple[Array, Terms]:
            logits, faces, _ = self.forward(state.params | free, part)
            value, terms = losses.total(logits, faces, part, self.weights, whole)
            if self._faces_alone:
                # What is not reported either is not computed, which is most of the model.
                terms = {name: terms[name] for name in losses.FACE_TERMS}
            return value, terms

        results = _accumulated(jax.value_and_grad(loss, has_aux=True), free, batch, self.optimizer.accumulation)
        (value, terms), gradient = lax.psum(results, AXIS)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)

        updates, opt_state = make_optimizer(self.optimizer, self.updates).update(gradient, state.opt_state, free)
        params = state.params | optax.tree.add(free, updates)
        made = state.step - state.skipped  # updates before this one
        # At the start the mean reaches back over the few weights there have been, not to the untrained ones.
        decay = jnp.minimum(self.optimizer.ema_decay, (1 + made) / (10 + made))
        ema = state.ema | {name: decay * state.ema[name] + (1 - decay) * params[name] for name in names}
        changed = TrainState(
            state.step + 1, params, opt_state, ema, state.skipped, jnp.zeros_like(state.skipped_in_a_row)
        )
        unchanged = dataclasses.replace(
            state, step=state.step + 1, skipped=state.skipped + 1, skipped_in_a_row=state.skipped_in_a_row + 1
        )
        after = jax.tree.map(partial(jnp.where, finite), changed, unchanged)
        scalars = {
            "loss": value,
            "gradient_norm": norm,
            "learning_rate": learning_rate_schedule(self.optimizer, self.updates)(made),
            "skipped_in_a_row": after.skipped_in_a_row,
        }
        return after, {name: jnp.float32(scalar) for name, scalar in (terms | scalars).items()}

    def evaluate(self, params: Params, batch: Batch, carry: Carry) -> tuple[tuple[Terms, Terms, Array], Carry]:
        """The terms of the loss over a batch of clips that go on from a state, as seen by one device.

        Args:
          params: the same on every device.
          batch: this device's clips of the batch, `fields` by name.
          carry: the state before them.

        Returns:
          Sums and counts of the terms, the same on every device; added up over batches, sum over count is the mean over
          all of them. Beside them the saliency logits of this device's first clip, (1, T, 32, 32). Then the state after
          the clips.
        """
        logits, faces, carry = self.forward(params, batch, carry)
        sums, counts = lax.psum((losses.sums(logits, faces, batch), losses.counts(batch)), AXIS)
        return (sums, counts, logits[:1]), carry

    def initial_carry(self, clips: int, slots: int) -> Carry:
        """The state at the start of videos, as NumPy arrays: zeros of the shapes of `VASal.initial_carry`."""
        return carry_of_zeros(lambda: VASal(self.model, rngs=nnx.Rngs(0)).initial_carry(clips, slots))

    def forward(
        self, params: Params, batch: Batch, carry: Carry | None = None
    ) -> tuple[Array, FaceLogits | None, Carry]:
        """The model on clips that start afresh or, where no gradient is taken, go on from a state.

        Returns:
          Saliency logits (B, T, 32, 32), what the face branch says, and the state after the clips.
        """
        model = parameters.build(self.model, params, "the training state")
        inputs = {name: batch[name] for name in self.inputs}
        clips, steps = batch["valid"].shape
        live = (carry is None and self.live_frames) or steps
        if steps % live:
            raise InputError(f"training: live_frames must divide the clip length {steps}, found {live}")
        if live == steps:
            carry, (logits, faces) = _run(model, carry, inputs)
            return logits, faces, carry
        slots = batch["face_mask"].shape[2] if self.model.face else 0
        return _rematerialised(model, model.initial_carry(clips, slots), inputs, live)


def _run(
    model: VASal, carry: Carry | None, inputs: Mapping[str, Array]
) -> tuple[Carry, tuple[Array, FaceLogits | None]]:
    output = model(inputs["frames"], inputs["frames_past"], inputs["mel"], FaceInputs.of(inputs), carry=carry)
    return output.carry, (output.saliency_logits, output.faces)


def _rematerialised(
    model: VASal, carry: Carry, inputs: Mapping[str, Array], live: int
) -> tuple[Array, FaceLogits | None, Carry]:
    """The results of `_run`, of which a gradient keeps no more than the activations of `live` frames.

    A stretch of frames after the other, joined by the carry; going back, each is computed anew from the carry before.
    """

    def split(x: Array) -> Array:
        return x.reshape(x.shape[0], -1, live, *x.shape[2:]).swapaxes(0, 1)

    def join(x: Array) -> Array:
        x = x.swapaxes(0, 1)
        return x.reshape(x.shape[0], -1, *x.shape[3:])

    stretch = jax.checkpoint(partial(_run, model), prevent_cse=False)  # a scan has nothing to protect from CSE
    carry, stretches = lax.scan(stretch, carry, jax.tree.map(split, inputs))
    logits, faces = jax.tree.map(join, stretches)
    return logits, faces, carry


def _summed(terms: Terms) -> Terms:
    """Scalars added up over the devices, in one exchange."""
    return dict(zip(terms, lax.psum(jnp.stack(list(terms.values())), AXIS), strict=True))


def _accumulated(function: Callable[[Params, Batch], Any], params: Params, batch: Batch, parts: int) -> Any:
    """The sum of the function's results over `parts` equal parts of a batch, computed one after the other."""
    if parts == 1:
        return function(params, batch)
    clips = len(batch["valid"])
    if clips % parts:
        raise InputError(f"optimizer: accumulation must divide the {clips} clips of a device, found {parts}")
    split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)

    def add(total: Any, part: Batch) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(params, part)), None

    shapes = jax.eval_shape(function, params, jax.tree.map(lambda x: x[0], split))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return lax.scan(add, zeros, split)[0]
