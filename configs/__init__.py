"""Presets of a training by name: one module each, whose docstring says what for and whose `config()` makes it. A new
preset is such a module and a line in `PRESETS`.
"""

from configs import challenge, mvva, mvva_finetune, mvva_full, synthetic, synthetic_tiny

PRESETS = {
    "synthetic_tiny": synthetic_tiny,
    "synthetic": synthetic,
    "mvva": mvva,
    "mvva_full": mvva_full,
    "mvva_finetune": mvva_finetune,
    "challenge": challenge,
}
