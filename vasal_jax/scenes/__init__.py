"""Synthetic scenes of talking faces with sound: seeded, with the truth about who speaks and where everything is.

- `scene`: `Scene`, which puts the others together.
- `people`, `hair`, `seating`, `motion`, `backdrops`, `pen`: what is painted, and how it moves.
- `turns`, `voices`: who speaks when, and the sound.
- `filmed`, `camera`: what scenes in the style `filmed` have besides.
- `streams`: the random numbers of each part.
"""

from vasal_jax.scenes.scene import Scene

__all__ = ["Scene"]
