"""Synthetic scenes of talking faces with sound: seeded, with the truth about who speaks and where everything is."""

from vasal_jax.scenes.scene import Scene

__all__ = ["Scene"]
