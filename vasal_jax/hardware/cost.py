"""What a compiled program needs: memory, arithmetic, traffic with memory and with other chips."""

import math
import re
from collections import Counter
from dataclasses import dataclass

from jax.stages import Compiled

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"\b(pred|[a-z]+[0-9]+[a-z0-9]*)\[([0-9,]*)\]")
_COMMENT = re.compile(r"/\*.*?\*/")
_NO_ROOM = re.compile(r"Used ([0-9.]+)([KMGT]) of ([0-9.]+)([KMGT]) hbm")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Collective:
    """One exchange among the devices."""

    kind: str
    size: int
    """Bytes that a device puts in."""


@dataclass(frozen=True)
class Cost:
    """What one run of a compiled program needs, a device. Bodies of loops count once, as XLA counts them."""

    arguments: int
    """Bytes of what goes in."""
    results: int
    """Bytes of what comes out, less what takes the place of arguments."""
    temporaries: int
    """Bytes of everything in between at its most."""
    code: int
    """Bytes of the program."""
    operations: float
    """Floating-point operations."""
    traffic: float
    """Bytes read from and written to memory."""
    collectives: tuple[Collective, ...]
    """The exchanges, in the program's order."""

    @property
    def memory(self) -> int:
        """Bytes of a device's memory that the program takes."""
        return self.arguments + self.results + self.temporaries + self.code

    def exchanged(self) -> dict[str, tuple[int, int]]:
        """How often each kind of collective is there, and the bytes that a device puts in."""
        times: Counter[str] = Counter(each.kind for each in self.collectives)
        return {
            kind: (n, sum(each.size for each in self.collectives if each.kind == kind)) for kind, n in times.items()
        }


def cost_of(compiled: Compiled) -> Cost:
    """Reads a compiled program."""
    memory, counted = compiled.memory_analysis(), compiled.cost_analysis() or {}
    counted = counted[0] if isinstance(counted, list) else counted
    assert memory is not None  # every backend of ours knows it
    return Cost(
        arguments=memory.argument_size_in_bytes,
        results=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        operations=counted.get("flops", 0.0),
        traffic=counted.get("bytes accessed", 0.0),
        collectives=collectives(compiled.as_text() or ""),
    )


def collectives(hlo: str) -> tuple[Collective, ...]:
    """The exchanges among devices in the text of a compiled program, in its order."""
    found = []
    for line in hlo.splitlines():
        match = _COLLECTIVE.search(_COMMENT.sub("", line))
        if match:
            found.append(Collective(match[2], sum(_bytes(*array) for array in _ARRAY.findall(match[1]))))
    return tuple(found)


def over_memory(error: Exception) -> tuple[float, float] | None:
    """Bytes that a program needs and that the chip has, where it was not compiled for a lack of memory; else None."""
    found = _NO_ROOM.search(str(error))
    if found is None:
        return None
    return float(found[1]) * _UNITS[found[2]], float(found[3]) * _UNITS[found[4]]


def _bytes(kind: str, dimensions: str) -> int:
    bits = 8 if kind == "pred" else int(re.search(r"[0-9]+", kind)[0])  # pyright: ignore[reportOptionalSubscript]
    return math.prod(int(size) for size in dimensions.split(",") if size) * bits // 8
