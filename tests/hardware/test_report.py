"""The table of what a program needs: whether it fits, and the least times by the data sheet."""

from types import SimpleNamespace

import pytest

from vasal_jax.hardware import chips, report
from vasal_jax.hardware.cost import Collective, Cost

COST = Cost(10**9, 10**6, 2 * 10**9, 10**6, 197e10, 819e7, (Collective("all-reduce", 32 * 10**6),))


def devices(count: int, kind: str = "TPU v5 lite", slices: int = 1):
    return [SimpleNamespace(device_kind=kind, slice_index=i * slices // count) for i in range(count)]


def test_what_fits_is_said_with_the_least_times(capsys):
    assert report.show_cost("a step", COST, devices(16), 2, 5.0)
    said = capsys.readouterr().out
    for words in (
        "16 of TPU v5e, 1 slice",
        "3.00 GB of 16.00 GB",
        "1 all-reduce",
        "32.0 MB",
        "9.85e+11",
        "arithmetic  10 ms",
    ):
        assert " ".join(words.split()) in " ".join(said.split()), words


@pytest.mark.parametrize(("kind", "good"), [("TPU v5 lite", False), ("TPU v5", True), ("a chip nobody knows", True)])
def test_a_chip_without_the_memory_is_told(kind, good, capsys):
    cost = Cost(10**9, 0, 16 * 10**9, 0, 1.0, 1.0, ())
    assert report.show_cost("a step", cost, devices(4, kind), 1, 1.0) is good
    assert ("does not fit: 17.00 GB" in capsys.readouterr().out) is not good


def test_rings_and_slices_limit_by_their_own_bandwidths():
    one = report._times(COST, chips.V5E, 16, 1)
    assert one["links"] == pytest.approx(2 * 15 / 16 * 32e6 / 200e9)
    assert "network" not in one
    two = report._times(COST, chips.V5E, 32, 2)
    assert two["links"] == one["links"]
    assert two["network"] == pytest.approx(32e6 / 16 / 3.125e9)


def test_devices_are_known_by_their_kind():
    assert chips.chip_of("TPU v6 lite") is chips.V6E
    assert chips.chip_of("NVIDIA H200") is chips.H200
    assert chips.chip_of("NVIDIA H100 80GB HBM3") is chips.H100
    assert chips.chip_of("cpu") is None
