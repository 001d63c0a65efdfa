"""All settings of a training, as one frozen dataclass. A preset fills it; any field can be set on the command line."""

import dataclasses
from pathlib import Path
from typing import Literal

from data.clips import ClipOptions
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.system.terminal import MemoryArgument
from vasal_jax.training.checkpoints import CheckpointConfig
from vasal_jax.training.loop import LoopConfig
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.validation import Criterion


@dataclasses.dataclass(frozen=True)
class Distributed:
    """The processes of a run on several hosts. SLURM, TPU slices and GKE say all of it themselves."""

    coordinator: str | None = None
    """Address of process 0, such as 10.0.0.1:1234."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """Which of them this one is, from 0."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training from its data to its weights."""

    data: Path = Path("prepared")
    """The prepared dataset: what `python -m data.builder` wrote."""
    run: Path = Path("runs/run")
    """Folder of the run: config, logs, checkpoints. A run found there is gone on with."""
    model: ModelConfig = ModelConfig()  # noqa: RUF009, frozen
    """Sizes of the model."""
    init: Path | None = None
    """Weights to start from (.safetensors, Orbax folder or PyTorch file); what they lack (a face branch) is drawn."""
    clips: ClipOptions = ClipOptions()  # noqa: RUF009
    """Size of the clips and their augmentation."""
    without: tuple[Literal["sound", "faces"], ...] = ()
    """Inputs that are replaced by silence or by no faces, in training and validation: for ablations."""
    batch_size: int = 8
    """Clips of the global batch, a multiple of the number of devices."""
    updates: int = 10_000
    """Length of the training in steps."""
    seed: int = 0
    """The seed of the first weights, of the order of the clips and of their augmentation."""
    loss: LossWeights = LossWeights()  # noqa: RUF009
    """The weight of each term of the loss."""
    optimizer: OptimizerConfig = OptimizerConfig()  # noqa: RUF009
    """The optimiser: learning rate (by default 1e-4 at its peak), schedule, weight decay, mean of the weights."""
    memory: MemoryArgument = None
    """What the model remembers in validation, and so in the choice of the best weights: continuous, reset/N, overlap/N.
    By default what predict.py and evaluate.py take for the weights: overlap/N, N being the length of the clips."""
    best: Criterion = "kl"
    """By which term of the validation the best weights are chosen; loss: by the weighted sum that is trained."""
    live_frames: int = 0
    """Rematerialisation: frames of a clip whose activations are in memory at once (0: all). Must divide the length."""
    loop: LoopConfig = LoopConfig()  # noqa: RUF009
    """Logs and validation."""
    checkpoints: CheckpointConfig = CheckpointConfig()  # noqa: RUF009
    """When the state is saved."""
    export: Path | None = None
    """At the end, also write the weights (mean over steps, of the best validation) to this .safetensors file."""
    distributed: Distributed = Distributed()
    """The processes of a run on several hosts."""
    compile_only: str | None = None
    """Compile the step for a TPU slice such as v5e:4x4, for several (2*v5e:4x4), or for the devices that are here
    ("here"), print what it needs of a chip, and end; exit code 1 where it does not fit. Needs no data and no TPU, but
    pip install "vasal-jax[tpu-check]"."""
    fit: bool = False
    """With --compile-only: find the most clips a chip that fit, with and without rematerialisation."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "updates"):
            if getattr(self, name) < 1:
                raise InputError(f"config: {name} must be an integer from 1 on, found {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"config: seed must be in 0..{2**32 - 1}, found {self.seed}")
        if self.fit and self.compile_only is None:
            raise InputError("config: --fit needs a topology; say --compile-only v5e:4x4")
        if self.export is not None and self.export.suffix != ".safetensors":
            raise InputError(f"config: export must be a .safetensors file, found {self.export}")
        self.validation_memory  # noqa: B018, words that are no memory are refused here

    @property
    def trained_memory(self) -> Memory:
        """What is trained: each clip starts afresh."""
        return Memory("reset", self.clips.length)

    @property
    def validation_memory(self) -> Memory:
        """What the model remembers in validation."""
        return Memory.chosen(self.memory, self.trained_memory)

    @property
    def validates_in_lanes(self) -> bool:
        """Whether clips of a validation go on from the ones before, rather than each starting afresh."""
        return self.validation_memory.kind != "reset" or self.clips.length % self.validation_memory.frames != 0

    @property
    def fewer_live_frames(self) -> int:
        """`live_frames`; where all are live, the divisor of the length that is nearest to its square root."""
        divisors = [n for n in range(1, self.clips.length + 1) if self.clips.length % n == 0]
        return self.live_frames or min(divisors, key=lambda n: abs(n * n - self.clips.length))

    def learning(self) -> dict:
        """The fields that what is learnt depends on: a run goes on only with the same."""
        free = ("run", "data", "loop", "checkpoints", "export", "distributed", "init", "live_frames")
        free += ("compile_only", "fit")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in free}
