"""Which accelerators are there, on drawn machines: packages, chips on the PCI bus, devices."""

import pytest

from vasal_jax.system import accelerators, memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without accelerators; returns what adds a PCI device, a file of /dev or a package."""
    packages = set()
    monkeypatch.setattr(accelerators, "_PCI", tmp_path / "pci")
    monkeypatch.setattr(accelerators, "_DEVICES", tmp_path / "dev")
    monkeypatch.setattr(accelerators, "find_spec", lambda name: name if name in packages else None)
    monkeypatch.setattr(accelerators.sys, "platform", "linux")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)

    def add(*, pci: tuple[str, str] | None = None, device: str | None = None, package: str | None = None):
        if pci:
            folder = tmp_path / "pci" / str(len(list(tmp_path.glob("pci/*"))))
            folder.mkdir(parents=True)
            for name, value in zip(("vendor", "class"), pci, strict=True):
                (folder / name).write_text(value + "\n")
        if device:
            path = tmp_path / "dev" / device
            path.parent.mkdir(exist_ok=True)
            path.touch()
        packages.add(package)

    return add


CHIP, NETWORK, DISK = ("0x1ae0", "0xff0000"), ("0x1ae0", "0x020000"), ("0x1ae0", "0x010802")
OTHERS_CHIP = ("0x10de", "0x030200")


@pytest.mark.parametrize(
    ("package", "pci", "found"),
    [
        ("libtpu", [NETWORK, CHIP], True),
        ("libtpu", [NETWORK, DISK, OTHERS_CHIP], False),  # a machine of Google's cloud without a TPU
        ("libtpu", [], False),
        (None, [CHIP], False),
    ],
)
def test_a_tpu_is_a_package_and_a_chip(machine, package, pci, found):
    for each in pci:
        machine(pci=each)
    machine(package=package)
    assert accelerators.has_tpu() is found
    assert memory.jax_runs_on_cpu() is not found


@pytest.mark.parametrize(
    ("package", "device", "found"),
    [
        ("jax_plugins", "nvidia0", True),
        ("jax_plugins", "kfd", True),
        ("jax_plugins", None, False),
        (None, "kfd", False),
    ],
)
def test_a_gpu_is_a_plugin_and_a_device(machine, package, device, found):
    machine(package=package, device=device)
    assert accelerators.has_gpu() is found
    assert memory.jax_runs_on_cpu() is not found


def test_a_plugin_is_believed_where_devices_cannot_be_asked(machine, monkeypatch):
    monkeypatch.setattr(accelerators.sys, "platform", "darwin")
    machine(package="jax_plugins")
    assert accelerators.has_gpu()
