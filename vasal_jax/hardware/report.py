"""A table of what a compiled program needs beside what the chips have."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from vasal_jax.hardware.chips import Chip, chip_of
from vasal_jax.hardware.cost import Cost
from vasal_jax.system.terminal import say, show


def fits(cost: Cost, chip: Chip | None) -> bool:
    """Whether the chip's memory holds the program; of an unknown chip it is taken to."""
    return chip is None or cost.memory <= chip.memory


def show_cost(title: str, cost: Cost, devices: Sequence[Any], clips: int, seconds: float) -> bool:
    """Prints what a program needs of each chip.

    Args:
      title: what the program is.
      cost: of one run.
      devices: those it runs on.
      clips: that a chip takes in one run.
      seconds: that compiling took.

    Returns:
      Whether it fits.
    """
    chip = chip_of(devices[0].device_kind)
    table = Table("", "a chip", "from", title=title, title_justify="left", box=None)
    name = chip.name if chip else devices[0].device_kind
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    table.add_row("chips", f"{len(devices)} of {name}, {slices} slice{'s' * (slices > 1)}", "given")
    table.add_row("clips a chip", str(clips), "given")
    for part in ("arguments", "results", "temporaries", "code"):
        table.add_row(f"memory: {part}", _size(getattr(cost, part)), "compiled")
    has = f" of {_size(chip.memory)}" if chip else ""
    table.add_row("memory", _size(cost.memory) + has, "compiled, data sheet" if chip else "compiled")
    table.add_row("operations a clip", f"{cost.operations / clips:.3g}", "compiled, loops once")
    table.add_row("bytes to and from memory a clip", f"{cost.traffic / clips:.3g}", "compiled, loops once")
    for kind, (times, size) in cost.exchanged().items():
        table.add_row(f"{times} {kind}", _size(size), "compiled")
    for what, time in _times(cost, chip, len(devices), slices).items():
        table.add_row(f"least time: {what}", f"{1e3 * time:.3g} ms", "compiled, data sheet")
    table.add_row("compiling", f"{seconds:.0f} s", "measured")
    show(table)
    if not fits(cost, chip):
        say(f"does not fit: {_size(cost.memory)} a chip")
    return fits(cost, chip)


def _times(cost: Cost, chip: Chip | None, chips: int, slices: int) -> dict[str, float]:
    """Seconds that a run takes at least, by what limits it: what is done over what the data sheet allows a second.

    Arrays are reduced in rings, 2 (n - 1) / n of their bytes by each of n chips; between slices each chip passes its
    share on.
    """
    if chip is None:
        return {}
    times = {"arithmetic": cost.operations / chip.flops, "memory": cost.traffic / chip.memory_bandwidth}
    inside, size = chips // slices, sum(each.size for each in cost.collectives)
    if inside > 1:
        times["links"] = 2 * (inside - 1) / inside * size / chip.link_bandwidth
    if slices > 1 and chip.network_bandwidth:
        times["network"] = 2 * (slices - 1) / slices * size / inside / chip.network_bandwidth
    return times


def _size(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size:.0f} bytes"
