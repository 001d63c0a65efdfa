"""The training step and everything around it.

`step` is the step of one device, with `unpacking`, `losses` and `optimizer`; `sharding` puts it on all devices; `loop`
runs steps, `validation` and `checkpoints` (each under one of `seals`), `run_log` and `run_folder` keep what a run
leaves.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
