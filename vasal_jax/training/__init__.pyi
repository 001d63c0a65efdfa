from .checkpoints import (
    CheckpointConfig as CheckpointConfig,
)
from .checkpoints import (
    Checkpoints as Checkpoints,
)
from .loop import (
    LoopConfig as LoopConfig,
)
from .loop import (
    export as export,
)
from .loop import (
    fit as fit,
)
from .losses import (
    LossWeights as LossWeights,
)
from .optimizer import (
    OptimizerConfig as OptimizerConfig,
)
from .step import (
    Training as Training,
)
from .step import (
    TrainState as TrainState,
)
