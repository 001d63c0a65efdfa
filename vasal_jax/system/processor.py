"""What the processor can do, as Linux tells it."""

import os
from functools import cache
from pathlib import Path


@cache
def described(*names: str) -> str:
    """What is said of the first core under the first of the names in /proc/cpuinfo; empty where nothing is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def has(*instructions: str) -> bool:
    """Whether it has any of these sets of instructions, as Linux names them."""
    return not set(described("flags", "Features").split()).isdisjoint(instructions)


def has_bfloat16() -> bool:
    """Whether it multiplies bfloat16."""
    return has("avx512_bf16", "amx_bf16", "bf16")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
