"""Devices and hosts: one axis of devices, batches split along it, everything else the same on all of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from vasal_jax.errors import InputError
from vasal_jax.system.accelerators import has_tpu

AXIS = "data"
"""The one axis of devices, over which batches are split."""

Parallelism = Literal["shard_map", "pmap"]


def initialise_distributed(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> bool:
    """Joins the processes of a run on several hosts (or one process a GPU), before anything else uses JAX.

    Does so if told any of the arguments, or if the environment shows several processes: SLURM (started by srun, one
    process a GPU), Open MPI, a TPU slice, GKE, or JAX's own JAX_COORDINATOR_ADDRESS. JAX then finds out what it is not
    told. Does nothing on a single machine, and with processes=1.

    Args:
      coordinator: address of process 0, such as "10.0.0.1:1234", with a free port.
      processes: how many there are.
      process: which of them this one is, from 0.

    Returns:
      Whether there are processes to join.

    Raises:
      InputError: some of the above is missing and cannot be found out, or the processes did not meet.
    """
    told = (coordinator, processes, process) != (None, None, None)
    if processes == 1 or not (told or _several_processes(os.environ)):
        return False
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"distributed run: cannot start ({str(error).splitlines()[0]}); give the coordinator's address, the number "
            "of processes and which this one is, or processes=1 to run alone"
        ) from error
    return True


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """All devices of all processes, or these, on one axis; those of a slice side by side."""
    devices = jax.devices() if devices is None else devices
    slices = len({getattr(device, "slice_index", 0) for device in devices}) if devices[0].platform == "tpu" else 1
    if slices == 1:
        return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    # `jax.make_mesh` knows no slices, and fails on several.
    ordered = mesh_utils.create_hybrid_device_mesh((len(devices) // slices,), (slices,), devices)
    return Mesh(ordered, (AXIS,), axis_types=(AxisType.Auto,))


def place(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """The global batch, of which every process gives its own part: (B, ...) arrays become (B * processes, ...).

    Raises:
      InputError: the part cannot be split equally over the devices of its process.
    """
    devices = mesh.local_mesh.size
    for name, array in batch.items():
        if len(array) == 0 or len(array) % devices:
            raise InputError(
                f"batch: {name} has {len(array)} clips for the {devices} devices of a process; choose a multiple of "
                f"{devices * jax.process_count()} as the batch size"
            )
    return split(dict(batch), mesh)


def split(tree: Any, mesh: Mesh) -> Any:
    """Arrays of a tree, of which every process gives its own part, along their first axis over all devices."""
    along = NamedSharding(mesh, P(AXIS))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(along, np.asarray(x)), tree)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The arrays of a tree, the same in every process, on every device."""
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(NamedSharding(mesh, P()), np.asarray(x), np.shape(x)), tree
    )


def parallelise(
    function: Callable[[Any, Any], Any], mesh: Mesh, parallelism: Parallelism = "shard_map", donate: bool = False
) -> Callable[[Any, Any], Any]:
    """Compiles a per-device function to run on all devices of the mesh at once.

    Args:
      function: maps a tree that is the same on every device and a part of a batch to results that are the same on
        every device; it joins the other parts by collectives over `AXIS`.
      mesh: from `make_mesh`.
      parallelism: which of JAX's two ways; the results are the same.
      donate: whether the memory of the first argument may be used for the results; it is gone afterwards.

    Returns:
      The same function of whole arrays, from `replicate` and `place`.
    """
    donated = (0,) if donate else ()
    if parallelism == "shard_map":
        # Without the check JAX leaves collectives to the function, as pmap does, and adds none of its own.
        mapped = jax.shard_map(function, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False)
        return jax.jit(mapped, donate_argnums=donated)
    if parallelism != "pmap":
        raise InputError(f"parallelism: expected shard_map or pmap, found {parallelism!r}")
    mapped = jax.pmap(function, AXIS, in_axes=(None, 0), out_axes=None, donate_argnums=donated)
    # pmap takes and gives what one process has, and an axis of devices in front.
    to_local = partial(multihost_utils.global_array_to_host_local_array, global_mesh=mesh)
    to_global = partial(multihost_utils.host_local_array_to_global_array, global_mesh=mesh)

    def by_device(x: jax.Array) -> jax.Array:
        return x.reshape(mesh.local_mesh.size, -1, *x.shape[1:])

    def run(tree: Any, batch: Any) -> Any:
        local = jax.tree.map(by_device, to_local(batch, pspecs=P(AXIS)))
        return to_global(mapped(to_local(tree, pspecs=P()), local), pspecs=P())

    return run


def parallelise_stateful(
    function: Callable[[Any, Any, Any], Any], mesh: Mesh
) -> Callable[[Any, Any, Any], tuple[tuple[Any, Any, Any], Any]]:
    """As `parallelise`, of a function that hands on a state of each device's clips; by `jax.shard_map`.

    Args:
      function: maps a tree that is the same on every device, a part of a batch and its state to (x, y, z), state: x and
        y the same on every device, z and the state of its part.
      mesh: from `make_mesh`.
    """
    by_part = P(AXIS)
    specs = {"in_specs": (P(), by_part, by_part), "out_specs": ((P(), P(), by_part), by_part)}
    return jax.jit(jax.shard_map(function, mesh=mesh, check_vma=False, **specs))


def _several_processes(environment: Mapping[str, str]) -> bool:
    """Whether this looks like one process of several, by the variables that JAX reads to find the others."""
    sizes = {"SLURM_PROCID": "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK": "OMPI_COMM_WORLD_SIZE"}
    if any(rank in environment and environment.get(size, "1") != "1" for rank, size in sizes.items()):
        return True
    if any("," in environment.get(name, "") for name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")):
        return True
    if "JAX_COORDINATOR_ADDRESS" in environment or "JOB_COMPLETION_INDEX" in environment:
        return True
    # A TPU VM outside Kubernetes says so to JAX's questions alone, which finds a slice of one host as well.
    return has_tpu()
