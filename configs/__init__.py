"""Presets of a training by name: one module each, whose `config()` returns a `TrainConfig`."""

from collections.abc import Callable

from configs import mvva, mvva_finetune, mvva_full, synthetic, synthetic_tiny
from configs.train_config import TrainConfig

PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "synthetic_tiny": synthetic_tiny.config,
    "synthetic": synthetic.config,
    "mvva": mvva.config,
    "mvva_full": mvva_full.config,
    "mvva_finetune": mvva_finetune.config,
}
MODULES = (synthetic_tiny, synthetic, mvva, mvva_full, mvva_finetune)
