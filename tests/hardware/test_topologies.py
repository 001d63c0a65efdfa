"""Names of topologies, and what is said where the TPU's compiler is not installed."""

import jax
import pytest

from vasal_jax.errors import InputError
from vasal_jax.hardware import topologies


def test_the_devices_at_hand_have_a_name():
    assert list(topologies.devices_of("here")) == jax.devices()


@pytest.mark.parametrize("name", ["", "v5e", "v5e:4", "v5e:4x4x4x4", "tpu:4x4", "0x4", "*v5e:4x4", "v5e:4x4\n", "Here"])
def test_what_is_no_topology_is_refused(name):
    with pytest.raises(InputError, match="topology: expected here, a TPU slice such as v5e:4x4"):
        topologies.devices_of(name)


def test_without_the_compiler_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(topologies, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed: pip install \"vasal-jax\[tpu-check\]\"$"):
        topologies.devices_of("v5e:4x4")
