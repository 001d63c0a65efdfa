"""How gradients become updates: Adam with everything around it, as one optax chain over parameters by dotted name."""

import dataclasses
import fnmatch
from collections.abc import Hashable, Iterable
from typing import Literal

import jax
import optax

from vasal_jax.errors import InputError

TEXTURE = "visual.conv*"  # the texture path: the first layers of VGG-16
FACE = "face.*"
_REST = "the rest"


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the optimiser. An update is one step of training, however many micro-batches it is made of."""

    kind: Literal["adamw", "adam"] = "adamw"
    """How weight decay acts: on the weights themselves (AdamW) or as an L2 term in the gradient (Adam)."""
    learning_rate: float = 1e-4
    """Peak learning rate, reached after the warm-up. Presets set their own."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What follows the warm-up: half a cosine down to `final_share` at the last update, or the peak throughout."""
    warmup: int = 0
    """Updates over which the learning rate rises linearly from near 0 to its peak."""
    final_share: float = 0.0
    """Learning rate of the last update under the cosine schedule, as a share of the peak."""
    beta1: float = 0.9
    """Decay of the running mean of gradients."""
    beta2: float = 0.999
    """Decay of the running mean of squared gradients."""
    epsilon: float = 1e-8
    """What is added to the root of the running mean of squares."""
    weight_decay: float = 0.0
    """Strength of the weight decay, on kernels alone; biases are spared."""
    clip_norm: float = 0.0
    """Longest gradient, all trained parameters taken as one vector; a longer one is scaled down to it. 0: no limit."""
    accumulation: int = 1
    """Micro-batches that a device works through, one after the other, for one update: less memory, same result."""
    ema_decay: float = 0.0
    """Decay of the running mean of weights (EMA) that is kept beside them, for evaluation; the first updates decay
    faster. 0: the mean is the weights themselves."""
    texture_factor: float = 1.0
    """Learning rate of the texture path (`visual.conv*`, the VGG-16 part) as a multiple of everything else's."""
    face_factor: float = 1.0
    """Learning rate of the face branch as a multiple of everything else's: below 1 for one that was trained before."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameters to leave as they are, such as `visual.*` or `audio.conv1.*`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "freeze", tuple(self.freeze))
        chosen = {"kind": ("adamw", "adam"), "schedule": ("cosine", "constant")}
        for name, choices in chosen.items():
            if getattr(self, name) not in choices:
                _refuse(name, f"one of {', '.join(choices)}", getattr(self, name))
        for name in ("learning_rate", "epsilon"):
            if not 0 < getattr(self, name) < float("inf"):
                _refuse(name, "a finite number above 0", getattr(self, name))
        for name in ("weight_decay", "clip_norm", "texture_factor", "face_factor"):
            if not 0 <= getattr(self, name) < float("inf"):
                _refuse(name, "a finite number from 0 on", getattr(self, name))
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                _refuse(name, "a number from 0 on and below 1", getattr(self, name))
        if not 0 <= self.final_share <= 1:
            _refuse("final_share", "a number in 0..1", self.final_share)
        for name, least in (("warmup", 0), ("accumulation", 1)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                _refuse(name, f"an integer from {least} on", getattr(self, name))


def learning_rate_schedule(config: OptimizerConfig, updates: int) -> optax.Schedule:
    """The learning rate by number of the update, from 0 on, of a training of `updates` in all."""
    if config.warmup >= updates:
        raise InputError(
            f"optimizer: warmup must be shorter than the {updates} updates of the training, found {config.warmup}"
        )

    peak = config.learning_rate
    rise = optax.linear_schedule(peak / (config.warmup + 1), peak, config.warmup)
    if config.schedule == "constant":
        then = optax.constant_schedule(peak)
    else:
        then = optax.cosine_decay_schedule(peak, max(updates - 1 - config.warmup, 1), alpha=config.final_share)
    return optax.join_schedules([rise, then], [config.warmup])


def make_optimizer(config: OptimizerConfig, updates: int) -> optax.GradientTransformation:
    """The chain from gradients to updates, both of them dicts of arrays by dotted name (`trained` ones alone)."""
    decay = optax.add_decayed_weights(config.weight_decay, mask=_kernels)
    factors: dict[Hashable, optax.GradientTransformation] = {
        TEXTURE: optax.scale(config.texture_factor),
        FACE: optax.scale(config.face_factor),
        _REST: optax.identity(),
    }
    adam = optax.scale_by_adam(config.beta1, config.beta2, config.epsilon)
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
        *((adam, decay) if config.kind == "adamw" else (decay, adam)),
        optax.partition(factors, lambda params: {name: _part(name) for name in params}),
        optax.scale_by_learning_rate(learning_rate_schedule(config, updates)),
    )


def trained(config: OptimizerConfig, names: Iterable[str]) -> list[str]:
    """The parameters, of these, that are trained: all that no pattern of `freeze` names.

    Raises:
      InputError: a pattern that names nothing, or nothing left to train.
    """
    names = list(names)
    for pattern in config.freeze:
        if not fnmatch.filter(names, pattern):
            parts = sorted({name.rpartition(".")[0] for name in names})
            raise InputError(f"optimizer: freeze {pattern!r} names no parameter of {', '.join(parts)}")
    free = [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in config.freeze)]
    if not free:
        raise InputError(f"optimizer: freeze {config.freeze} leaves no parameter to train; drop a pattern")
    return free


def _kernels(params: optax.Params) -> optax.Params:
    """Which parameters are kernels: bool, in the place of each."""
    return jax.tree.map_with_path(lambda path, _: jax.tree_util.keystr(path, simple=True).endswith("kernel"), params)


def _part(name: str) -> str:
    """Which learning rate a parameter has: that of `TEXTURE`, of `FACE` or of the rest."""
    return next((pattern for pattern in (TEXTURE, FACE) if fnmatch.fnmatchcase(name, pattern)), _REST)


def _refuse(name: str, expected: str, found: object) -> None:
    raise InputError(f"optimizer: {name} must be {expected}, found {found!r}")
