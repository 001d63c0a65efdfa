"""A training step on 4 simulated devices, and on 2 processes of 2, against one device; what the devices exchange."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.helpers.batches import StandIn, stand_in_params
from tests.helpers.models import small_config
from vasal_jax.errors import InputError
from vasal_jax.system import accelerators
from vasal_jax.training import sharding
from vasal_jax.training.checkpoints import CheckpointConfig, Checkpoints
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5


def run_on_devices(out: Path, models: str, devices: int, processes: int = 1) -> dict[tuple[str, str], dict]:
    """Runs `tests.programs.sharded_steps` on so many devices per process; returns its results by (model, way)."""
    out.mkdir()
    command = [sys.executable, "-m", "tests.programs.sharded_steps", str(out), models, str(devices)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XLA_", "JAX_"))}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    commands = [[*command, coordinator, str(processes), str(n)] if processes > 1 else command for n in range(processes)]
    logs = [open(out / f"{n}.log", "w+") for n in range(processes)]  # noqa: SIM115
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        for command, log in zip(commands, logs, strict=True)
    ]
    try:
        for process, log in zip(started, logs, strict=True):
            assert process.wait(timeout=500) == 0, Path(log.name).read_text()[-3000:]
    finally:
        for process, log in zip(started, logs, strict=True):
            process.kill()
            log.close()
    results = {}
    for path in out.glob("*.npz"):
        with np.load(path) as arrays:
            results[tuple(path.stem.rsplit("-", 1))] = dict(arrays)
    return results


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def runs(folder) -> dict[str, dict]:
    """The results of one process with 4 devices, and of 2 processes with 2 devices each."""
    return {
        "devices": run_on_devices(folder / "devices", "stand-in,model", 4),
        "processes": run_on_devices(folder / "processes", "stand-in", 2, processes=2),
    }


CASES = [
    ("devices", "stand-in", "shard_map"),
    ("devices", "stand-in", "pmap"),
    ("devices", "model", "shard_map"),
    ("processes", "stand-in", "shard_map"),
    ("processes", "stand-in", "pmap"),
]


def assert_same_steps(found: dict, expected: dict, each: float = TOLERANCE) -> None:
    """Compares the scalars of a step, and its gradients, parameters and mean parameters.

    Each of these three is compared as one vector, to `TOLERANCE`, and array by array, to `each`.
    """
    for name in ("loss", "kl", "cc", "nss", "faces", "talking", "gradient_norm", "learning_rate"):
        assert found[name] == pytest.approx(expected[name], rel=TOLERANCE), name
    for kind in ("gradient ", "params ", "ema "):
        sizes = {name: np.linalg.norm(x) for name, x in expected.items() if name.startswith(kind)}
        errors = {name: np.linalg.norm(found[name] - expected[name]) for name in sizes}
        whole = np.linalg.norm(list(sizes.values()))
        assert np.linalg.norm(list(errors.values())) < TOLERANCE * whole
        for name, error in errors.items():
            assert error < each * max(sizes[name], 1e-5 * whole), name


# The gradients of the first layers are sums of many numbers of both signs, which devices add up in another order.
OF_THE_MODEL = 1e-4


@pytest.mark.parametrize(("where", "model", "way"), CASES)
def test_loss_gradients_and_updates_are_those_of_one_device(runs, where, model, way):
    each = OF_THE_MODEL if model == "model" else TOLERANCE
    assert_same_steps(runs[where][model, way], runs["devices"][model, "one"], each)


@pytest.mark.slow
def test_two_processes_train_the_model_as_one_device_does(runs, folder):
    found = run_on_devices(folder / "model", "model", 2, processes=2)["model", "shard_map"]
    assert_same_steps(found, runs["devices"]["model", "one"], OF_THE_MODEL)


@pytest.mark.parametrize("where", ["devices", "processes"])
def test_shard_map_equals_pmap(runs, where):
    one, other = (runs[where]["stand-in", way] for way in ("shard_map", "pmap"))
    for name, value in other.items():
        np.testing.assert_array_equal(one[name], value, err_msg=name)


@pytest.mark.parametrize(("where", "model", "way"), [case for case in CASES if "shard_map" in case])
def test_devices_exchange_counts_and_gradients_once_and_nothing_else(runs, where, model, way):
    results = runs[where][model, way]
    parameters = sum(4 * x.size for name, x in results.items() if name.startswith("params "))
    counts_and_terms = 5 + 6  # of five terms, and the loss
    assert parameters <= results["reduced_bytes"].sum() <= 1.05 * parameters + 4 * counts_and_terms


@pytest.mark.parametrize("where", ["devices", "processes"])
def test_checkpoints_of_many_devices_are_restored_on_one(runs, folder, where):
    training = StandIn(small_config(), LossWeights(), OptimizerConfig(), 10)
    checkpoints = Checkpoints(folder / where / "checkpoints", CheckpointConfig())
    state, position = checkpoints.restore_latest(training.initial_state(stand_in_params()))
    assert position == {"epoch": 1, "clips": 16}
    assert int(state.step) == 2
    for kind, params in (("params", state.params), ("ema", state.ema)):
        for name, x in params.items():
            np.testing.assert_array_equal(x, runs[where]["stand-in", "shard_map"][f"{kind} {name}"])
            assert len(x.devices()) == 1


def test_a_batch_that_devices_cannot_share_is_refused():
    mesh = jax.sharding.Mesh(jax.devices()[:1], sharding.AXIS)
    with pytest.raises(InputError, match="valid has 0 clips for the 1 devices"):
        sharding.place({"valid": np.ones((0, 2), bool)}, mesh)


def test_another_parallelism_than_shard_map_and_pmap_is_refused():
    mesh = jax.sharding.Mesh(jax.devices()[:1], sharding.AXIS)
    with pytest.raises(InputError, match="expected shard_map or pmap, found 'pjit'"):
        sharding.parallelise(lambda state, batch: state, mesh, "pjit")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
        {"SLURM_NTASKS": "4"},  # an allocation, but not started by srun
        {"TPU_WORKER_HOSTNAMES": "localhost"},
    ],
)
@pytest.mark.parametrize("libtpu", [True, False])
def test_a_single_machine_starts_nothing(environment, libtpu, monkeypatch, tmp_path):
    """With libtpu installed too, as it is to compile for TPUs: without a chip it says nothing about other machines."""
    monkeypatch.setattr(accelerators, "_PCI", tmp_path)
    monkeypatch.setattr(accelerators, "find_spec", lambda name: object() if libtpu else None)
    assert joined(environment, monkeypatch) == []


def test_a_machine_with_a_tpu_asks_for_the_others_of_its_slice(monkeypatch):
    monkeypatch.setattr(sharding, "has_tpu", lambda: True)
    assert joined({}, monkeypatch) == [(None, None, None)]


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_PROCID": "1", "SLURM_NTASKS": "4"},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"},
        {"TPU_WORKER_HOSTNAMES": "host-a,host-b"},
        {"JOB_COMPLETION_INDEX": "0"},
        {"JAX_COORDINATOR_ADDRESS": "host:1"},
    ],
)
def test_several_processes_are_recognised_by_the_environment(environment, monkeypatch):
    assert joined(environment, monkeypatch) == [(None, None, None)]
    assert joined(environment, monkeypatch, processes=1) == []  # the argument overrides the environment


def joined(environment, monkeypatch, **told):
    for name in ("SLURM_PROCID", "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args: calls.append(args))
    assert sharding.initialise_distributed(**told) == bool(calls)
    return calls


def test_several_processes_without_a_coordinator_are_refused(monkeypatch):
    def refuse(*_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(InputError, match=r"coordinator_address should be defined.*processes=1 to run alone"):
        sharding.initialise_distributed(processes=2)


class _Chip(SimpleNamespace):
    """What a mesh asks of a chip of a TPU."""

    __hash__ = object.__hash__


def test_chips_of_a_slice_lie_side_by_side():
    """The gradients' ring then crosses from slice to slice once each way, whatever order the chips are named in."""
    chips = [
        _Chip(
            id=i, slice_index=i % 2, coords=(i // 2 % 2, i // 4, 0), core_on_chip=0, platform="tpu",
            device_kind="TPU v5 lite", process_index=i // 4,
        )
        for i in range(8)
    ]  # fmt: skip
    mesh = sharding.make_mesh(chips)
    assert [chip.slice_index for chip in mesh.devices] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert {chip.id for chip in mesh.devices} == set(range(8))
