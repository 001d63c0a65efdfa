"""VASal in JAX: where people look in videos of several faces, from pictures, sound and faces.

    model = vasal_jax.load("weights.safetensors")
    maps = vasal_jax.predict(model, "clip.mp4")  # float32 (n,32,32), each summing to 1

Names are loaded when first used, so that a part (say `vasal_jax.inputs` in a data worker) can be imported without
the rest (say JAX).
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
