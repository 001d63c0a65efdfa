"""The random numbers of a scene: a stream of their own for every part of it."""

import zlib

import numpy as np


def stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The random numbers of one part of the scene of a seed; of parts of one name, the one of an index."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), index])
