"""The processor's instructions and cores, as Linux reports them."""

import os
from functools import cache
from pathlib import Path


@cache
def cpuinfo(*names: str) -> str:
    """The value of the first of `names` in /proc/cpuinfo, for the first core; empty if absent."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def has(*instructions: str) -> bool:
    """Whether the processor has any of these instruction sets, by their names in /proc/cpuinfo."""
    return not set(cpuinfo("flags", "Features").split()).isdisjoint(instructions)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16."""
    return has("avx512_bf16", "amx_bf16", "bf16")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
