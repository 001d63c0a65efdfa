"""What this machine is, to stand above a table: `python -m benchmarks.harness.machine`."""

import os
import platform
from typing import NamedTuple

from benchmarks.harness.processes import in_fresh_process
from vasal_jax.system.processor import cpuinfo


class Machine(NamedTuple):
    """What measurements depend on."""

    device: str  # "cpu", or the name of the accelerator that JAX computes on
    conditions: str  # one line: processor, cores, threads, versions


def ask() -> Machine:
    """This machine, told by a process of its own: from its first use on, JAX keeps most of a GPU's memory."""
    return in_fresh_process(here)


def here() -> Machine:
    """This machine."""
    return Machine(device(), conditions())


def device() -> str:
    """The device that JAX computes on, in words."""
    import jax

    return jax.devices()[0].device_kind


def conditions() -> str:
    """What else bears on a time: versions, cores, settings."""
    import jax
    import torch

    name = cpuinfo("model name") or platform.processor() or platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {jax.default_backend()} "
        f"{device()}; Python {platform.python_version()}, jax {jax.__version__}, torch {torch.__version__}"
    )


if __name__ == "__main__":
    print(*here(), sep="\n")
