"""Describes this machine, for the line above a table: `python -m benchmarks.harness.machine`."""

import os
import platform
from typing import NamedTuple

from benchmarks.harness.processes import in_fresh_process
from vasal_jax.system.processor import cpuinfo


class Machine(NamedTuple):
    """The device and the conditions of a measurement."""

    device: str  # "cpu", or the name of the accelerator that JAX computes on
    conditions: str  # one line: processor, cores, threads, versions


def ask() -> Machine:
    """This machine, described in a child process: once used, JAX would keep most of a GPU's memory in this one."""
    return in_fresh_process(here)


def here() -> Machine:
    """This machine, described in this process, which imports JAX and PyTorch."""
    return Machine(device(), conditions())


def device() -> str:
    """The name of the device that JAX computes on, such as "cpu" or "NVIDIA H100 80GB HBM3"."""
    import jax

    return jax.devices()[0].device_kind


def conditions() -> str:
    """One line with the processor, the number of cores and threads, and the versions of Python, JAX and PyTorch."""
    import jax
    import torch

    name = cpuinfo("model name") or platform.processor() or platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {jax.default_backend()} "
        f"{device()}; Python {platform.python_version()}, jax {jax.__version__}, torch {torch.__version__}"
    )


if __name__ == "__main__":
    print(*here(), sep="\n")
