"""VASal in JAX: where people look in videos of several faces, from pictures, sound and faces.

    model = vasal_jax.load("weights.safetensors")
    maps = vasal_jax.predict(model, "clip.mp4")  # float32 (n,32,32), each summing to 1

Names are loaded when first used, so that a part (say `vasal_jax.inputs` in a data worker) can be imported without
the rest (say JAX).
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "InputError": "vasal_jax.errors",
    "ModelConfig": "vasal_jax.models",
    "VASal": "vasal_jax.models",
    "load": "vasal_jax.weights",
    "predict": "vasal_jax.prediction",
    "save": "vasal_jax.weights",
    "stream": "vasal_jax.prediction",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'vasal_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
