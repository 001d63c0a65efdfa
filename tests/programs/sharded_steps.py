"""Runs steps on simulated devices, in one process or as one of several, and writes what came out.

python -m tests.programs.sharded_steps OUT MODELS DEVICES [COORDINATOR PROCESSES PROCESS], started by test_sharding.py.
For each model and way of running it, loss terms, gradients and parameters go to OUT/<model>-<way>.npz, and a checkpoint
of the stand-in to OUT/checkpoints.
"""

import os
import sys
from pathlib import Path

import numpy as np

OUT, MODELS, DEVICES, *DISTRIBUTED = sys.argv[1:]
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402

from tests.helpers.batches import FAST_COMPILE, StandIn, drawn_batch, drawn_params, packed_batch, stand_in_params  # noqa: E402
from tests.helpers.models import small_config  # noqa: E402
from vasal_jax.batch import held  # noqa: E402
from vasal_jax.hardware.cost import collectives  # noqa: E402
from vasal_jax.training import sharding  # noqa: E402
from vasal_jax.training.checkpoints import CheckpointConfig, Checkpoints  # noqa: E402
from vasal_jax.training.losses import LossWeights  # noqa: E402
from vasal_jax.training.optimizer import OptimizerConfig  # noqa: E402
from vasal_jax.training.step import Training  # noqa: E402
from vasal_jax.training.unpacking import unpacker  # noqa: E402

options = {"xla_force_host_platform_device_count": DEVICES, **FAST_COMPILE}
os.environ["XLA_FLAGS"] = " ".join(f"--{name}={value}" for name, value in options.items())  # read at JAX's first use

WEIGHTS = LossWeights(kl=1.0, cc=0.3, nss=0.1, faces=1.0, talking=1.0)
# Adam divides a gradient by its size; with this epsilon one that is but rounding does not become a whole update.
OPTIMIZER = OptimizerConfig(learning_rate=0.01, ema_decay=0.9, epsilon=1e-3)
CLIPS = 8


def reduced_bytes(hlo: str) -> list[int]:
    """Bytes that each all-reduce of a compiled program sends, in order."""
    found = collectives(hlo)
    assert {each.kind for each in found} == {"all-reduce"}, found
    return [each.size for each in found]


def steps(training: Training, params, mesh, parallelism: str, save_to: Path | None = None) -> dict[str, np.ndarray]:
    """Two steps over the same clips however many devices and processes there are."""
    # The model's batch is packed, as the pipeline gives it.
    drawn = drawn_batch if isinstance(training, StandIn) else packed_batch
    batch = held(drawn(CLIPS), training.fields)
    share = CLIPS // jax.process_count() if mesh.size > 1 else CLIPS
    mine = slice(share * jax.process_index(), share * (jax.process_index() + 1))
    batch = unpacker(mesh)(sharding.place({name: value[mine] for name, value in batch.items()}, mesh))
    step = sharding.parallelise(training.step, mesh, parallelism, donate=True)
    state = sharding.replicate(training.initial_state(params), mesh)
    out = {}
    if parallelism == "shard_map":
        step = step.lower(state, batch).compile()
        out["reduced_bytes"] = reduced_bytes(step.as_text())
    state, scalars = step(state, batch)
    (moments,) = (part for part in state.opt_state if hasattr(part, "mu"))
    # After the first step Adam's mean of gradients is a tenth of the gradient.
    out |= {f"gradient {name}": 10 * x for name, x in moments.mu.items()}
    state, scalars = step(state, batch)
    out |= {f"params {name}": x for name, x in state.params.items()}
    out |= {f"ema {name}": x for name, x in state.ema.items()}
    out |= scalars
    out = {name: np.asarray(x) for name, x in out.items()}
    if save_to is not None:
        checkpoints = Checkpoints(save_to, CheckpointConfig())
        assert checkpoints.due(1000)
        assert not checkpoints.due(1020)
        checkpoints.save(state, {"epoch": 1, "clips": 16}, score=0.5)
        checkpoints.wait()
        restored, position = checkpoints.restore_latest(state)
        assert position == {"epoch": 1, "clips": 16}
        for name, x in restored.params.items():
            np.testing.assert_array_equal(x, out[f"params {name}"])
    return out


def main() -> None:
    if DISTRIBUTED:
        coordinator, processes, process = DISTRIBUTED
        assert sharding.initialise_distributed(coordinator, int(processes), int(process))
    whole, one = sharding.make_mesh(), jax.sharding.Mesh(jax.local_devices()[:1], sharding.AXIS)
    assert whole.size == int(DEVICES) * jax.process_count()
    model = Training(small_config(), WEIGHTS, OPTIMIZER, 10)
    stand_in = StandIn(small_config(), WEIGHTS, OPTIMIZER, 10)
    known = {"stand-in": (stand_in, stand_in_params()), "model": (model, drawn_params(model.model))}
    for name in MODELS.split(","):
        ways = {"shard_map": whole}
        if name == "stand-in":
            ways["pmap"] = whole  # what pmap compiles is the same step, which takes long for the model
        if not DISTRIBUTED:
            ways["one"] = one
        for way, mesh in ways.items():
            saves = Path(OUT) / "checkpoints" if (name, way) == ("stand-in", "shard_map") else None
            results = steps(*known[name], mesh, "pmap" if way == "pmap" else "shard_map", saves)
            if jax.process_index() == 0:
                np.savez(Path(OUT) / f"{name}-{way}.npz", **results)


main()
