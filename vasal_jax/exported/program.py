"""What every exported program is once it is loaded, whatever runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.exported.description import Description
from vasal_jax.exported.interface import Interface, Spec

Arrays = dict[str, Any]
"""Arrays by name, of NumPy or JAX."""


class Program(ABC):
    """A model with its weights, as a function from arrays by name to arrays by name.

    Attributes:
      description: config, memory and fixed sizes.
      interface: names, shapes and types of the arrays that go in and come out.
    """

    def __init__(self, description: Description):
        self.description = description
        self.interface: Interface = description.interface

    def __call__(self, inputs: Mapping[str, Any]) -> Arrays:
        """Runs one clip each of B videos.

        Args:
          inputs: `interface.taken` by name.

        Returns:
          `interface.given` by name.

        Raises:
          InputError: a missing input, or one of another shape or type.
        """
        return self._run(_checked(inputs, self.interface.taken))

    def initial_carry(self, videos: int, slots: int = 1) -> Arrays:
        """The state before the first frame: zeros."""
        sizes = {"B": videos, "N": slots}

        def zeros(spec: Spec) -> np.ndarray:
            return np.zeros([sizes[size] if isinstance(size, str) else size for size in spec.shape], spec.dtype)

        return {name: zeros(spec) for name, spec in self.interface.carry.items()}

    @abstractmethod
    def _run(self, inputs: Arrays) -> Arrays:
        """`__call__` with inputs that fit."""


def _checked(inputs: Mapping[str, Any], expected: Mapping[str, Spec]) -> Arrays:
    if missing := [name for name in expected if name not in inputs]:
        raise InputError(f"an exported program expects {', '.join(expected)}; found no {', '.join(missing)}")
    sizes: dict[int | str, int] = {}
    arrays = {name: inputs[name] for name in expected}
    for name, spec in expected.items():
        found = arrays[name]
        if found.dtype != spec.dtype or found.ndim != len(spec.shape):
            raise InputError(f"{name}: expected {spec.dtype} {spec}, found {found.dtype} {found.shape}")
        for size, number in zip(spec.shape, found.shape, strict=True):
            known = size if isinstance(size, int) else sizes.setdefault(size, number)
            if number != known or number < 1:
                named = "" if isinstance(size, int) else f" with {size} = {known} as in the other inputs, at least 1"
                raise InputError(f"{name}: expected {spec}{named}, found {found.shape}")
    return arrays
