"""The size of a picture."""

import re
from typing import NamedTuple


class Size(NamedTuple):
    """Height and width in pixels, in the order of an array's axes. As text it is WIDTHxHEIGHT, as people write it."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> "Size":
        """The size that a text such as "640x360" names. Raises `ValueError` for any other text."""
        numbers = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
        if numbers is None:
            raise ValueError(f"expected WIDTHxHEIGHT as in 640x360, found {text!r}")
        width, height = map(int, numbers.groups())
        return cls(height, width)
