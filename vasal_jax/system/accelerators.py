"""Which accelerators are in this machine, as Linux reports them; JAX need not be loaded.

Having a package for an accelerator is not having one: `libtpu` compiles for TPUs on any machine.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

_PCI = Path("/sys/bus/pci/devices")
_DEVICES = Path("/dev")
_GOOGLE = "0x1ae0"
_NO_CHIP = ("0x01", "0x02")  # PCI classes: Google's virtual disks and network cards, in all of its cloud's machines
_OF_GPUS = ("nvidia0", "nvidiactl", "dxg", "kfd")  # of NVIDIA, in a container too; under Windows' Linux; of AMD


def has_tpu() -> bool:
    """Whether JAX can compute on a TPU here: the package libtpu is installed, and a chip is attached."""
    return find_spec("libtpu") is not None and any(map(_is_tpu, _PCI.glob("*")))


def has_gpu() -> bool:
    """Whether JAX can compute on a GPU here: a plugin of JAX is installed and, if that can be told, a GPU is there."""
    if find_spec("jax_plugins") is None:
        return False
    return not sys.platform.startswith("linux") or any((_DEVICES / name).exists() for name in _OF_GPUS)


def _is_tpu(device: Path) -> bool:
    try:
        vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
    except OSError:
        return False
    return vendor == _GOOGLE and not kind.startswith(_NO_CHIP)
