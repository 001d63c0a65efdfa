"""Devices to compile for: those at hand, or the chips of a TPU slice that need not be there."""

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import jax
from jax.experimental import topologies

from vasal_jax.errors import InputError

HERE = "here"
"""The name of the devices at hand."""

_NAME = re.compile(r"(?:([0-9]{1,3})\*)?(v[0-9]{1,2}[a-z]?:[0-9]{1,3}(?:x[0-9]{1,3}){1,2})")
# Nothing is asked of a network, and no chip is taken, so programs may compile side by side.
_COMPILE_ONLY = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}


def devices_of(topology: str) -> Sequence[Any]:
    """The devices of a topology: `here`, or such as `v5e:4x4`, `v5p:2x2x4`, or two slices, `2*v5e:4x4`.

    Raises:
      InputError: it is none of these, there is no such slice, or the TPU's compiler is not installed.
    """
    if topology == HERE:
        return jax.devices()
    found = _NAME.fullmatch(topology)
    if not found:
        raise InputError(
            f"topology: expected {HERE}, a TPU slice such as v5e:4x4, or several such as 2*v5e:4x4, found {topology!r}"
        )
    if find_spec("libtpu") is None:
        raise InputError('the TPU\'s compiler is not installed: pip install "vasal-jax[tpu-check]"')
    slices, name = int(found[1] or 1), found[2]
    for variable, value in _COMPILE_ONLY.items():
        os.environ.setdefault(variable, value)
    try:
        described = topologies.get_topology_desc(name, "tpu", **({"num_slices": slices} if slices > 1 else {}))
    except (jax.errors.JaxRuntimeError, RuntimeError) as error:
        raise InputError(f"topology {topology}: there is none ({str(error).splitlines()[0][:200]})") from None
    return described.devices
