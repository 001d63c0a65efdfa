"""Data sheets of accelerators: the one place in which their numbers stand.

TPUs: the tables of https://docs.cloud.google.com/tpu/docs/v5e, /v5p and /v6e, read in November 2026. The bandwidth of
the links between chips is given there for both directions together; here it is halved, to that of one direction. Data
centre network: v5p "50 Gbps per chip"; v5e "6.4 Tbps per pod" of 256 chips; for v6e the tables give none.
GPUs: NVIDIA's data sheets of H100 SXM and H200 SXM, without sparsity. NVLink likewise halved.
"""

from typing import NamedTuple


class Chip(NamedTuple):
    """What a data sheet says of one chip."""

    name: str
    flops: float
    """Operations a second in bfloat16, dense."""
    memory: float
    """Bytes of its memory."""
    memory_bandwidth: float
    """Bytes a second to and from it."""
    link_bandwidth: float
    """Bytes a second to other chips of its slice or host, in one direction, all links together."""
    network_bandwidth: float | None
    """Bytes a second to other slices, its share; None where the sheet does not say."""


V5E = Chip("TPU v5e", 197e12, 16e9, 819e9, 200e9, 6.4e12 / 8 / 256)
V5P = Chip("TPU v5p", 459e12, 95 * 2**30, 2765e9, 600e9, 50e9 / 8)
V6E = Chip("TPU v6e", 918e12, 32e9, 1638e9, 400e9, None)
H100 = Chip("NVIDIA H100 SXM", 989e12, 80e9, 3350e9, 450e9, None)
H200 = Chip("NVIDIA H200 SXM", 989e12, 141e9, 4800e9, 450e9, None)

_KINDS = {"TPU v5 lite": V5E, "TPU v5": V5P, "TPU v6 lite": V6E, "NVIDIA H100": H100, "NVIDIA H200": H200}


def chip_of(kind: str) -> Chip | None:
    """The data sheet of a device by its `device_kind` in JAX; None where there is none here."""
    if kind in _KINDS:
        return _KINDS[kind]
    return next((chip for name, chip in _KINDS.items() if name.startswith("NVIDIA") and kind.startswith(name)), None)
